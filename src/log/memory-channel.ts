import { type EntryId, formatEntryId, isEntryId, seqOf } from '../core/entry-id.js'
import type { Ordered, UseOrder } from '../core/use-order.js'
import { entryCost } from './entry-cost.js'
import type {
  Appended,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  StoredEvent,
} from './event-log.js'
import type { StreamLimits } from './stream-log.js'

/** What makes a channel a stream. Times are on the monotonic clock, but for `startedAt`. */
export interface MemoryStream {
  readonly token: string
  readonly origin: EntryId
  readonly startedAt: number
  leaseUntil: number
  limits: StreamLimits
}

interface Kept {
  readonly stored: StoredEvent
  /** Bytes that it takes. */
  readonly cost: number
  readonly at: number
  readonly idempotencyKey: string | undefined
}

/** What the entries of all channels take together. */
export interface Total {
  bytes: number
}

/** One channel of the in-memory log: a queue that is read by arithmetic on `seq`. */
export class MemoryChannel implements Ordered<MemoryChannel> {
  readonly name: string
  readonly listeners = new Set<LogListener>()
  /** What its entries take. */
  bytes = 0
  closed = false
  stream: MemoryStream | undefined
  /** When it was last read, followed or appended to, on the monotonic clock. */
  usedAt = 0
  head: EntryId
  /** A stream's timer for the end of its lease. */
  lease: NodeJS.Timeout | undefined
  order: UseOrder<MemoryChannel> | undefined
  before: MemoryChannel | undefined
  after: MemoryChannel | undefined
  readonly #total: Total
  #kept: Kept[] = []
  /** Index in `#kept` of the first entry that is not trimmed. */
  #start = 0
  /** Once there is a key: most channels never have one. */
  #idOfKey: Map<string, Appended> | undefined

  /** @param origin - The id before the first entry. */
  constructor(name: string, origin: EntryId, total: Total) {
    this.name = name
    this.head = origin
    this.#total = total
  }

  append(
    entries: readonly NewEntry[],
    nonce: () => number,
    at: number,
  ): { readonly appended: readonly Appended[]; readonly added: readonly StoredEvent[] } {
    const appended: Appended[] = []
    const added: StoredEvent[] = []
    let seq = seqOf(this.head)
    for (const { event, data, idempotencyKey } of entries) {
      const earlier = idempotencyKey === undefined ? undefined : this.#idOfKey?.get(idempotencyKey)
      if (earlier !== undefined) {
        appended.push({ ...earlier, duplicate: true })
        continue
      }
      seq += 1
      const stored = { id: formatEntryId(seq, nonce()), prevId: this.head, event, data }
      this.add(stored, at, idempotencyKey)
      const result = { id: stored.id, prevId: stored.prevId, duplicate: false }
      if (idempotencyKey !== undefined) {
        this.#idOfKey ??= new Map()
        this.#idOfKey.set(idempotencyKey, result)
      }
      appended.push(result)
      added.push(stored)
    }
    return { appended, added }
  }

  /** Adds an entry that has its id, behind the last one. */
  add(stored: StoredEvent, at: number, idempotencyKey?: string): void {
    const cost = entryCost(stored, idempotencyKey)
    this.#kept.push({ stored, cost, at, idempotencyKey })
    this.#grow(cost)
    this.head = stored.id
  }

  /** Forgets all entries, and goes on behind another one. */
  restart(head: EntryId): void {
    this.#kept = []
    this.#start = 0
    this.#idOfKey = undefined
    this.#grow(-this.bytes)
    this.head = head
  }

  /** What is left of it counts no more. */
  forget(): void {
    this.#grow(-this.bytes)
    this.order?.remove(this)
    clearTimeout(this.lease)
  }

  /** Whether somebody follows it, or produces it. */
  get isInUse(): boolean {
    return this.listeners.size > 0 || (this.stream !== undefined && !this.closed)
  }

  /** The last entry that is kept. */
  get last(): StoredEvent | undefined {
    return this.#kept.at(-1)?.stored
  }

  read(from: ReadFrom, { maxEvents, maxLength }: PageLimit): Page {
    const { index, gap } = this.#find(from)
    const entries: StoredEvent[] = []
    let length = 0
    for (let i = index; i < this.#kept.length && entries.length < maxEvents; i++) {
      if (length >= maxLength && entries.length > 0) break
      const kept = this.#kept[i] as Kept
      entries.push(kept.stored)
      length += kept.stored.data.length
    }
    return { entries, gap, head: this.head }
  }

  /** Drops the oldest entries past the limits, and those from before `oldest`. */
  trim(maxEvents: number, maxBytes: number, oldest: number): void {
    for (;;) {
      const first = this.#kept[this.#start]
      if (first === undefined) break
      const count = this.#kept.length - this.#start
      if (count <= maxEvents && this.bytes <= maxBytes && first.at > oldest) break
      this.#grow(-first.cost)
      if (first.idempotencyKey !== undefined) this.#idOfKey?.delete(first.idempotencyKey)
      // Freed at once: the queue itself is moved up only now and then.
      this.#kept[this.#start++] = undefined as unknown as Kept
    }
    if (this.#start * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#start)
      this.#start = 0
    }
  }

  #grow(bytes: number): void {
    this.bytes += bytes
    this.#total.bytes += bytes
  }

  #find(from: ReadFrom): { readonly index: number; readonly gap: Page['gap'] } {
    if (from === 'earliest') return { index: this.#start, gap: undefined }
    if (typeof from === 'object') {
      const index = Math.max(this.#start, this.#kept.length - from.last)
      return { index, gap: undefined }
    }
    if (from === this.head) return { index: this.#kept.length, gap: undefined }
    const first = this.#kept[this.#start]?.stored
    if (first === undefined) return { index: this.#start, gap: this.#whyMissing(from, this.head) }
    if (from === first.prevId) return { index: this.#start, gap: undefined }
    const index = this.#start + seqOf(from) - seqOf(first.id)
    if (this.#kept[index]?.stored.id === from) return { index: index + 1, gap: undefined }
    return { index: this.#start, gap: this.#whyMissing(from, first.prevId) }
  }

  /** A position from before what was trimmed may have been one of ours; any other one was not. */
  #whyMissing(from: EntryId, trimmedTo: EntryId): Page['gap'] {
    return isEntryId(from) && seqOf(from) < seqOf(trimmedTo) ? 'trimmed' : 'unknown'
  }
}
