import type { EntryId } from '../core/entry-id.js'
import type { StoredEvent } from '../log/event-log.js'
import { largestPage } from './page-limits.js'

interface Waiting {
  readonly entry: StoredEvent
  /** The look that was the last one to begin when it arrived. */
  readonly look: number
}

/** Entries that arrived before the one that they follow: a bounded number of events and of bytes. */
export class Ahead {
  readonly #byPrevId = new Map<EntryId, Waiting>()
  #length = 0

  get size(): number {
    return this.#byPrevId.size
  }

  /** @returns False when it is not kept: there is no room, or another entry follows the same one. */
  add(entry: StoredEvent, look: number): boolean {
    const other = this.#byPrevId.get(entry.prevId)
    if (other !== undefined) return other.entry.id === entry.id
    if (this.size >= largestPage.maxEvents || this.#length >= largestPage.maxLength) return false
    this.#byPrevId.set(entry.prevId, { entry, look })
    this.#length += entry.data.length
    return true
  }

  /** Takes out the entry that follows another one. */
  take(prevId: EntryId): StoredEvent | undefined {
    const waiting = this.#byPrevId.get(prevId)
    if (waiting !== undefined) this.#delete(waiting)
    return waiting?.entry
  }

  /** The place from which entries in here lead to `head` without a hole; `head` when none do. */
  startOf(head: EntryId): EntryId {
    const prevIds = new Map<EntryId, EntryId>()
    for (const { entry } of this.#byPrevId.values()) prevIds.set(entry.id, entry.prevId)
    let start = head
    for (let prevId = prevIds.get(start); prevId !== undefined; prevId = prevIds.get(start)) {
      prevIds.delete(start)
      start = prevId
    }
    return start
  }

  /** Drops what arrived before a look began. */
  dropBefore(look: number): void {
    for (const waiting of this.#byPrevId.values()) {
      if (waiting.look < look) this.#delete(waiting)
    }
  }

  #delete({ entry }: Waiting): void {
    this.#byPrevId.delete(entry.prevId)
    this.#length -= entry.data.length
  }
}
