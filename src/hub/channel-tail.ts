import { type EntryId, seqOf } from '../core/entry-id.js'
import { type Ordered, UseOrder } from '../core/use-order.js'
import type { PageLimit } from '../log/event-log.js'
import { largestPage } from './page-limits.js'

/** An entry whose fields are encoded, once for all connections. */
export interface EncodedEntry {
  readonly id: EntryId
  readonly prevId: EntryId
  /** `event` and `data` lines; the id comes with the cursor of whom it is sent to. */
  readonly fields: string
  /** See `StoredEvent`. */
  readonly isLoss: boolean
}

/** What is kept of a channel that is in use, so that a crowd that reconnects reads the log once. */
const tailLimit: PageLimit = { maxEvents: 256, maxLength: 65_536 }

/** Bytes that the tails of all channels may have together, with what entries take beside their text. */
const maxTotalBytes = 67_108_864

/** Of an entry, beside its text. */
const overhead = 200

/** What the tails of an event stream's channels have together. Past its limit, those that were quiet for longest go. */
export class TailTotal {
  /** Those with entries that nobody needs: to drop them costs a read of the log later. */
  readonly spare = new UseOrder<ChannelTail>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes = maxTotalBytes) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  grow(bytes: number): void {
    this.#bytes += bytes
  }

  shrink(): void {
    while (this.#bytes > this.#maxBytes && this.spare.first !== undefined) this.spare.first.clear()
  }
}

/**
 * The last entries of a channel. While somebody reads the log, all that comes is kept: an answer of the log is as old
 * as its way, and whoever gets it must be able to go on from there.
 */
export class ChannelTail implements Ordered<ChannelTail> {
  order: UseOrder<ChannelTail> | undefined
  before: ChannelTail | undefined
  after: ChannelTail | undefined
  readonly #total: TailTotal
  #entries: EncodedEntry[] = []
  #length = 0
  #holds = 0

  constructor(total: TailTotal) {
    this.#total = total
  }

  add(entry: EncodedEntry): void {
    const last = this.#entries.at(-1)
    // Behind a loss, the log counts on from before it.
    if (last !== undefined && seqOf(entry.id) !== seqOf(last.id) + 1) this.clear()
    this.#entries.push(entry)
    this.#grow(1, entry.fields.length)
    this.#trim()
    this.#total.shrink()
  }

  /**
   * Takes in entries that were read, as far as they lead to what is here: others may want them too.
   *
   * @param position - The last entry, while nothing is here.
   */
  lead(entries: readonly EncodedEntry[], position: EntryId): void {
    const place = this.#entries[0]?.prevId ?? position
    const end = entries.findIndex(({ id }) => id === place) + 1
    let start = end
    let length = this.#length
    while (start > 0 && this.#entries.length + end - start < tailLimit.maxEvents) {
      length += (entries[start - 1] as EncodedEntry).fields.length
      if (length > tailLimit.maxLength) break
      start -= 1
      this.#length = length
    }
    if (start < end) this.#entries.unshift(...entries.slice(start, end))
  }

  clear(): void {
    this.#grow(-this.#entries.length, -this.#length)
    this.#entries = []
    this.order?.remove(this)
  }

  /** From here on nothing is dropped that fits the largest page, until `release`. */
  hold(): void {
    this.#holds += 1
    this.order?.remove(this)
  }

  release(): void {
    this.#holds -= 1
    this.#trim()
  }

  has(id: EntryId): boolean {
    return this.#indexOf(id) !== undefined
  }

  /** @returns A page of the entries after this one; undefined when it is no place in here. */
  read(id: EntryId, { maxEvents, maxLength }: PageLimit): readonly EncodedEntry[] | undefined {
    const index = id === this.#entries[0]?.prevId ? -1 : this.#indexOf(id)
    if (index === undefined) return undefined
    const start = index + 1
    let end = start
    let length = 0
    while (end < this.#entries.length && end - start < maxEvents && length < maxLength) {
      length += (this.#entries[end] as EncodedEntry).fields.length
      end += 1
    }
    return this.#entries.slice(start, end)
  }

  #indexOf(id: EntryId): number | undefined {
    const first = this.#entries[0]
    if (first === undefined) return undefined
    const index = seqOf(id) - seqOf(first.id)
    return this.#entries[index]?.id === id ? index : undefined
  }

  #trim(): void {
    const { maxEvents, maxLength } = this.#holds > 0 ? largestPage : tailLimit
    let count = 0
    let length = 0
    while (this.#entries.length - count > maxEvents || this.#length - length > maxLength) {
      length += (this.#entries[count] as EncodedEntry).fields.length
      count += 1
    }
    if (count === 1) this.#entries.shift()
    else if (count > 1) this.#entries.splice(0, count)
    this.#grow(-count, -length)
    if (this.#holds === 0 && this.#entries.length > 0) this.#total.spare.use(this)
    else this.order?.remove(this)
  }

  #grow(count: number, length: number): void {
    this.#length += length
    this.#total.grow(count * overhead + length)
  }
}
