import type { EntryId } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { encodeEnding, endId } from '../../core/stream-end.js'
import type { LogListener, Page, PageLimit, ReadFrom, StoredEvent } from '../../log/event-log.js'
import { chained } from '../../log/intake.js'
import type { StreamInfo } from '../../log/stream-log.js'
import { lengthOf } from './entry-text.js'
import type { Store } from './store.js'
import { originOf } from './streams-only.js'
import { doneInfo, encodeDone, parseDone, restPage, type VolatileKeys } from './volatile-format.js'
import { repliesOf, type Tell } from './volatile-protocol.js'
import { Questions } from './volatile-questions.js'

export interface PeerOptions {
  readonly store: Store
  readonly prefix: string
  readonly keysOf: (channel: string) => VolatileKeys
  /** Milliseconds that what is left of an orphaned stream is kept. */
  readonly maxAgeMs: number
  readonly replyTimeoutMs: number
  readonly aliveMs: number
}

interface Followed {
  readonly channel: string
  readonly followers: Set<LogListener>
  readonly ready: Promise<void>
  /** Where followers are. */
  seen: EntryId
  /** How it stands, once it is orphaned. */
  rest: StreamInfo | undefined
  /** Whether it was told that it has ended, with its entries gone. */
  isGone: boolean
}

const orphaned = encodeEnding({ state: 'orphaned' })

/** Streams that other processes produce, and keep. */
export class Peers {
  readonly #options: PeerOptions
  readonly #questions: Questions
  readonly #followed = new Map<string, Followed>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: PeerOptions) {
    this.#options = options
    const { store, prefix, replyTimeoutMs, keysOf } = options
    this.#questions = new Questions({
      store,
      replies: repliesOf(prefix),
      replyTimeoutMs,
      askOf: (channel) => keysOf(channel).ask,
      onLive: (tell) => this.#live(tell),
    })
  }

  async info(channel: string): Promise<StreamInfo | undefined> {
    const rest = this.#followed.get(channel)?.rest
    return rest ?? this.#asked(channel, (tell) => (tell.kind === 'info' ? tell.info : undefined))
  }

  async end(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    const rest = this.#followed.get(channel)?.rest
    if (rest !== undefined) return rest
    return this.#asked(channel, (tell) => (tell.kind === 'info' ? tell.info : undefined), ending)
  }

  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const followed = this.#followed.get(channel)
    if (followed?.rest !== undefined) return restPage(followed.rest, from, followed.seen)
    if (followed === undefined) {
      const left = await this.#left(channel)
      if (left === undefined) return emptyPage(channel, from)
      if (left !== 'produced') return restPage(doneInfo(channel, left), from)
    }
    return (await this.#pages(channel, from, limit)) ?? this.#restOf(channel, from)
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    const followed = this.#followed.get(channel) ?? this.#begin(channel)
    // One of its own, so that the same listener may follow twice.
    const follower: LogListener = {
      append: (entries) => listener.append(entries),
      suspect: () => listener.suspect(),
    }
    followed.followers.add(follower)
    const leave = () => {
      followed.followers.delete(follower)
      if (followed.followers.size === 0) this.#forget(followed)
    }
    try {
      await followed.ready
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  /** Lets producers know that nobody follows here any more. */
  async leave(): Promise<void> {
    const channels = [...this.#followed.keys()]
    this.#followed.clear()
    await Promise.allSettled(channels.map((channel) => this.#questions.leave(channel)))
  }

  /** Ends what is under way, once the store is closed. */
  close(): void {
    clearTimeout(this.#timer)
    this.#questions.close()
  }

  /** What the store has of a stream: its end, or only that it is produced. */
  async #left(channel: string): Promise<EncodedEvent | 'produced' | undefined> {
    const value = await this.#options.store.get(this.#options.keysOf(channel).key)
    return value === undefined ? undefined : (parseDone(value) ?? 'produced')
  }

  async #asked(
    channel: string,
    infoOf: (tell: Tell) => StreamInfo | undefined,
    ending?: EncodedEvent,
  ): Promise<StreamInfo | undefined> {
    const left = await this.#left(channel)
    if (left === undefined) return undefined
    if (left !== 'produced') return doneInfo(channel, left)
    const question =
      ending === undefined ? ({ kind: 'info' } as const) : { kind: 'end' as const, ending }
    const tell = await this.#questions.ask(channel, question)
    return tell === undefined ? this.#bury(channel) : infoOf(tell)
  }

  /** Asks for one page after the other, each once the one before it is there. */
  async #pages(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page | undefined> {
    const { maxEvents, maxLength } = limit
    const entries: StoredEvent[] = []
    let gap: Page['gap']
    const whole = (head: EntryId): Page => {
      const isBehind = typeof from === 'string' && from !== 'earliest' && gap === undefined
      return { entries: chained(isBehind ? from : undefined, entries, head), gap, head }
    }
    for (let length = 0, at = from; ; ) {
      const tell = await this.#questions.ask(channel, {
        kind: 'read',
        from: at,
        maxEvents: maxEvents - entries.length,
        maxLength: Math.max(1, maxLength - length),
      })
      if (tell?.kind !== 'page') return undefined
      // It was trimmed meanwhile: what there is so far is without a gap.
      if (entries.length > 0 && tell.gap !== undefined) return whole(tell.head)
      if (entries.length === 0) gap = tell.gap
      entries.push(...tell.entries)
      length += lengthOf(tell.entries)
      const last = tell.entries.at(-1)?.id
      const isAll = last === undefined || last === tell.head
      if (isAll || entries.length >= maxEvents || length >= maxLength) {
        return whole(tell.head)
      }
      at = last
    }
  }

  async #restOf(channel: string, from: ReadFrom): Promise<Page> {
    const info = await this.#bury(channel)
    if (info === undefined) return emptyPage(channel, from)
    const followed = this.#followed.get(channel)
    return restPage(info, from, followed?.rest === info ? followed.seen : undefined)
  }

  /** Nobody answers: the stream has ended meanwhile, or its producer is gone. */
  async #bury(channel: string): Promise<StreamInfo | undefined> {
    const left = await this.#left(channel)
    const followed = this.#followed.get(channel)
    if (left === undefined) return undefined
    const isOrphaned = left === 'produced' || left.data === orphaned.data
    if (left === 'produced') {
      const { store, keysOf, maxAgeMs } = this.#options
      await store.set(keysOf(channel).key, encodeDone(orphaned), maxAgeMs)
    }
    if (!isOrphaned || followed === undefined) {
      return doneInfo(channel, left === 'produced' ? orphaned : left)
    }
    if (followed.rest === undefined) {
      const end = { id: endId(followed.seen), prevId: followed.seen, ...orphaned }
      followed.rest = { origin: originOf(channel), head: end.id, startedAt: 0, end }
      for (const follower of [...followed.followers]) follower.append([end])
    }
    return followed.rest
  }

  #begin(channel: string): Followed {
    const followed: Followed = {
      channel,
      followers: new Set(),
      // The line below needs it first.
      ready: Promise.resolve().then(() => this.#start(followed)),
      seen: originOf(channel),
      rest: undefined,
      isGone: false,
    }
    // Whoever follows gets it.
    followed.ready.catch(() => undefined)
    this.#followed.set(channel, followed)
    this.#timer ??= this.#nextCheck()
    return followed
  }

  async #start(followed: Followed): Promise<void> {
    const left = await this.#left(followed.channel)
    if (left === 'produced') await this.#check(followed)
    else followed.isGone = left !== undefined
  }

  #forget(followed: Followed): void {
    if (this.#followed.get(followed.channel) !== followed) return
    this.#followed.delete(followed.channel)
    // A producer that does not get it finds out when it next has something to say.
    if (followed.rest === undefined) {
      this.#questions.leave(followed.channel).catch(() => undefined)
    }
    if (this.#followed.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #nextCheck(): NodeJS.Timeout {
    const check = async () => {
      await Promise.allSettled(
        [...this.#followed.values()].map((followed) => this.#check(followed)),
      )
      // All may have left meanwhile, and others begun anew.
      if (this.#timer !== timer) return
      this.#timer = this.#followed.size > 0 ? this.#nextCheck() : undefined
    }
    const timer = setTimeout(() => void check(), this.#options.aliveMs).unref()
    return timer
  }

  /** Asks whether the producer is alive, and where it is, which tells it that somebody follows. */
  async #check(followed: Followed): Promise<void> {
    const { channel, seen, rest, isGone } = followed
    if (rest !== undefined || isGone) return
    const tell = await this.#questions.ask(channel, { kind: 'follow' })
    if (tell === undefined) {
      const info = await this.#bury(channel)
      if (info === undefined || followed.rest !== undefined) return
      followed.isGone = true
      for (const follower of [...followed.followers]) follower.suspect()
      return
    }
    // Messages came while it was asked, so they come.
    if (tell.kind !== 'info' || tell.info === undefined || followed.seen !== seen) return
    if (tell.info.head === seen) return
    followed.seen = tell.info.head
    for (const follower of [...followed.followers]) follower.suspect()
  }

  #live({ channel, entries }: Tell & { readonly kind: 'live' }): void {
    const followed = this.#followed.get(channel)
    if (followed === undefined) return
    followed.seen = entries.at(-1)?.id ?? followed.seen
    for (const follower of [...followed.followers]) {
      if (entries.length === 0) follower.suspect()
      else follower.append(entries)
    }
  }
}

function emptyPage(channel: string, from: ReadFrom): Page {
  const head = originOf(channel)
  const isKnown = typeof from === 'object' || from === 'earliest' || from === head
  return { entries: [], gap: isKnown ? undefined : 'unknown', head }
}
