import { type EntryId, seqOf } from '../core/entry-id.js'
import { entryCost } from '../log/entry-cost.js'
import type { PageLimit, StoredEvent } from '../log/event-log.js'

/**
 * The newest entries of a stream that this process produces: all that the log does not have yet, and
 * some that it has. So readers beside the producer never wait for the log.
 */
export class Tail {
  head: EntryId
  /** Bytes that the log does not have. */
  aheadBytes = 0
  readonly #keepBytes: number
  #entries: StoredEvent[] = []
  #bytes = 0
  /** Number of entries, from the first one on, that the log has. */
  #appended = 0

  /** @param keepBytes - What is kept of what the log has. */
  constructor(head: EntryId, keepBytes: number) {
    this.head = head
    this.#keepBytes = keepBytes
  }

  add(entry: StoredEvent): void {
    this.#entries.push(entry)
    const cost = entryCost(entry)
    this.#bytes += cost
    this.aheadBytes += cost
    this.head = entry.id
  }

  /** The log has all up to this one. */
  appended(id: EntryId): void {
    const first = this.#entries[0]
    if (first === undefined) return
    const count = seqOf(id) - seqOf(first.id) + 1
    for (; this.#appended < count; this.#appended++) {
      this.aheadBytes -= entryCost(this.#entries[this.#appended] as StoredEvent)
    }
    this.#drop()
  }

  /** The log will never have more than it has: what is here is all there is. */
  detach(): void {
    this.#appended = this.#entries.length
    this.aheadBytes = 0
    this.#drop()
  }

  /** @returns Entries after this one; undefined when it is not a place in here. */
  after(id: EntryId, { maxEvents, maxLength }: PageLimit): StoredEvent[] | undefined {
    if (id === this.head) return []
    const first = this.#entries[0]
    if (first === undefined) return undefined
    const index = id === first.prevId ? 0 : seqOf(id) - seqOf(first.id) + 1
    if (id !== (index === 0 ? first.prevId : this.#entries[index - 1]?.id)) return undefined
    const page: StoredEvent[] = []
    let length = 0
    for (let i = index; i < this.#entries.length && page.length < maxEvents; i++) {
      if (length >= maxLength && page.length > 0) break
      const entry = this.#entries[i] as StoredEvent
      page.push(entry)
      length += entry.data.length
    }
    return page
  }

  /** Many at a time: to move the rest up costs as much as there is of it. */
  #drop(): void {
    if (this.#bytes <= 2 * this.#keepBytes) return
    let count = 0
    while (count < this.#appended && this.#bytes > this.#keepBytes) {
      this.#bytes -= entryCost(this.#entries[count] as StoredEvent)
      count += 1
    }
    this.#entries = this.#entries.slice(count)
    this.#appended -= count
  }
}
