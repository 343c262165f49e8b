import { inBackground } from '../background.js'
import { encodeChannelName } from '../core/cursor.js'
import { type EntryId, seqOf } from '../core/entry-id.js'
import { quoteName } from '../core/log-names.js'
import type { EventLog, Gap, PageLimit, StoredEvent } from '../log/event-log.js'
import { areEntries, readInstead, unreadable } from '../log/intake.js'
import { Ahead } from './ahead.js'
import { ChannelTail, type EncodedEntry, TailTotal } from './channel-tail.js'
import { type PageBeforeEnd, readPage } from './ended-streams.js'
import { nextLimit, pageLimit } from './page-limits.js'
import { entryFields } from './reset.js'
import { share } from './shared-reads.js'

export interface EncodedPage {
  readonly entries: readonly EncodedEntry[]
  readonly gap: Gap | undefined
  /** The id of the channel's last entry when the page was read. */
  readonly head: EntryId
}

/** Gets what happens on a channel, with the channel's `position` already behind it. */
export interface ChannelListener {
  push(entry: EncodedEntry, channel: ActiveChannel): void
  /** Entries were lost; the channel goes on from its new position. */
  reset(channel: ActiveChannel, gap: Gap): void
}

/** What a page of a look has come to: the head, not yet, or a place that the log no longer has. */
type Reached = 'head' | 'more' | 'elsewhere'

const retryLookMs = 1000

/**
 * How often a look that finds the live position in no place of the log reads again, as live entries moved it meanwhile:
 * late ones of a log that was lost, or of one that trims faster than it is read.
 */
const maxElsewhere = 3

/**
 * One channel while somebody listens to it. Whatever entries turn up, live, replayed or read again
 * after a hole, pass through here: the next one in the chain of `prevId` goes on to the listeners,
 * known ones are dropped, and those that come too early wait until a look into the log has brought
 * what is before them. So there is one live position per channel, and no reader is ever ahead of it.
 *
 * Nothing waits for live entries to pause: a look ends at the head that its first page told of, and
 * what arrives meanwhile goes on behind it.
 */
export class ActiveChannel {
  readonly name: string
  readonly encodedName: string
  readonly listeners = new Set<ChannelListener>()
  readonly #log: EventLog
  readonly #onError: (error: unknown) => void
  readonly #reads = new Map<EntryId, Promise<EncodedPage>>()
  readonly #tail: ChannelTail
  readonly #ahead = new Ahead()
  #position: EntryId | undefined
  #unfollow: (() => void) | undefined
  #following: Promise<void> | undefined
  #locating: Promise<void> | undefined
  /** How many looks have begun. */
  #looks = 0
  #look: Promise<void> | undefined
  /** Begins when the one that is under way has ended. */
  #nextLook: Promise<void> | undefined
  /** Something is missing that no look has begun after. */
  #mustLook = false
  /** The log was found there before the position was known. */
  #suspected: EntryId | undefined
  #retry: NodeJS.Timeout | undefined
  #closed = false

  /** @param position - Where to begin; by default at the head, which `locate` finds. */
  constructor(
    name: string,
    log: EventLog,
    onError: (error: unknown) => void,
    position?: EntryId | undefined,
    tails = new TailTotal(),
  ) {
    this.name = name
    this.encodedName = encodeChannelName(name)
    this.#log = log
    this.#onError = onError
    this.#position = position
    this.#tail = new ChannelTail(tails)
  }

  /** The last entry that went to the listeners; before `locate` has resolved, an id that no entry has. */
  get position(): EntryId {
    return this.#position ?? ''
  }

  /** Follows the log. Resolves when live entries arrive. */
  follow(): Promise<void> {
    this.#following ??= this.#follow().catch((error: unknown) => {
      this.#following = undefined
      throw error
    })
    return this.#following
  }

  async #follow(): Promise<void> {
    const unfollow = await this.#log.follow(this.name, {
      append: (entries) => this.#told(entries),
      suspect: (head) => this.#suspect(head),
    })
    if (this.#closed) unfollow()
    else this.#unfollow = unfollow
  }

  /** Resolves when the position is known, once `follow` has resolved. */
  async locate(): Promise<EntryId> {
    if (this.#position === undefined) {
      this.#locating ??= this.#locate().finally(() => {
        this.#locating = undefined
      })
      await this.#locating
    }
    return this.position
  }

  async #locate(): Promise<void> {
    // A log that has looked while it began to follow has said what it found.
    const [head] = this.#suspected ? [this.#suspected] : await this.#log.heads([this.name])
    if (this.#closed || head === undefined) return
    // Live entries that arrived meanwhile lead there, or on from there.
    this.#position = this.#ahead.startOf(head)
    this.#advanceAhead()
    if (this.#suspected !== undefined && !this.knows(this.#suspected)) this.#mustLook = true
    // Others may be old ones that were long on their way, or of a log that was lost since.
    if (this.#mustLook || this.#ahead.size > 0) this.#lookSoon()
  }

  close(): void {
    this.#closed = true
    this.#unfollow?.()
    this.#unfollow = undefined
    this.#tail.clear()
    clearTimeout(this.#retry)
  }

  #told(entries: readonly StoredEvent[]): void {
    if (areEntries(entries)) {
      this.offer(entries)
      return
    }
    this.#onError(unreadable(`What was told of the channel ${quoteName(this.name)}`, readInstead))
    this.#suspect()
  }

  /** Takes entries from anywhere, in any order: each goes on once, in the log's order. */
  offer(entries: readonly StoredEvent[]): void {
    if (this.#closed) return
    for (const entry of entries) {
      if (entry.prevId === this.#position) this.#advance(entry)
      else if (!this.knows(entry.id)) this.#keepAhead(entry)
    }
    if (this.#ahead.size > 0) this.#advanceAhead()
    if (this.#mustLook || this.#ahead.size > 0) this.#lookSoon()
  }

  /**
   * A page after an id: from the tail, or from the log, read once for all who want the same page.
   * What it has beyond the live position goes to the listeners first.
   */
  read(after: EntryId, limit: PageLimit): EncodedPage | Promise<EncodedPage> {
    const known = after === this.#position ? [] : this.#tail.read(after, limit)
    if (known !== undefined) return { entries: known, gap: undefined, head: this.position }
    return share(this.#reads, after, () => this.#readLog(after, limit))
  }

  /** Keeps what comes from here on until `release`, so that who reads the log can go on from there. */
  hold(): void {
    this.#tail.hold()
  }

  release(): void {
    this.#tail.release()
  }

  /** Brings the live position to where the head of the log is now, or further. */
  resync(): Promise<void> {
    // The look that is under way may be from before what the caller knows of.
    this.#nextLook ??= this.#lookAfter(this.#look)
    return this.#nextLook
  }

  async #lookAfter(before: Promise<void> | undefined): Promise<void> {
    // Those who wait for that one hear of its error.
    await before?.catch(() => undefined)
    await undefined
    this.#look = this.#nextLook
    this.#nextLook = undefined
    try {
      await this.locate()
      if (!this.#closed) await this.#lookOnce()
    } catch (error) {
      this.#lookLater()
      throw error
    } finally {
      this.#look = undefined
    }
    if (this.#mustLook || this.#ahead.size > 0) this.#lookSoon()
  }

  #lookLater(): void {
    if (this.#closed) return
    this.#mustLook = true
    const delayMs = retryLookMs * (1 + Math.random())
    this.#retry ??= inBackground(() => setTimeout(() => this.#suspect(), delayMs).unref())
  }

  async #lookOnce(): Promise<void> {
    this.#mustLook = false
    this.#looks += 1
    const look = this.#looks
    let limit = pageLimit
    let target: EntryId | undefined
    let elsewhere = 0
    this.hold()
    try {
      for (;;) {
        const after = this.position
        const page = await readPage(this.#log, this.name, after, limit)
        if (this.#closed) return
        target ??= page.head
        const reached = this.#take(page, after, target)
        if (reached === 'head') break
        if (reached === 'elsewhere') {
          elsewhere += 1
          target = undefined
          if (elsewhere > maxElsewhere) {
            this.#jump(page.head, page.gap ?? 'unknown')
            break
          }
        }
        limit = nextLimit(limit)
      }
    } finally {
      this.release()
    }
    // What had arrived by then and follows nothing was known, or is of a log that is no more.
    this.#ahead.dropBefore(look)
  }

  #take({ entries, gap, head, end }: PageBeforeEnd, after: EntryId, target: EntryId): Reached {
    this.#advanceAlong(entries)
    // Before its head is compared: a log that went back has one that is known.
    if (gap !== undefined && this.#position === after) {
      this.#jump(head, gap)
      if (end !== undefined) this.#advanceAlong([end])
      return 'head'
    }
    if (this.knows(head)) return 'head'
    if (gap !== undefined) return 'elsewhere'
    const last = entries.at(-1)
    if (last === undefined) return 'head'
    if (!this.knows(last.id)) return 'elsewhere'
    return seqOf(this.position) >= seqOf(target) ? 'head' : 'more'
  }

  #suspect(head?: EntryId): void {
    if (head !== undefined && this.#position === undefined) {
      this.#suspected = head
      return
    }
    if (head !== undefined && this.knows(head)) return
    this.#mustLook = true
    // The log is there again, perhaps.
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#lookSoon()
  }

  /** Looks, unless somebody will: a look that is under way is followed by another one where that is needed. */
  #lookSoon(): void {
    const isDue = this.#look === undefined && this.#nextLook === undefined
    // Without a position there is nothing to read on from: whoever finds it looks.
    if (!isDue || this.#closed || this.#position === undefined || this.#retry !== undefined) return
    this.resync().catch((error: unknown) => this.#onError(error))
  }

  #keepAhead(entry: StoredEvent): void {
    const isOld = this.#position !== undefined && seqOf(entry.id) <= seqOf(this.#position)
    if (isOld || !this.#ahead.add(entry, this.#looks)) this.#mustLook = true
  }

  #advanceAhead(): void {
    for (;;) {
      const entry = this.#ahead.take(this.position)
      if (entry === undefined) return
      this.#advance(entry)
    }
  }

  /** Goes on along entries that were read, as far as they follow the position. */
  #advanceAlong(entries: readonly StoredEvent[]): void {
    for (const entry of entries) if (entry.prevId === this.#position) this.#advance(entry)
    if (this.#ahead.size > 0) this.#advanceAhead()
  }

  #advance(entry: StoredEvent): void {
    const encoded = this.#encode(entry)
    this.#position = entry.id
    this.#tail.add(encoded)
    for (const listener of this.listeners) listener.push(encoded, this)
  }

  #jump(head: EntryId, gap: Gap): void {
    this.#position = head
    this.#tail.clear()
    for (const listener of this.listeners) listener.reset(this, gap)
    this.#advanceAhead()
  }

  #encode(entry: StoredEvent): EncodedEntry {
    const { id, prevId, isLoss = false } = entry
    const fields = entryFields(this.name, entry, this.#onError)
    return { id, prevId, fields, isLoss }
  }

  /** Whether it is the live position, or among the last entries before that. */
  knows(id: EntryId): boolean {
    return id === this.#position || this.#tail.has(id)
  }

  async #readLog(after: EntryId, limit: PageLimit): Promise<EncodedPage> {
    const { entries, gap, head } = await readPage(this.#log, this.name, after, limit)
    if (!this.#closed) this.#advanceAlong(entries)
    if (gap !== undefined) return { entries: [], gap, head }
    const encoded = entries.map((entry) => this.#encode(entry))
    this.#tail.lead(encoded, this.position)
    return { entries: encoded, gap, head }
  }
}
