import { type EntryId, formatEntryId, isEntryId, seqOf } from '../core/entry-id.js'
import type {
  Appended,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  StoredEvent,
} from './event-log.js'

interface Kept {
  readonly stored: StoredEvent
  readonly length: number
  readonly at: number
  readonly idempotencyKey: string | undefined
}

/** One channel of the in-memory log: a queue that is read by arithmetic on `seq`. */
export class MemoryChannel {
  readonly listeners = new Set<Pick<LogListener, 'append'>>()
  /** Payload kept, in UTF-16 units. */
  bytes = 0
  closed = false
  /** When it was last read, followed or appended to, on the monotonic clock. */
  usedAt = 0
  head: EntryId
  #kept: Kept[] = []
  /** Index in `#kept` of the first entry that is not trimmed. */
  #start = 0
  readonly #idOfKey = new Map<string, Appended>()

  /** @param origin - The id before the first entry. */
  constructor(origin: EntryId) {
    this.head = origin
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
      const earlier = idempotencyKey === undefined ? undefined : this.#idOfKey.get(idempotencyKey)
      if (earlier !== undefined) {
        appended.push({ ...earlier, duplicate: true })
        continue
      }
      seq += 1
      const stored = { id: formatEntryId(seq, nonce()), prevId: this.head, event, data }
      const length = data.length + (event?.length ?? 0)
      this.#kept.push({ stored, length, at, idempotencyKey })
      this.bytes += length
      this.head = stored.id
      const result = { id: stored.id, prevId: stored.prevId, duplicate: false }
      if (idempotencyKey !== undefined) this.#idOfKey.set(idempotencyKey, result)
      appended.push(result)
      added.push(stored)
    }
    return { appended, added }
  }

  read(from: ReadFrom, { maxEvents, maxLength }: PageLimit): Page {
    const { index, gap } = this.#find(from)
    const entries: StoredEvent[] = []
    let length = 0
    for (let i = index; i < this.#kept.length && entries.length < maxEvents; i++) {
      if (length >= maxLength && entries.length > 0) break
      const kept = this.#kept[i] as Kept
      entries.push(kept.stored)
      length += kept.length
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
      this.bytes -= first.length
      if (first.idempotencyKey !== undefined) this.#idOfKey.delete(first.idempotencyKey)
      // Freed at once: the queue itself is moved up only now and then.
      this.#kept[this.#start++] = undefined as unknown as Kept
    }
    if (this.#start * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#start)
      this.#start = 0
    }
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
