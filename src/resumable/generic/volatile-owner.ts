import { isLogClosed } from '../../core/errors.js'
import type { EncodedEvent } from '../../core/event.js'
import { quoteName } from '../../core/log-names.js'
import { endId, isEndId } from '../../core/stream-end.js'
import type { Page, PageLimit, ReadFrom, StoredEvent } from '../../log/event-log.js'
import { memoryEventLog } from '../../log/memory.js'
import type {
  Claim,
  Claimed,
  Produced,
  Production,
  StreamInfo,
  StreamLog,
} from '../../log/stream-log.js'
import { lengthOf } from './entry-text.js'
import type { Store } from './store.js'
import { originOf } from './streams-only.js'
import { encodeDone, type VolatileKeys } from './volatile-format.js'
import { type Ask, encodeTell, parseAsk, type Tell } from './volatile-protocol.js'

/** UTF-16 units of payload past which a message has no more entries. */
const maxPageLength = 100_000
/** Milliseconds that an ended stream is kept for those who read it already. */
const lingerMs = 60_000
const retryMs = 1000

export interface OwnerOptions {
  readonly store: Store
  readonly keys: VolatileKeys
  readonly channel: string
  /** Ends the questions. */
  readonly stopListening: () => void
  /** All of it is gone. */
  readonly onForgotten: () => void
}

/** One stream that is produced in this process, and kept there. */
export class OwnedStream {
  /** What the stream is in, under its name. */
  readonly log: StreamLog = memoryEventLog({
    maxTotalBytes: Number.MAX_SAFE_INTEGER,
    maxAgeMs: Number.MAX_SAFE_INTEGER,
  })
  readonly #options: OwnerOptions
  readonly #token: string
  #ageMs: number
  #begun: Promise<Claimed> | undefined
  /** Processes that follow, by the channels of their answers. */
  readonly #followers = new Set<string>()
  #waiting: StoredEvent[] = []
  #work: Promise<unknown> = Promise.resolve()
  #isClosing = false
  #timer: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #isOver = false

  constructor(options: OwnerOptions, { token, limits }: Claim) {
    this.#options = options
    this.#token = token
    this.#ageMs = limits.maxAgeMs
  }

  /** Makes the claimer the producer. What others want waits for it. */
  begin(claim: Claim): Promise<Claimed> {
    const { channel } = this.#options
    const origin = originOf(channel)
    this.#begun = this.log
      .claim(channel, { ...claim, from: claim.from ?? { origin, head: origin } })
      .then(async (claimed) => {
        await this.log.follow(channel, {
          append: (entries) => this.#appended(entries),
          suspect: () => undefined,
        })
        return claimed
      })
    return this.#begun
  }

  async claim(claim: Claim): Promise<Claimed> {
    await this.#begun
    return this.log.claim(this.#options.channel, claim)
  }

  read(from: ReadFrom, limit: PageLimit): Promise<Page> {
    this.#timer?.refresh()
    return this.log.read(this.#options.channel, from, limit)
  }

  produce(production: Production): Promise<Produced> {
    const { channel } = this.#options
    const last = production.entries.at(-1)
    if (last === undefined || !isEndId(last.id)) return this.log.produce(channel, production)
    return this.#inTurn(async () => {
      const info = (await this.log.inspect(channel)) as StreamInfo | undefined
      const isNext = info?.head === production.entries[0]?.prevId
      const isEnd = production.token === this.#token && info?.end === undefined && isNext
      this.#ageMs = production.limits.maxAgeMs
      if (isEnd) await this.#close(last)
      return this.log.produce(channel, production)
    })
  }

  end(ending: EncodedEvent): Promise<StreamInfo | undefined> {
    const { channel } = this.#options
    return this.#inTurn(async () => {
      const info = (await this.log.inspect(channel)) as StreamInfo | undefined
      if (info === undefined || info.end !== undefined) return info
      await this.#close({ id: endId(info.head), prevId: info.head, ...ending })
      return this.log.endStream(channel, ending)
    })
  }

  /** A question came. */
  ask(text: string): void {
    const ask = parseAsk(text)
    if (ask === undefined) {
      const what = `A question about the stream ${quoteName(this.#options.channel)}`
      this.#options.store.intake.drop(what, 'it is not answered')
    }
    if (ask === undefined || this.#isOver) return
    // Who gets no answer asks again, or takes the stream for orphaned: so it is, with its log closed.
    this.#answer(ask).catch(() => undefined)
  }

  async forget(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    clearTimeout(this.#retry)
    this.#followers.clear()
    this.#options.stopListening()
    this.#options.onForgotten()
    await this.log.close()
  }

  #inTurn<Result>(body: () => Promise<Result>): Promise<Result> {
    const done = this.#work.then(body)
    this.#work = done.catch(() => undefined)
    return done
  }

  async #answer({ to, id, question }: Ask): Promise<void> {
    const { channel } = this.#options
    if (question.kind === 'leave') {
      this.#followers.delete(to)
      this.#release()
      return
    }
    if (question.kind === 'read') {
      const { from, maxEvents, maxLength } = question
      const limit = { maxEvents, maxLength: Math.min(maxLength, maxPageLength) }
      const page = await this.read(from, limit)
      await this.#tell(to, { kind: 'page', id, ...page })
      return
    }
    if (question.kind === 'follow') this.#followers.add(to)
    const info =
      question.kind === 'end' ? await this.end(question.ending) : await this.log.inspect(channel)
    await this.#tell(to, { kind: 'info', id, info: info as StreamInfo | undefined })
  }

  #appended(entries: readonly StoredEvent[]): void {
    const last = entries.at(-1) as StoredEvent
    if (this.#followers.size > 0) {
      if (this.#waiting.length === 0) setImmediate(() => this.#flush())
      this.#waiting.push(...entries)
    }
    if (isEndId(last.id)) this.#ended(last)
  }

  #flush(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const { channel } = this.#options
    const entries = lengthOf(waiting) > maxPageLength ? [] : waiting
    for (const to of this.#followers) {
      // Who does not get it asks where the stream is.
      this.#tell(to, { kind: 'live', channel, entries }).catch(() => undefined)
    }
  }

  async #tell(to: string, tell: Tell): Promise<void> {
    for (const message of encodeTell(tell)) {
      const receivers = await this.#options.store.publish(to, message)
      if (receivers === 0) this.#followers.delete(to)
    }
    this.#release()
  }

  #ended(end: StoredEvent): void {
    // The lease has run out, so that nobody has said it elsewhere.
    if (!this.#isClosing) void this.#close(end)
    this.#timer = setTimeout(() => void this.forget(), Math.min(lingerMs, this.#ageMs)).unref()
    this.#release()
  }

  /** Listens no more once there is nothing new to be had, and nobody who reads. */
  #release(): void {
    if (this.#timer !== undefined && this.#followers.size === 0) this.#options.stopListening()
  }

  /** Says in the store that the stream has ended, as soon as the store can be reached. */
  async #close(end: StoredEvent): Promise<void> {
    this.#isClosing = true
    const { store, keys } = this.#options
    try {
      await store.set(keys.key, encodeDone(end), this.#ageMs)
    } catch (error) {
      const isClosed = isLogClosed(error)
      // Readers in this process are not to wait for it.
      if (!isClosed && !this.#isOver) {
        this.#retry = setTimeout(() => void this.#close(end), retryMs).unref()
      }
    }
  }
}
