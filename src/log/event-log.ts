import type { EntryId } from '../core/entry-id.js'
import type { EncodedEvent } from '../core/event.js'

/** An event on its way into a log. */
export interface NewEntry extends EncodedEvent {
  /** Appending the same key again while its entry is kept appends nothing. */
  readonly idempotencyKey?: string | undefined
}

/** One entry of a channel. */
export interface StoredEvent extends EncodedEvent {
  readonly id: EntryId
  /** The id of the entry before it, or the channel's id with `seq` 0 for the first one. */
  readonly prevId: EntryId
  /**
   * What the log has behind `prevId` and up to `id` cannot be read: readers are told of a gap there, and go on
   * behind it. There is no data.
   */
  readonly isUnreadable?: true | undefined
  /**
   * Set for what is no event, but tells that the log has lost entries which it had behind the one before it. There is no
   * data.
   */
  readonly isLoss?: true | undefined
}

/** What an append gave. */
export interface Appended {
  readonly id: EntryId
  readonly prevId: EntryId
  /** Whether the idempotency key was known, so that `id` is the earlier entry's. */
  readonly duplicate: boolean
}

/**
 * Where to read: after an entry, from the earliest one kept, or the last `last` entries.
 */
export type ReadFrom = EntryId | 'earliest' | { readonly last: number }

/** Where a page ends. It always holds one entry if there is one. */
export interface PageLimit {
  readonly maxEvents: number
  /** UTF-16 units of payload. The entry that passes the limit is the last one of the page. */
  readonly maxLength: number
}

/**
 * Why entries after a position cannot be had: `trimmed`, the log has dropped some of them;
 * `unknown`, this log never gave that position, or has lost it and cannot tell where it goes on.
 */
export type Gap = 'trimmed' | 'unknown'

export interface Page {
  readonly entries: readonly StoredEvent[]
  /** With a gap, `entries` start at the earliest one kept. */
  readonly gap: Gap | undefined
  /** The id of the channel's last entry when the page was read. */
  readonly head: EntryId
}

/** Follows a channel. Its methods must not throw. */
export interface LogListener {
  /**
   * Entries were appended. Some may come twice, out of order or not at all: `prevId` tells, and
   * `read` has them.
   */
  append(entries: readonly StoredEvent[]): void
  /**
   * The last entries may not have come, and no later one would show it: the log was out of reach, or
   * has found its head elsewhere. `read` tells.
   *
   * @param head - Where the log has found its head: whoever has this entry already misses nothing up to it.
   */
  suspect(head?: EntryId): void
}

/**
 * Ordered, bounded history: one independent sequence of entries per channel. The name of a channel has up to 256 bytes
 * of UTF-8. It may begin with a control character: that of a stream and of a notice does.
 * Every backend passes `eventLogSuite`, which is this contract in executable form.
 *
 * Every method rejects with EventStreamError `ERR_LOG_CLOSED` after `close`.
 */
export interface EventLog {
  /**
   * Which one it is, for `health()` and status pages: `memory`, `redis`, `postgres`, or a name of your own.
   * @defaultValue 'other'
   */
  readonly kind?: string

  /**
   * Adds entries to the end of a channel: all of them, one behind the other, or none. They are
   * visible to `read` before the promise resolves, and appends to one channel, from any number of
   * processes, take a single order.
   *
   * @returns One result per entry, in order.
   * @throws EventStreamError `ERR_CHANNEL_CLOSED` after `closeChannel`.
   */
  append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]>

  /**
   * Reads in order. A position that the log cannot continue from without losing an entry is told
   * by `gap`, and never by silence. There is none when all that was trimmed had been read.
   *
   * A log that may lose entries which it had acknowledged puts a mark behind each such loss. Each reader comes to it
   * once: whoever comes back from what was lost goes on behind the last entry that was not, and its first entry is
   * a mark.
   */
  read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page>

  /** The id of the last entry of each channel, in the order asked; `seq` is 0 before the first. */
  heads(channels: readonly string[]): Promise<readonly EntryId[]>

  /**
   * Tells the listener what is appended to a channel, from any process. Active before the promise
   * resolves.
   *
   * @returns Ends it; may be called twice.
   */
  follow(channel: string, listener: LogListener): Promise<() => void>

  /** Lets a channel take no more entries. What it holds stays readable for its age. */
  closeChannel(channel: string): Promise<void>

  /** Frees what the log holds: timers, connections, listeners. May be called twice. */
  close(): Promise<void>
}

/** Whether a log can be reached. */
export interface LogHealth {
  readonly state: 'connecting' | 'up' | 'down'
  /** Since when it is so. */
  readonly since: Date
  /** Why it is not up. */
  readonly error?: Error | undefined
}

/** What a log has beyond {@link EventLog} when it lives elsewhere and may be out of reach. */
export interface RemoteLog {
  /**
   * Resolves when the log can be used.
   *
   * @throws EventStreamError that says what is wrong, as soon as that is known: never a hang.
   */
  ready(): Promise<void>
  health(): LogHealth
}

export function isRemoteLog(log: object): log is RemoteLog {
  return 'ready' in log && 'health' in log
}
