import { randomBytes } from 'node:crypto'
import { checkChannel } from '../core/channels.js'
import type { EntryId } from '../core/entry-id.js'
import { EventStreamError, isLogAway, isLogClosed, isRunningLimit, quote } from '../core/errors.js'
import { defaultMaxEventBytes } from '../core/event.js'
import { checkNewStream, shownName, streamName } from '../core/log-names.js'
import { checkNames, checkOptionalText } from '../core/options.js'
import { checkReason, encodeEnding, isEndId } from '../core/stream-end.js'
import { within } from '../core/within.js'
import type { EventLog, LogListener, StoredEvent } from '../log/event-log.js'
import { isStreamLog, type StreamInfo, type StreamLog } from '../log/stream-log.js'
import type { Observer } from '../observe/observer.js'
import { AheadReaders, type Place } from './ahead.js'
import type { StreamEvent } from './chunk.js'
import { Leases } from './leases.js'
import type { ResolvedStreamsOptions } from './options.js'
import { ProducedLog } from './produced-log.js'
import { Producer, type ProducerHost } from './producer.js'
import { readEntries, toReadable } from './reader.js'
import { type RunningKey, RunningStreams, runningKey } from './running.js'
import { iterate, type MakeSource, type Source } from './source.js'
import {
  checkSourced,
  type OpenedStream,
  opened,
  type StreamPlace,
  type StreamStatus,
  statusOf,
} from './status.js'
import type { StreamTrack, TrackedStream } from './stream-track.js'

/** How long `close` waits for the log to have the ends of what it has stopped. */
const farewellMs = 500

/** Of what has not ended when this process closes. */
const closingEnd = { state: 'aborted', reason: 'closing' } as const

/** Options of one stream. */
export interface StreamOptions {
  /** Registers the stream, so that it is listed, looked after and can be recovered. By default it is not. */
  readonly track?: StreamTrack | undefined
}

/** What a stream is started with. */
export interface Starting {
  readonly tracked: TrackedStream | undefined
  readonly key: RunningKey
}

export interface StreamsHost {
  readonly log: EventLog
  readonly options: ResolvedStreamsOptions
  /** Of one entry; by default as of an event stream. */
  readonly maxEventBytes?: number | undefined
  /** Gives the name in the log of a stream, by its id; by default `streamName`. */
  readonly nameOf?: ((id: string) => string) | undefined
  /** @throws EventStreamError when it cannot be registered like that. */
  readonly track?: ((track: StreamTrack) => TrackedStream) | undefined
  /** The log has these now: whoever does not follow it is to be told. */
  relay(name: string, entries: readonly StoredEvent[]): Promise<void>
  readonly observer?: Observer | undefined
  onError(error: unknown): void
}

/**
 * Streams that outlive their readers: each has one source, which runs in the process that was asked first, and
 * is read by anybody, anywhere, during and after.
 */
export class Streams {
  /** The event log, with what this process produces beside it. */
  readonly log: ProducedLog
  readonly #host: StreamsHost
  readonly #nameOf: (id: string) => string
  /** Readers that come from other processes. */
  readonly #ahead: AheadReaders
  readonly #leases: Leases | undefined
  readonly #running: RunningStreams
  /** Streams that this process is about to produce, or has asked about, by name. */
  readonly #opening = new Map<string, Promise<OpenedStream>>()
  #isClosing = false
  /** What could be stopped is: a stream that is claimed later is ended at once. */
  #isClosed = false
  /** What was under way when this closed is nobody's any more. */
  readonly #onError = (error: unknown) => {
    if (!this.#isClosing || !isLogClosed(error)) this.#host.onError(error)
  }

  constructor(host: StreamsHost) {
    this.#host = host
    this.#nameOf = host.nameOf ?? streamName
    this.log = new ProducedLog(host.log)
    this.#running = new RunningStreams(host.options)
    this.#ahead = new AheadReaders(host.log, host.options)
    if (!isStreamLog(host.log)) return
    this.#leases = new Leases({
      log: host.log,
      leaseMs: host.options.leaseMs,
      producers: () => this.log.producers,
      onError: this.#onError,
    })
  }

  /**
   * Starts a stream.
   *
   * @param id - 1 to 255 bytes of text without control characters. No channel is meant by it.
   * @param source - What it gives, or a function that makes that and gets a signal that aborts when the
   *   stream is stopped.
   * @throws EventStreamError `ERR_STREAM_EXISTS` when there is or was one of this id; `ERR_STREAM_LIMIT` or
   *   `ERR_STREAM_KEY_LIMIT` when too many run; `ERR_CHANNEL`; what the log throws.
   */
  async create(
    id: string,
    source: Source | MakeSource,
    options: StreamOptions = {},
  ): Promise<OpenedStream> {
    const opened = await this.open(id, source, options)
    if (opened.isNew) return opened
    throw new EventStreamError(
      'ERR_STREAM_EXISTS',
      `There is a stream ${quote(id)} already; give each an id of its own, or use open to follow it.`,
    )
  }

  /**
   * Starts a stream, unless there is one of this id already. Of all who try, in any process, one starts it.
   *
   * @throws EventStreamError `ERR_STREAM_EXISTS` when the id is that of a job; `ERR_CHANNEL`; `ERR_OPTION` or `ERR_DATA`
   *   when it cannot be registered like that; `ERR_STREAM_LIMIT` or `ERR_STREAM_KEY_LIMIT` when too many run; `ERR_UNAVAILABLE` when the event stream
   *   closes; what the log throws.
   */
  async open(
    id: string,
    source: Source | MakeSource,
    options: StreamOptions = {},
  ): Promise<OpenedStream> {
    checkNames('create and open', options, ['track'])
    this.checkLog()
    const { track } = options
    return this.start(id, source, { tracked: this.tracked(track), key: runningKey(track?.user) })
  }

  /** @throws EventStreamError `ERR_OPTION` or `ERR_DATA` when it cannot be registered like that. */
  protected tracked(track: StreamTrack | undefined): TrackedStream | undefined {
    return track && this.#host.track?.(track)
  }

  protected async start(
    id: string,
    source: Source | MakeSource,
    starting: Starting,
  ): Promise<OpenedStream> {
    const log = this.#streamLog()
    if (this.#isClosing) throw closing()
    const name = this.#nameOf(checkNewStream(id))
    const other = this.#opening.get(name)
    if (other !== undefined) {
      try {
        return { ...(await other), isNew: false, ended: undefined }
      } catch (error) {
        // The limit of who has asked first is not that of this one.
        if (!isRunningLimit(error)) throw error
        return this.start(id, source, starting)
      }
    }
    const opening = this.#open(log, name, source, starting).finally(() =>
      this.#opening.delete(name),
    )
    this.#opening.set(name, opening)
    return opening
  }

  /**
   * Reads a stream, during and after.
   *
   * @param options.after - The position behind which to begin; by default its beginning.
   * @returns Its chunks; also an async iterable. It ends when the stream has completed, and fails with
   *   `ERR_STREAM_ENDED` when it ended otherwise, `ERR_STREAM_RESET` when chunks after the position
   *   cannot be had.
   * @throws EventStreamError `ERR_STREAM_UNKNOWN`, `ERR_CHANNEL`; `ERR_OPTION` when the position is no text.
   */
  async read(
    id: string,
    options: { readonly after?: string | undefined } = {},
  ): Promise<ReadableStream<StreamEvent>> {
    checkNames('read', options, ['after'])
    const { after } = options
    checkOptionalText('after', after)
    const { origin, head } = await this.known(id)
    const position = after ?? origin
    const { log } = this
    const name = this.#nameOf(id)
    const reached = (left: AbortSignal) => this.reached(id, { head, position }, left)
    return toReadable(id, async function* (left) {
      await reached(left)
      yield* readEntries(log, name, position, left)
    })
  }

  /**
   * See {@link AheadReaders.reached}. Nobody is ahead of a producer that is here.
   *
   * @param inLog - Whether the reader gets what the log has, also in the process of the source.
   */
  protected async reached(
    id: string,
    place: Place,
    gone: AbortSignal,
    inLog = false,
  ): Promise<EntryId> {
    const name = this.#nameOf(id)
    if (!inLog && this.log.get(name) !== undefined) return place.head
    return this.#ahead.reached(name, place, gone)
  }

  /** @throws EventStreamError `ERR_STREAM_UNKNOWN`, `ERR_CHANNEL`. */
  async known(id: string): Promise<StreamPlace> {
    return (await this.place(id)) ?? unknown(id)
  }

  /**
   * Where a stream is in the log, which what this process produces may be ahead of.
   *
   * @throws EventStreamError `ERR_STREAM_UNKNOWN`, `ERR_CHANNEL`.
   */
  protected async logged(id: string): Promise<StreamPlace> {
    return (await this.#streamLog().inspect(this.#nameOf(checkChannel(id)))) ?? unknown(id)
  }

  /**
   * @returns undefined for an unknown id.
   * @throws EventStreamError `ERR_CHANNEL`.
   */
  async place(id: string): Promise<StreamPlace | undefined> {
    const name = this.#nameOf(checkChannel(id))
    return this.log.get(name) ?? this.#streamLog().inspect(name)
  }

  /**
   * Ends a stream from any process: its source is told by its signal, its readers by the end `aborted`.
   *
   * @param reason - For readers.
   * @returns How it stands: as before, when it had ended. Undefined for an unknown id.
   * @throws EventStreamError `ERR_CHANNEL`; `ERR_OPTION` when the reason is no text, or has more than 16,384 characters;
   *   what the log throws.
   */
  async stop(id: string, reason?: string): Promise<StreamStatus | undefined> {
    const name = this.#nameOf(checkChannel(id))
    // What JSON cannot hold would leave the stream without an end.
    checkReason(reason)
    const ending = { state: 'aborted' as const, reason }
    await this.log.get(name)?.end(ending)
    const info = await this.#streamLog().endStream(name, encodeEnding(ending))
    return info && statusOf(id, info)
  }

  /**
   * How a stream stands.
   *
   * @returns undefined for an unknown id.
   * @throws EventStreamError `ERR_CHANNEL`; what the log throws.
   */
  async status(id: string): Promise<StreamStatus | undefined> {
    const info = await this.#streamLog().inspect(this.#nameOf(checkChannel(id)))
    return info && statusOf(id, info)
  }

  /** Waits until the sources of this process have ended, for so long; stops those that have not. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true
    this.#ahead.close()
    const sources = async () => {
      await Promise.allSettled(this.#opening.values())
      await Promise.all(this.log.producers.map(({ ended }) => ended))
    }
    const areEnded = await within(sources(), graceMs)
    this.#isClosed = true
    const all = this.log.producers
    if (!areEnded) {
      await within(Promise.all(all.map((producer) => producer.end(closingEnd))), farewellMs)
    }
    for (const producer of all) producer.detach()
    this.#leases?.close()
  }

  async #open(
    log: StreamLog,
    name: string,
    source: Source | MakeSource,
    { tracked, key }: Starting,
  ): Promise<OpenedStream> {
    const local = this.log.get(name)
    if (local !== undefined) return opened(name, local)
    const known = async () => {
      const info = await log.inspect(name)
      checkSourced(shownName(name), info)
      return info && opened(name, info)
    }
    return this.#running.start(key, known, () => this.#claim(log, name, source, tracked))
  }

  /** The source runs on its own: its errors end the stream. */
  async #claim(
    log: StreamLog,
    name: string,
    source: Source | MakeSource,
    tracked: TrackedStream | undefined,
  ): Promise<OpenedStream> {
    const options = tracked?.options ?? this.#host.options
    const token = randomBytes(16).toString('base64url')
    const { leaseMs, limits } = options
    let claim: { token: string; info: StreamInfo } | undefined
    try {
      const { outcome, info } = await log.claim(name, { token, leaseMs, limits })
      checkSourced(shownName(name), info)
      if (outcome !== 'owned') return opened(name, info)
      claim = { token, info }
    } catch (error) {
      // Its first reader is served all the same.
      if (!isLogAway(error)) throw error
      this.#away(error, name)
    }
    if (this.#isClosed) {
      // Unless it can be told its end, its lease runs out.
      if (claim) await log.endStream(name, encodeEnding(closingEnd)).catch(() => undefined)
      throw closing()
    }
    const producer = new Producer(this.#producerHost(log, options), name, claim)
    this.log.add(producer)
    const id = shownName(name)
    // What only this process has may be somebody else's in the log, and so in the registry.
    if (claim !== undefined) tracked?.begin(id)
    void producer.ended.then(({ state }) => tracked?.end(id, state))
    this.#leases?.start()
    const ended = this.#host.observer?.streamStarted(id)
    if (ended !== undefined) void producer.ended.then(ended)
    const { signal } = producer
    const make = typeof source === 'function' ? source : () => source
    const watching = claim === undefined ? undefined : this.#watch(log, producer)
    const run = producer.run(async () => iterate(await make({ id, signal })))
    void run.then(() => {
      this.log.delete(producer)
      return watching?.then((unfollow) => unfollow())
    })
    return { ...opened(name, producer), isNew: true, ended: run }
  }

  /** Hears when another process stops it. Without, the next append or renewal of the lease would tell. */
  async #watch(log: StreamLog, producer: Producer): Promise<() => void> {
    const { channel } = producer
    const look = () =>
      void log.inspect(channel).then(
        (info) => info?.end && producer.endedBy(info),
        () => undefined,
      )
    const listener: LogListener = {
      append: (entries) => {
        const end = entries.at(-1)
        // It may be that of another stream, in a log that was emptied.
        if (end !== undefined && isEndId(end.id) && !producer.isOwnEnd(end)) look()
      },
      suspect: (head) => {
        if (head === undefined || isEndId(head)) look()
      },
    }
    try {
      return await log.follow(channel, listener)
    } catch (error) {
      if (!isLogAway(error)) this.#onError(error)
      return () => undefined
    }
  }

  #producerHost(log: StreamLog, options: ResolvedStreamsOptions): ProducerHost {
    const { observer, maxEventBytes = defaultMaxEventBytes } = this.#host
    const onError = this.#onError
    return {
      log,
      options,
      maxEventBytes,
      appended: (channel, entries) => {
        if (observer !== undefined) observer.counters.streamEvents += entries.length
        this.#host.relay(channel, entries).catch(onError)
      },
      away: (error, channel) => this.#away(error, channel),
      onError,
    }
  }

  #away(error: unknown, name: string): void {
    const { observer, options } = this.#host
    try {
      if (options.onStoreError === undefined) this.#onError(error)
      else {
        observer?.failed(error)
        options.onStoreError(error, shownName(name))
      }
    } catch (thrown) {
      this.#onError(thrown)
    }
  }

  /** @throws EventStreamError `ERR_OPTION` when the log keeps no streams. */
  checkLog(): void {
    this.#streamLog()
  }

  #streamLog(): StreamLog {
    const { log } = this.#host
    if (isStreamLog(log)) return log
    throw new EventStreamError(
      'ERR_OPTION',
      'The log keeps no streams; give memoryEventLog, redisEventLog, postgresEventLog, or one that implements StreamLog.',
    )
  }
}

function unknown(id: string): never {
  throw new EventStreamError(
    'ERR_STREAM_UNKNOWN',
    `There is no stream ${quote(id)}: it never was, or is no longer kept.`,
  )
}

function closing(): EventStreamError {
  return new EventStreamError('ERR_UNAVAILABLE', 'This process is closing, and starts no streams.')
}
