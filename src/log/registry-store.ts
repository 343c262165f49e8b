import type { StreamEnd } from '../core/stream-end.js'
import type { EventLog } from './event-log.js'

/**
 * `expired`: it has ended, or was last heard of, longer ago than its lifetime. What it said is gone, and for as
 * long again it is known that it was.
 */
export type RecordState = 'active' | StreamEnd | 'expired'

/** What a registry keeps of one stream, or of one connection. Times are the store's, in milliseconds since 1970. */
export interface RegistryRecord {
  readonly id: string
  readonly kind: 'stream' | 'connection'
  readonly type: string
  readonly user: string | undefined
  /** JSON. */
  readonly metadata: string
  readonly startedAt: number
  readonly lastHeartbeat: number
  readonly state: RecordState
  /** When its state became what it is, unless that is `active`. */
  readonly endedAt: number | undefined
}

export interface NewRecord
  extends Pick<RegistryRecord, 'id' | 'kind' | 'type' | 'user' | 'metadata'> {
  /** Milliseconds after which it expires, since it was last heard of or has ended. */
  readonly lifetimeMs: number
  /** Milliseconds that it is silent between two heartbeats by its nature, which do not count as silence. */
  readonly pauseMs: number
  /**
   * Whether it takes the place of a record that is active or has ended, and not only of one that has expired: the
   * log has just said that it is the one of this id.
   */
  readonly replaces: boolean
}

/** Which records. Those that have expired are never listed. */
export type RecordQuery =
  /** All of one user, the latest first. */
  | { readonly user: string; readonly limit: number }
  /** Active, and silent for at least so many milliseconds; the longest first. */
  | { readonly silentMs: number; readonly limit: number }

/** Who looks after silent records wants some, that nobody else holds. */
export interface Take {
  readonly silentMs: number
  /** Whoever takes them: 1 to 64 characters of `[A-Za-z0-9_-]`. */
  readonly holder: string
  /** Milliseconds for which nobody else gets them. */
  readonly holdMs: number
  readonly limit: number
}

/** How many there are in each state, of those that have not expired. */
export interface RegistryCounts {
  /** Active ones that were heard of, less than so many milliseconds of silence ago. */
  readonly active: number
  /** Active ones that were not. */
  readonly silent: number
  readonly completed: number
  readonly failed: number
  readonly aborted: number
  readonly orphaned: number
  /** Of all active ones the longest silence, in milliseconds, 0 at least; undefined when there is none. */
  readonly longestSilenceMs: number | undefined
}

/**
 * Who streams what, and how it ended. All of it is by the store's clock, and
 * nothing stays: a record is forgotten when it has been `expired` for as long as its lifetime.
 * `registrySuite` is the contract in executable form.
 */
export interface RegistryStore {
  /** @returns For each whether it was registered: not where there is a record of its id that it does not replace. */
  register(records: readonly NewRecord[]): Promise<readonly boolean[]>

  /**
   * Records are heard of. One that was taken, and is not settled, is free again.
   *
   * @returns For each whether it is active, and not being settled.
   */
  heartbeat(ids: readonly string[]): Promise<readonly boolean[]>

  /** Takes records away, whatever their state. Returns for each whether there was one. */
  remove(ids: readonly string[]): Promise<readonly boolean[]>

  get(id: string): Promise<RegistryRecord | undefined>

  list(query: RecordQuery): Promise<readonly RegistryRecord[]>

  /** How many there are, where `silentMs` of silence are too many for an active one. */
  count(silentMs: number): Promise<RegistryCounts>

  /**
   * Gives an active record its end. The first one counts.
   *
   * @returns Whether it was this one; undefined when there is no such record.
   */
  end(id: string, state: StreamEnd): Promise<boolean | undefined>

  /**
   * Takes active records that are silent; of all who ask at once, one gets each. The longest silent come first.
   * What the holder has taken before and holds still is among them.
   */
  take(take: Take): Promise<readonly RegistryRecord[]>

  /**
   * Whether a record that was taken is still held, and was not heard of since. From then on its heartbeats are refused:
   * its end is about to be written elsewhere, then here. It stays held, and who takes it when that has
   * run out has to finish what was begun.
   */
  settle(id: string, holder: string): Promise<boolean>
}

/** What a log has beyond its streams when it keeps a registry. */
export interface RegistryLog extends EventLog {
  readonly registry: RegistryStore
  /**
   * Drops a stream that has ended, with its entries: its id is then unknown.
   *
   * @returns False when there is none, or it has not ended.
   */
  dropStream(channel: string): Promise<boolean>
}

export function isRegistryLog(log: EventLog): log is RegistryLog {
  return 'registry' in log && 'dropStream' in log
}
