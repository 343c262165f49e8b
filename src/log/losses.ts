import { type EntryId, seqOf } from '../core/entry-id.js'
import { EventStreamError } from '../core/errors.js'
import type { Appended, Page, PageLimit, ReadFrom, StoredEvent } from './event-log.js'
import { type KnownTail, KnownTails, type Link } from './known-tails.js'
import { behindLoss, lossesAt, parseLosses } from './loss-marks.js'

/** Where a log ends, as a store has it. */
export interface StoredHead {
  /** The last entry that readers may have. */
  readonly head: EntryId
  /** The last entry that is there, where some are hidden from readers until they are safe. */
  readonly end: EntryId
}

/** A page as a store has it. */
export interface StoredPage extends Page, StoredHead {
  /** With the gap `unknown`, what the store says of losses, see `parseLosses`. */
  readonly losses: string
}

/**
 * - `kept`: the log has the last entry.
 * - `absent`: there is no such channel, or it began since. No reader has a position from before.
 * - otherwise the entry was lost, and this is the log's head.
 */
export type Looked = 'kept' | 'absent' | { readonly head: EntryId }

/** What a store does. */
export interface LossHost {
  /** Another number whenever what answers may be another server, or the same one from before. */
  server(): number
  read(channel: string, from: ReadFrom, limit: PageLimit): Promise<StoredPage>
  heads(channels: readonly string[]): Promise<readonly StoredHead[]>
  /** Looks for the last entry of each. */
  look(tails: readonly KnownTail[]): Promise<readonly Looked[]>
  /** As `look`, and marks what is lost: once, whoever notices. */
  mark(tail: KnownTail): Promise<Looked>
}

/** How often a look is repeated because something was lost: the log may go back again meanwhile. */
const maxMarks = 4

/** Channels of one question. */
const batch = 100

/**
 * Notices that a log has lost its end, and makes that a place in the log: an entry that is a mark, which each reader
 * comes to once. What is known to have been in the log is what was acknowledged, delivered or read here.
 */
export class Losses {
  readonly #tails: KnownTails
  readonly #host: LossHost
  readonly #marking = new Map<string, Promise<boolean>>()
  /** What came while a loss was being marked, by channel. */
  readonly #late = new Map<string, Link[]>()
  readonly #watchers = new Set<(channel: string) => void>()

  constructor(host: LossHost, tails = new KnownTails()) {
    this.#host = host
    this.#tails = tails
  }

  /** Calls a function with each channel that is found to have lost its end, until the function that this returns is called. */
  watch(watcher: (channel: string) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** As `EventLog.read`: a position that was lost goes on behind the last entry that was not. */
  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const { losses, end: _end, ...page } = await this.#look(channel, from, limit)
    if (losses === '' || typeof from !== 'string') return page
    for (const loss of lossesAt(from, parseLosses(losses))) {
      const { entries, gap, head } = await this.#look(channel, loss.fork, limit)
      if (gap === undefined) return { entries: behindLoss(from, loss, entries), gap, head }
    }
    return page
  }

  /** As `EventLog.heads`. */
  async heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    for (let marked = 0; ; marked++) {
      const server = this.#host.server()
      const known = channels.map((channel) => this.#tails.last(channel))
      const heads = await this.#host.heads(channels)
      const lost = channels.filter((_channel, i) =>
        isBefore((heads[i] as StoredHead).end, known[i]),
      )
      if (lost.length === 0 && server === this.#host.server()) {
        for (const [i, { head }] of heads.entries()) {
          this.#tails.learnHead(channels[i] as string, head)
        }
      }
      if (lost.length === 0 || marked === maxMarks) return heads.map(({ head }) => head)
      await Promise.all(lost.map((channel) => this.#mark(channel)))
    }
  }

  /**
   * Entries were delivered.
   *
   * @param server - What `LossHost.server` told when they were asked for.
   */
  delivered(channel: string, entries: readonly StoredEvent[], server = this.#host.server()): void {
    if (this.#tails.contradict(channel, entries)) void this.#mark(channel).catch(ignore)
    else this.#learn(channel, entries, server)
  }

  /** Whether this is one of the last entries that are known to have been in the log. */
  knows(channel: string, id: EntryId): boolean {
    return this.#tails.has(channel, id)
  }

  /** What an append must ask for, see `KnownTails`. */
  asks(channel: string): string {
    return this.#tails.asks(channel, this.#host.server())
  }

  /**
   * Entries were acknowledged.
   *
   * @param server - What `LossHost.server` told when the append was sent.
   * @param wasLost - What the append asked for was lost. The mark is there.
   */
  appended(channel: string, appended: readonly Appended[], server: number, wasLost: boolean): void {
    const learn = () => {
      this.#tails.wasThere(channel, server)
      const added = appended.filter(({ duplicate }) => !duplicate)
      this.#learn(channel, added, server)
    }
    if (!wasLost && !this.#tails.contradict(channel, appended)) learn()
    // The append has told of one entry at most: others may be known.
    else void this.#mark(channel).then(learn, ignore)
  }

  /** Looks whether what is known is there, as the log may be another one. */
  async check(): Promise<void> {
    const { channels } = this.#tails
    for (let i = 0; i < channels.length; i += batch) {
      const tails = channels.slice(i, i + batch).flatMap((channel) => this.#lastOf(channel))
      const server = this.#host.server()
      const looked = await this.#host.look(tails)
      const lost = tails.filter((_tail, n) => looked[n] !== 'kept')
      for (const [n, { channel }] of tails.entries()) {
        if (looked[n] === 'kept') this.#tails.wasThere(channel, server)
      }
      await Promise.all(lost.map(({ channel }) => this.#mark(channel)))
    }
  }

  #lastOf(channel: string): readonly KnownTail[] {
    const tail = this.#tails.tail(channel)
    if (tail === undefined) return []
    const last = tail.nonces.length - 1
    return [{ ...tail, first: tail.first + last, nonces: tail.nonces.slice(last) }]
  }

  /** Whether the log seems to have lost what is known by now, perhaps since the page was asked for. */
  #misses(channel: string, from: ReadFrom, { end }: StoredPage): boolean {
    return this.#isKnown(channel, from) || isBefore(end, this.#tails.last(channel))
  }

  #isKnown(channel: string, from: ReadFrom): boolean {
    return typeof from === 'string' && this.knows(channel, from)
  }

  /** Reads a page of a log that has what is known, or in which its loss is marked. */
  async #look(channel: string, from: ReadFrom, limit: PageLimit): Promise<StoredPage> {
    for (let marked = 0; ; marked++) {
      const server = this.#host.server()
      const known = this.#tails.last(channel)
      const isKnown = this.#isKnown(channel, from)
      const page = await this.#host.read(channel, from, limit)
      const isGone = page.gap === 'unknown' && (isKnown || this.#misses(channel, from, page))
      const isLost = isGone || (known !== undefined && hasLost({ ...page, head: page.end }, known))
      if (isLost && marked < maxMarks && (await this.#mark(channel))) continue
      if (page.gap === undefined) this.#learn(channel, page.entries, server)
      return page
    }
  }

  /** What comes while a loss is marked may be of the lost history, or of what is there: it is looked at behind that. */
  #learn(channel: string, entries: readonly Link[], server: number): void {
    if (server !== this.#host.server()) return
    const marking = this.#marking.get(channel)
    if (marking === undefined) this.#tails.learn(channel, entries, server)
    else this.#learnLater(channel, entries, server, marking)
  }

  #learnLater(
    channel: string,
    entries: readonly Link[],
    server: number,
    marking: Promise<boolean>,
  ): void {
    const waiting = this.#late.get(channel)
    if (waiting !== undefined) {
      waiting.push(...entries)
      return
    }
    const late = [...entries]
    this.#late.set(channel, late)
    void marking.catch(ignore).then(() => {
      this.#late.delete(channel)
      if (server !== this.#host.server()) return
      // Answers may come in another order than what they tell of.
      late.sort((a, b) => seqOf(a.id) - seqOf(b.id))
      this.#tails.learn(channel, late, server)
    })
  }

  /**
   * Marks what was lost, once for all who notice at the same time.
   *
   * @returns Whether it could.
   */
  #mark(channel: string): Promise<boolean> {
    const tail = this.#tails.tail(channel)
    let marking = this.#marking.get(channel)
    if (marking === undefined) {
      marking = this.#tell(tail).finally(() => this.#marking.delete(channel))
      this.#marking.set(channel, marking)
    }
    return marking
  }

  async #tell(tail: KnownTail | undefined): Promise<boolean> {
    if (tail === undefined) return true
    const { channel } = tail
    try {
      const server = this.#host.server()
      const looked = await this.#host.mark(tail)
      if (server !== this.#host.server()) return true
      if (looked === 'absent') this.#tails.forget(channel)
      else if (looked === 'kept') this.#tails.wasThere(channel, server)
      else {
        this.#tails.beginAt(channel, looked.head)
        this.#tails.wasThere(channel, server)
        for (const watcher of [...this.#watchers]) watcher(channel)
      }
      return true
    } catch (error) {
      // Who may not write cannot mark it either.
      if (!(error instanceof EventStreamError) || error.code !== 'ERR_LOG_REFUSED') throw error
      return false
    }
  }
}

/** What a log has whose store may lose what it had acknowledged. */
export interface LossyLog {
  readonly losses: Losses
}

export function lossesOf(log: object): Losses | undefined {
  return 'losses' in log ? (log as LossyLog).losses : undefined
}

/** @param known - An entry that was known when the page was asked for. */
function hasLost({ entries, head }: Page, known: EntryId): boolean {
  if (isBefore(head, known)) return true
  const [first] = entries
  const here = first && entries[seqOf(known) - seqOf(first.id)]
  return here !== undefined && here.id !== known
}

/** Whether a log that ends here has not got an entry that it must have. */
function isBefore(head: EntryId, known: EntryId | undefined): boolean {
  if (known === undefined || head === known) return false
  return seqOf(head) <= seqOf(known)
}

const ignore = () => undefined
