import { encodeChannelName } from '../core/cursor.js'
import { type EntryId, seqOf } from '../core/entry-id.js'
import type { EventLog, Gap, PageLimit, StoredEvent } from '../log/event-log.js'
import { entryFields } from './reset.js'
import { share } from './shared-reads.js'

/** An entry whose fields are encoded, once for all connections. */
export interface EncodedEntry {
  readonly id: EntryId
  readonly prevId: EntryId
  /** `event` and `data` lines; the id comes with the cursor of whom it is sent to. */
  readonly fields: string
}

export interface EncodedPage {
  readonly entries: readonly EncodedEntry[]
  readonly gap: Gap | undefined
}

/** Gets what happens on a channel, with the channel's `position` already behind it. */
export interface ChannelListener {
  push(entry: EncodedEntry): void
  /** Entries were lost; the channel goes on from its new position. */
  reset(channel: ActiveChannel, gap: Gap): void
}

/** A page is about as much as a socket takes before it wants to drain. */
const pageLimit: PageLimit = { maxEvents: 256, maxLength: 65_536 }

/** What is kept of a channel that is in use, so that a crowd that reconnects reads the log once. */
const tailLimit = { maxEvents: 256, maxLength: 65_536 }

const retryResyncMs = 1000

/**
 * One channel while somebody listens to it. Whatever entries turn up, live, replayed or read again
 * after a hole, pass through here: the next one in the chain of `prevId` goes on to the listeners,
 * known ones are dropped, and a break in the chain is mended from the log. So there is one live
 * position per channel, and no reader is ever ahead of it.
 */
export class ActiveChannel {
  readonly name: string
  readonly encodedName: string
  readonly listeners = new Set<ChannelListener>()
  readonly #log: EventLog
  readonly #onError: (error: unknown) => void
  readonly #reads = new Map<EntryId, Promise<EncodedPage>>()
  #position: EntryId | undefined
  #tail: EncodedEntry[] = []
  #tailLength = 0
  #unfollow: (() => void) | undefined
  #opening: Promise<void> | undefined
  #resyncing: Promise<void> | undefined
  #arrivedMeanwhile = false
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(name: string, log: EventLog, onError: (error: unknown) => void) {
    this.name = name
    this.encodedName = encodeChannelName(name)
    this.#log = log
    this.#onError = onError
  }

  /** The last entry that went to the listeners. Only once `open` has resolved. */
  get position(): EntryId {
    return this.#position as EntryId
  }

  /** Follows the log. Resolves when live entries arrive and the position is known. */
  open(): Promise<void> {
    this.#opening ??= this.#open()
    return this.#opening
  }

  async #open(): Promise<void> {
    const unfollow = await this.#log.follow(this.name, {
      append: (entries) => this.offer(entries),
      suspect: () => this.#resyncSoon(),
    })
    if (this.#closed) {
      unfollow()
      return
    }
    this.#unfollow = unfollow
    const [head] = await this.#log.heads([this.name])
    this.#position ??= head
    // An entry that came meanwhile has set it: a new one, or an old one that was long on its way. Or
    // the log suspects that one was lost, maybe behind the head that is known now.
    if (this.#position !== head || this.#arrivedMeanwhile) await this.resync()
  }

  close(): void {
    this.#closed = true
    this.#unfollow?.()
    this.#unfollow = undefined
    clearTimeout(this.#retry)
  }

  /** Takes entries from anywhere, in any order: each goes on once, in the log's order. */
  offer(entries: readonly StoredEvent[]): void {
    if (this.#closed) return
    if (this.#resyncing !== undefined) {
      // They are in the log already, and the read that is under way may have missed them.
      this.#arrivedMeanwhile = true
      return
    }
    for (const entry of entries) {
      this.#position ??= entry.prevId
      if (entry.prevId === this.#position) this.#advance(entry)
      else if (!this.#knows(entry)) {
        this.#resyncSoon()
        return
      }
    }
  }

  /**
   * A page after an id: from the tail, or from the log, read once for all who want the same page.
   * What it has beyond the live position goes to the listeners first.
   */
  read(after: EntryId): EncodedPage | Promise<EncodedPage> {
    const known = this.#readTail(after)
    if (known !== undefined) return { entries: known, gap: undefined }
    return share(this.#reads, after, () => this.#readLog(after))
  }

  /** Brings the live position to the head of the log. */
  resync(): Promise<void> {
    this.#resyncing ??= this.#resync().finally(() => {
      this.#resyncing = undefined
    })
    return this.#resyncing
  }

  async #resync(): Promise<void> {
    do {
      this.#arrivedMeanwhile = false
      for (;;) {
        const { entries, gap, head } = await this.#log.read(this.name, this.position, pageLimit)
        if (this.#closed) return
        if (gap !== undefined) this.#jump(head, gap)
        else for (const entry of entries) this.#advance(entry)
        if (this.#position === head || (gap === undefined && entries.length === 0)) break
      }
    } while (this.#arrivedMeanwhile)
  }

  #resyncSoon(): void {
    if (this.#closed) return
    // A read that is under way may be from before what is suspected.
    this.#arrivedMeanwhile = true
    // Without a position there is nothing to read on from: who opens the channel does.
    if (this.#position === undefined) return
    this.resync().catch((error: unknown) => {
      this.#onError(error)
      if (this.#closed) return
      clearTimeout(this.#retry)
      const delayMs = retryResyncMs * (1 + Math.random())
      this.#retry = setTimeout(() => this.#resyncSoon(), delayMs).unref()
    })
  }

  #advance(entry: StoredEvent): void {
    const encoded = this.#encode(entry)
    this.#position = entry.id
    this.#tail.push(encoded)
    this.#tailLength += encoded.fields.length
    while (this.#tail.length > tailLimit.maxEvents || this.#tailLength > tailLimit.maxLength) {
      this.#tailLength -= (this.#tail.shift() as EncodedEntry).fields.length
    }
    for (const listener of this.listeners) listener.push(encoded)
  }

  #jump(head: EntryId, gap: Gap): void {
    this.#position = head
    this.#tail = []
    this.#tailLength = 0
    for (const listener of this.listeners) listener.reset(this, gap)
  }

  #encode(entry: StoredEvent): EncodedEntry {
    const { id, prevId } = entry
    return { id, prevId, fields: entryFields(this.name, entry, this.#onError) }
  }

  #knows(entry: StoredEvent): boolean {
    return entry.id === this.#position || this.#tailIndex(entry.id) !== undefined
  }

  #readTail(after: EntryId): readonly EncodedEntry[] | undefined {
    if (after === this.#position) return []
    if (after === this.#tail[0]?.prevId) return this.#tail.slice()
    const index = this.#tailIndex(after)
    return index === undefined ? undefined : this.#tail.slice(index + 1)
  }

  #tailIndex(id: EntryId): number | undefined {
    const first = this.#tail[0]
    if (first === undefined) return undefined
    const index = seqOf(id) - seqOf(first.id)
    return this.#tail[index]?.id === id ? index : undefined
  }

  async #readLog(after: EntryId): Promise<EncodedPage> {
    const { entries, gap } = await this.#log.read(this.name, after, pageLimit)
    const unseen = entries.findIndex((entry) => entry.prevId === this.#position)
    if (unseen !== -1) this.offer(entries.slice(unseen))
    return { entries: gap === undefined ? entries.map((entry) => this.#encode(entry)) : [], gap }
  }
}
