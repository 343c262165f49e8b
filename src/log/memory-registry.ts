import { inBackground } from '../background.js'
import type { StreamEnd } from '../core/stream-end.js'
import type {
  NewRecord,
  RecordQuery,
  RegistryCounts,
  RegistryRecord,
  RegistryStore,
  Take,
} from './registry-store.js'

/** What is kept of one record. Times whose name ends in `Tick` are on the monotonic clock. */
interface Kept {
  record: RegistryRecord
  readonly lifetimeMs: number
  readonly pauseMs: number
  /** When its state became what it is, or when it was last heard of. */
  sinceTick: number
  hold: Hold | undefined
  /** The one that it waits in, behind all that are due before it. */
  queue: string
}

interface Hold {
  readonly holder: string
  readonly untilTick: number
  readonly isSettled: boolean
}

/** By id, in the order in which they are due. */
type Queue = Map<string, Kept>

/** Milliseconds between two looks for what is to be forgotten, when nobody calls. */
const sweepMs = 10_000

/**
 * A registry in this process's memory. Records of the same lifetime and pause wait in the order in which they
 * were heard of, so that nothing is ever sorted or looked through but what is told.
 */
export class MemoryRegistry implements RegistryStore {
  readonly #checkOpen: () => void
  readonly #records = new Map<string, Kept>()
  readonly #byUser = new Map<string, Queue>()
  readonly #active = new Map<string, Queue>()
  readonly #ended = new Map<string, Queue>()
  readonly #expired = new Map<string, Queue>()
  readonly #counts = { completed: 0, failed: 0, aborted: 0, orphaned: 0 }
  #sweeper: NodeJS.Timeout | undefined

  /** @param checkOpen - Throws once its log is closed. */
  constructor(checkOpen: () => void) {
    this.#checkOpen = checkOpen
  }

  async register(records: readonly NewRecord[]): Promise<readonly boolean[]> {
    const now = this.#begin()
    return records.map((record) => this.#register(record, now))
  }

  async heartbeat(ids: readonly string[]): Promise<readonly boolean[]> {
    const now = this.#begin()
    const lastHeartbeat = Date.now()
    return ids.map((id) => {
      const kept = this.#records.get(id)
      if (kept?.record.state !== 'active' || kept.hold?.isSettled) return false
      kept.record = { ...kept.record, lastHeartbeat }
      kept.sinceTick = now
      kept.hold = undefined
      // The last to be due.
      put(this.#active, kept)
      return true
    })
  }

  async remove(ids: readonly string[]): Promise<readonly boolean[]> {
    this.#begin()
    return ids.map((id) => {
      const kept = this.#records.get(id)
      if (kept !== undefined) this.#forget(kept)
      return kept !== undefined
    })
  }

  async get(id: string): Promise<RegistryRecord | undefined> {
    this.#begin()
    return this.#records.get(id)?.record
  }

  async list(query: RecordQuery): Promise<readonly RegistryRecord[]> {
    const now = this.#begin()
    const found: RegistryRecord[] = []
    if ('user' in query) {
      const own = [...(this.#byUser.get(query.user)?.values() ?? [])]
      for (let i = own.length - 1; i >= 0 && found.length < query.limit; i--) {
        found.push((own[i] as Kept).record)
      }
      return found
    }
    for (const { record } of this.#silent(query.silentMs, now)) {
      if (found.length >= query.limit) break
      found.push(record)
    }
    return found
  }

  async count(silentMs: number): Promise<RegistryCounts> {
    const now = this.#begin()
    let active = 0
    let silent = 0
    for (const queue of this.#active.values()) active += queue.size
    let longestSilenceMs: number | undefined
    for (const kept of this.#silent(0, now)) {
      const silenceMs = silenceOf(kept, now)
      longestSilenceMs ??= Math.floor(silenceMs)
      if (silenceMs < silentMs) break
      silent += 1
    }
    return { active: active - silent, silent, ...this.#counts, longestSilenceMs }
  }

  async end(id: string, state: StreamEnd): Promise<boolean | undefined> {
    const now = this.#begin()
    const kept = this.#records.get(id)
    if (kept === undefined) return undefined
    if (kept.record.state !== 'active') return false
    pull(this.#active, kept)
    kept.record = { ...kept.record, state, endedAt: Date.now() }
    kept.sinceTick = now
    kept.hold = undefined
    kept.queue = `${kept.lifetimeMs}`
    put(this.#ended, kept)
    this.#counts[state] += 1
    return true
  }

  async take({ silentMs, holder, holdMs, limit }: Take): Promise<readonly RegistryRecord[]> {
    const now = this.#begin()
    const taken: RegistryRecord[] = []
    for (const kept of this.#silent(silentMs, now)) {
      if (taken.length >= limit) break
      const { hold } = kept
      if (hold !== undefined && hold.holder !== holder && hold.untilTick > now) continue
      kept.hold = { holder, untilTick: now + holdMs, isSettled: hold?.isSettled ?? false }
      taken.push(kept.record)
    }
    return taken
  }

  async settle(id: string, holder: string): Promise<boolean> {
    const now = this.#begin()
    const kept = this.#records.get(id)
    const hold = kept?.hold
    if (kept === undefined || hold?.holder !== holder || hold.untilTick <= now) return false
    kept.hold = { ...hold, isSettled: true }
    return true
  }

  close(): void {
    clearInterval(this.#sweeper)
    for (const part of [this.#records, this.#byUser, this.#active, this.#ended, this.#expired]) {
      part.clear()
    }
  }

  #register(record: NewRecord, now: number): boolean {
    const { id, kind, type, user, metadata, lifetimeMs, pauseMs, replaces } = record
    const earlier = this.#records.get(id)
    if (earlier !== undefined) {
      if (!replaces && earlier.record.state !== 'expired') return false
      this.#forget(earlier)
    }
    const startedAt = Date.now()
    const kept: Kept = {
      record: {
        id,
        kind,
        type,
        user,
        metadata,
        startedAt,
        lastHeartbeat: startedAt,
        state: 'active',
        endedAt: undefined,
      },
      lifetimeMs,
      pauseMs,
      sinceTick: now,
      hold: undefined,
      queue: `${lifetimeMs} ${pauseMs}`,
    }
    this.#records.set(id, kept)
    put(this.#active, kept)
    if (user !== undefined) put(this.#byUser, kept, user)
    this.#sweeper ??= inBackground(() => setInterval(() => this.#sweep(), sweepMs).unref())
    return true
  }

  /** @returns The time. What is due by then has expired, or is forgotten. */
  #begin(): number {
    this.#checkOpen()
    return this.#sweep()
  }

  #sweep(): number {
    const now = performance.now()
    for (const queues of [this.#active, this.#ended]) {
      forEachDue(queues, now, (kept) => this.#expire(kept))
    }
    forEachDue(this.#expired, now, (kept) => this.#forget(kept))
    if (this.#records.size === 0) {
      clearInterval(this.#sweeper)
      this.#sweeper = undefined
    }
    return now
  }

  #expire(kept: Kept): void {
    this.#leave(kept)
    const { lastHeartbeat, endedAt = lastHeartbeat } = kept.record
    kept.record = { ...kept.record, state: 'expired', endedAt: endedAt + kept.lifetimeMs }
    kept.sinceTick += kept.lifetimeMs
    kept.hold = undefined
    // Of the queue that it was in, so that all are in the order in which they are due.
    put(this.#expired, kept)
  }

  #forget(kept: Kept): void {
    if (kept.record.state === 'expired') pull(this.#expired, kept)
    else this.#leave(kept)
    this.#records.delete(kept.record.id)
  }

  /** Takes it away from where it is found while it has not expired. */
  #leave(kept: Kept): void {
    const { user, state } = kept.record
    if (user !== undefined) pull(this.#byUser, kept, user)
    if (state === 'active') {
      pull(this.#active, kept)
    } else if (state !== 'expired') {
      pull(this.#ended, kept)
      this.#counts[state] -= 1
    }
  }

  /** Active ones, the longest silent first. */
  *#silent(silentMs: number, now: number): Iterable<Kept> {
    const queues = [...this.#active.values()].map((queue) => queue.values())
    const heads = queues.map((queue) => queue.next().value)
    for (;;) {
      let first = -1
      for (const [i, head] of heads.entries()) {
        const before = heads[first]
        if (head === undefined) continue
        if (before === undefined || restingUntil(head) < restingUntil(before)) first = i
      }
      const kept = heads[first]
      if (kept === undefined || silenceOf(kept, now) < silentMs) return
      yield kept
      heads[first] = queues[first]?.next().value
    }
  }
}

/** Puts one at the end of a queue. */
function put(queues: Map<string, Queue>, kept: Kept, name = kept.queue): void {
  const { id } = kept.record
  const queue: Queue = queues.get(name) ?? new Map()
  queue.delete(id)
  queue.set(id, kept)
  queues.set(name, queue)
}

function pull(queues: Map<string, Queue>, kept: Kept, name = kept.queue): void {
  const queue = queues.get(name)
  queue?.delete(kept.record.id)
  if (queue?.size === 0) queues.delete(name)
}

function forEachDue(queues: Map<string, Queue>, now: number, act: (kept: Kept) => void): void {
  for (const queue of queues.values()) {
    for (const kept of queue.values()) {
      if (kept.sinceTick + kept.lifetimeMs > now) break
      act(kept)
    }
  }
}

/** From when on silence counts. */
function restingUntil({ sinceTick, pauseMs }: Kept): number {
  return sinceTick + pauseMs
}

function silenceOf(kept: Kept, now: number): number {
  return Math.max(0, now - restingUntil(kept))
}
