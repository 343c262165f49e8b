import { type EntryId, formatEntryId, seqOf } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import type { EncodedEvent } from '../core/event.js'
import { quoteName } from '../core/log-names.js'
import { encodeEnding, endId, endingOf, isEndId, type StreamEnding } from '../core/stream-end.js'
import type { LogListener, PageLimit, StoredEvent } from '../log/event-log.js'
import { randomNonce } from '../log/nonce.js'
import type { StreamInfo, StreamLog } from '../log/stream-log.js'
import { Appender, type Lost } from './appender.js'
import { encodeChunk } from './chunk.js'
import type { ResolvedStreamsOptions } from './options.js'
import type { ChunkIterator } from './source.js'
import { Tail } from './tail.js'

export interface ProducerHost {
  readonly log: StreamLog
  readonly options: ResolvedStreamsOptions
  /** Of one entry. */
  readonly maxEventBytes: number
  /** The log has these now; others are to be told. */
  appended(channel: string, entries: readonly StoredEvent[]): void
  /** The log is away. */
  away(error: unknown, channel: string): void
  onError(error: unknown): void
}

/** What is kept for readers beside the producer of what the log has, in bytes. */
const tailBytes = 65_536

/** Chunks after which the event loop gets a turn, for sources that never wait. */
const perTurn = 64

/** One stream that this process produces: from its source to its readers here, and to its log. */
export class Producer {
  /** Its name in the log. */
  readonly channel: string
  readonly token: string
  readonly origin: EntryId
  /** Resolves with its end: when the log has it, or will not get it. */
  readonly ended: Promise<StreamEnding>
  readonly #host: ProducerHost
  readonly #tail: Tail
  readonly #appender: Appender | undefined
  readonly #listeners = new Set<LogListener>()
  readonly #aborter = new AbortController()
  #resolveEnded: (ending: StreamEnding) => void = () => undefined
  #ending: StreamEnding | undefined
  /** The last entry, which readers are told of once the log has it. */
  #end: StoredEvent | undefined
  #isDetached: boolean
  /** The log has lost this stream, and has another one under its name. */
  #isReplaced = false
  /** The log takes no more: resolves when it is known how the stream has ended there. */
  #losing: Promise<void> | undefined
  #renewedAt = 0
  #roomy: (() => void) | undefined
  /** Ends what is waited for. */
  #interrupt: (() => void) | undefined
  #made = 0

  /** @param claim - Without, the log is away, and the stream is for the readers of this process alone. */
  constructor(host: ProducerHost, channel: string, claim?: { token: string; info: StreamInfo }) {
    this.channel = channel
    this.#host = host
    this.token = claim?.token ?? ''
    this.origin = claim?.info.origin ?? formatEntryId(0, randomNonce())
    const { log, options } = host
    this.#tail = new Tail(this.origin, claim === undefined ? options.maxAheadBytes : tailBytes)
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#isDetached = claim === undefined
    if (claim === undefined) return
    this.#appender = new Appender({
      log,
      channel,
      token: claim.token,
      origin: this.origin,
      options,
      appended: (entries) => this.#appended(entries),
      lost: (why) => {
        this.#losing = this.#lost(why)
      },
      away: (error) => this.#away(error),
    })
  }

  /** Aborts when the stream has ended before its source has. */
  get signal(): AbortSignal {
    return this.#aborter.signal
  }

  get head(): EntryId {
    return this.#tail.head
  }

  /** Whether the log has this stream; otherwise it was away when the stream began, or has lost it to another one. */
  get isLogged(): boolean {
    return this.token !== '' && !this.#isReplaced
  }

  /** Bytes that the log does not have. */
  get aheadBytes(): number {
    return this.#tail.aheadBytes
  }

  get isHeld(): boolean {
    return !this.#isDetached && this.#ending === undefined
  }

  get leaseMs(): number {
    return this.#host.options.leaseMs
  }

  /** Whether its lease is to be renewed: what was appended a moment ago has done it. */
  get mustRenew(): boolean {
    return this.isHeld && this.#renewedAt < performance.now() - this.leaseMs / 4
  }

  renewed(): void {
    this.#renewedAt = performance.now()
  }

  /** See {@link Tail.after}. */
  after(id: EntryId, limit: PageLimit): StoredEvent[] | undefined {
    return this.#tail.after(id, limit)
  }

  /** Tells of entries as they are made, before the log has them; of the end once it has. */
  follow(listener: LogListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads a source to its end. Never rejects. */
  async run(open: () => ChunkIterator | Promise<ChunkIterator>): Promise<void> {
    // Before the source can listen: what it does when it is ended is not its failure.
    this.signal.addEventListener('abort', () => this.#interrupt?.(), { once: true })
    let opening: Promise<ChunkIterator> | undefined
    try {
      opening = Promise.resolve(open())
      const iterator = await this.#unlessEnded(opening)
      while (iterator !== undefined && !this.signal.aborted) {
        const result = await this.#unlessEnded(iterator.next())
        if (result === undefined) break
        if (result.done) {
          await this.#finish({ state: 'completed' })
          return
        }
        for (const entry of encodeChunk(result.value, this.#host.maxEventBytes)) {
          this.#make(entry)
          await this.#room()
          if (this.signal.aborted) break
        }
      }
    } catch (error) {
      if (!this.signal.aborted) this.#sourceFailed(error)
      await this.#finish({ state: 'failed' })
    }
    // Of a source that waits for something this may come late or never: nobody waits for it.
    void this.#leave(opening)
    // Until the log has all of it, readers here have it from this producer.
    await this.ended
  }

  /** Lets a source clean up. */
  async #leave(opening: Promise<ChunkIterator> | undefined): Promise<void> {
    // One that could not be opened has nothing to clean up.
    const iterator = await opening?.catch(() => undefined)
    try {
      await iterator?.return?.()
    } catch (error) {
      this.#sourceFailed(error)
    }
  }

  /** What a source throws says nothing of which one it is. */
  #sourceFailed(cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : quote(cause)
    this.#host.onError(
      new EventStreamError(
        'ERR_STREAM_SOURCE',
        `The source of the stream ${quoteName(this.channel)} failed: ${reason}`,
        { cause },
      ),
    )
  }

  /**
   * @returns What the promise gives; undefined when the stream is ended by then. A race with a promise of
   *   the end would keep something of each chunk until then.
   */
  #unlessEnded<Result>(promise: Promise<Result>): Promise<Result | undefined> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => resolve(undefined)
      if (this.signal.aborted) resolve(undefined)
      promise.then(resolve, reject)
    })
  }

  /** Ends the stream: nothing more is taken from its source. Resolves when the log has the end, if it can. */
  async end(ending: StreamEnding): Promise<void> {
    const isFirst = this.#ending === undefined
    const finished = this.#finish(ending)
    if (isFirst) this.#aborter.abort(stopped(this.channel, ending))
    await finished
  }

  /** Whether it is this producer's own end, of which it may hear before the answer to what it has sent. */
  isOwnEnd(end: StoredEvent): boolean {
    return end.id === this.#end?.id && end.data === this.#end.data
  }

  /** The log says that the stream has ended: what it has not got by then will never be there. */
  endedBy(info: Pick<StreamInfo, 'origin' | 'end'> | undefined): void {
    const end = info?.end
    if (end !== undefined && this.isOwnEnd(end)) return
    const ending = (end && endingOf(end)) ?? { state: 'orphaned' }
    if (info !== undefined && info.origin !== this.origin) {
      this.#replaced()
      // Whoever stops a stream means each source that runs under its id.
      if (ending.state !== 'aborted') return
    }
    this.#ending = ending
    this.detach()
    this.#announce(this.#endEntry(ending))
    // Whatever the end is, it is not its source's.
    this.#aborter.abort(stopped(this.channel, ending))
  }

  #make({ event, data }: EncodedEvent): void {
    // A source may give more in the moment in which its stream is ended.
    if (this.#ending !== undefined) return
    const prevId = this.#tail.head
    const entry = { id: formatEntryId(seqOf(prevId) + 1, randomNonce()), prevId, event, data }
    this.#tail.add(entry)
    if (this.#isDetached) this.#tail.detach()
    else this.#appender?.add(entry)
    this.#made += 1
    for (const listener of [...this.#listeners]) listener.append([entry])
  }

  /** Waits while the log is too far behind, but not for one that is away. */
  async #room(): Promise<void> {
    if (this.#made % perTurn === 0) await new Promise((resolve) => setImmediate(resolve))
    while (this.#tail.aheadBytes > this.#host.options.maxAheadBytes && !this.signal.aborted) {
      if (this.#appender?.isAway) {
        this.detach()
        return
      }
      const roomy = new Promise<void>((resolve) => {
        this.#roomy = resolve
      })
      this.#appender?.hurry()
      await this.#unlessEnded(roomy)
    }
  }

  async #finish(ending: StreamEnding): Promise<void> {
    if (this.#ending === undefined) {
      this.#ending = ending
      const end = this.#endEntry(ending)
      this.#end = end
      if (this.#isDetached || this.#appender?.isAway) this.#announce(end)
      if (!this.#isDetached) this.#appender?.add(end)
    }
    // Readers are told once the log has it, so that whoever asks then gets the same answer.
    await this.#appender?.flush()
    await this.#losing
    if (this.#end !== undefined) this.#announce(this.#end)
  }

  #endEntry(ending: StreamEnding): StoredEvent {
    const prevId = this.#tail.head
    return { id: endId(prevId), prevId, ...encodeEnding(ending) }
  }

  #appended(entries: readonly StoredEvent[]): void {
    this.renewed()
    const last = entries.at(-1) as StoredEvent
    if (isEndId(last.id)) this.#announce(last)
    this.#tail.appended(last.id)
    this.#roomy?.()
    this.#host.appended(this.channel, entries)
  }

  #away(error: unknown): void {
    this.#host.away(error, this.channel)
    this.#roomy?.()
    if (this.#end !== undefined) this.#announce(this.#end)
  }

  async #lost(why: Lost): Promise<void> {
    if (why === 'closed') {
      this.detach()
      return
    }
    if (why === 'taken') {
      this.#replaced()
      return
    }
    const info = await this.#host.log.inspect(this.channel).catch(() => undefined)
    this.endedBy(info)
  }

  /** Tokens change hands only in a log that was emptied. Readers here have nothing to do with that. */
  #replaced(): void {
    if (this.#isReplaced) return
    this.#isReplaced = true
    this.detach()
    this.#host.onError(
      new EventStreamError(
        'ERR_STREAM_EXISTS',
        `The log has lost the stream ${quoteName(this.channel)}, and has another one of this id; readers of this process get the first one, all others the second. Let the store keep its data.`,
      ),
    )
  }

  /** The log will not have the rest. It finds the stream orphaned, as its lease is not renewed. */
  detach(): void {
    this.#isDetached = true
    this.#appender?.stop()
    this.#tail.detach()
    this.#roomy?.()
  }

  /** Tells readers of the end, once. */
  #announce(end: StoredEvent): void {
    if (isEndId(this.#tail.head)) return
    this.#tail.add(end)
    const ending = endingOf(end) as StreamEnding
    if (ending.state !== 'completed') this.#aborter.abort(stopped(this.channel, ending))
    for (const listener of [...this.#listeners]) listener.append([end])
    this.#resolveEnded(ending)
  }
}

function stopped(channel: string, { state }: StreamEnding): EventStreamError {
  return new EventStreamError('ERR_STREAM_STOPPED', `The stream ${quoteName(channel)} is ${state}.`)
}
