import type { EntryId } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import type { EncodedEvent } from '../core/event.js'
import type { EventLog, StoredEvent } from './event-log.js'

/** What is kept of one stream, instead of its log's own limits. */
export interface StreamLimits {
  /** Entries; the oldest go first. */
  readonly maxEvents: number
  /** Bytes, counted as the log's `maxBytes` counts them; the oldest entries go first. */
  readonly maxBytes: number
  /** Milliseconds that all of it is kept after its last change. */
  readonly maxAgeMs: number
}

/** A producer's wish to be the one of a stream. */
export interface Claim {
  /** The fencing token, which nobody else has: 1 to 64 characters of `[A-Za-z0-9_-]`. */
  readonly token: string
  /** Milliseconds after which the stream is orphaned, unless its producer has been heard of again. */
  readonly leaseMs: number
  readonly limits: StreamLimits
  /**
   * Where to go on, for a producer whose stream the log has lost: readers who are there miss nothing, and
   * whoever is elsewhere is told of a gap. By default the stream begins.
   */
  readonly from?: { readonly origin: EntryId; readonly head: EntryId } | undefined
}

/** How a stream stands. */
export interface StreamInfo {
  /** The place before its first entry, also when that was trimmed. */
  readonly origin: EntryId
  /** The id of its last entry. It is an end id, as `isEndId` tells, once the stream has ended. */
  readonly head: EntryId
  /** By the log's clock, in milliseconds since 1970. */
  readonly startedAt: number
  /** Its last entry, once it has ended. */
  readonly end: StoredEvent | undefined
  /** Whether it was claimed with {@link sharedToken}. A log without a registry has no such streams. */
  readonly isShared?: boolean | undefined
}

/** What a stream without a source of its own, a job, is claimed with: any process that knows its id may append to it. */
export const sharedToken = 'registered'

/**
 * - `owned`: the token's owner is its producer.
 * - `taken`: somebody else is.
 * - `ended`: it has ended, however that was.
 */
export interface Claimed {
  readonly outcome: 'owned' | 'taken' | 'ended'
  readonly info: StreamInfo
}

/** What a producer appends. It gives ids itself: nobody else appends. */
export interface Production {
  readonly token: string
  readonly leaseMs: number
  readonly limits: StreamLimits
  /** At least one, each with the id of the one before it. One with an end id is the last. */
  readonly entries: readonly StoredEvent[]
}

/**
 * - `appended`: the entries are in the log, from this call or an earlier one. Ends behind one entry have the
 *   same id: it is the same end when its data is.
 * - `ended`: the stream has ended, so they are not.
 * - `taken`: it has another producer.
 * - `missing`: there is no such stream, perhaps no longer.
 * - `diverged`: it is not at the entry before the first one, since the log has lost some.
 */
export type Produced = 'appended' | 'ended' | 'taken' | 'missing' | 'diverged'

/** A producer that is alive. */
export interface Lease {
  readonly channel: string
  readonly token: string
  readonly leaseMs: number
}

/**
 * What a log has beyond {@link EventLog} when it keeps streams: channels with one producer and an end.
 * `streamLogSuite` is the contract in executable form.
 *
 * A stream's entries are read and followed as any channel's. `append` and `closeChannel` throw
 * EventStreamError `ERR_STREAM_PRODUCED` for a stream that has not ended, and `append` `ERR_CHANNEL_CLOSED`
 * for one that has. Of a stream whose lease has run out, by the log's clock, whoever looks next (by any
 * method, and any process that follows it) finds the end `orphaned`.
 */
export interface StreamLog extends EventLog {
  /**
   * Begins a stream. Of all who try, from any number of processes, one becomes its producer. Again with the same token, the answer is the same.
   */
  claim(channel: string, claim: Claim): Promise<Claimed>

  /** Appends what a stream's producer has made, all of it or nothing, and renews its lease. */
  produce(channel: string, production: Production): Promise<Produced>

  /**
   * Renews leases, in one round trip where the backend can.
   *
   * @returns For each whether it holds.
   */
  renew(leases: readonly Lease[]): Promise<readonly boolean[]>

  /**
   * Ends a stream, whoever its producer is. The first end counts.
   *
   * @returns How it stands then; undefined when there is no such stream.
   */
  endStream(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined>

  /** @returns How a stream stands; undefined when there is none. */
  inspect(channel: string): Promise<StreamInfo | undefined>
}

export function isStreamLog(log: EventLog): log is StreamLog {
  return 'claim' in log && 'produce' in log
}

/** @throws EventStreamError `ERR_STREAM_PRODUCED` when a channel is a stream that has not ended. */
export function checkUnproduced(name: string, isProduced: boolean): void {
  if (!isProduced) return
  throw new EventStreamError(
    'ERR_STREAM_PRODUCED',
    `The channel ${quote(name)} is a stream: only its producer appends to it, and endStream ends it.`,
  )
}
