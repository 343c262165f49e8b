import { keepInBackground } from './background.js'
import { Callable } from './callable.js'
import { checkChannel } from './core/channels.js'
import { EventStreamError, quote } from './core/errors.js'
import { controlEvents } from './core/event.js'
import { checkNames, checkWhole } from './core/options.js'
import { isEndId } from './core/stream-end.js'
import type { AnyChannels, EventOn, NamedChannel } from './core/typed-channels.js'
import { encodeBlock, encodeComment } from './core/wire.js'
import { errorReporter } from './error-reporter.js'
import { EventStreams } from './event-streams.js'
import { Grip } from './grip.js'
import { Hub } from './hub/hub.js'
import { isRemoteLog, type StoredEvent } from './log/event-log.js'
import { intakeOf } from './log/intake.js'
import { lossesOf } from './log/losses.js'
import { type MemoryUse, watchMemory } from './memory-use.js'
import { Admission } from './middleware/admission.js'
import { channelResolver, checkChannels } from './middleware/channel-source.js'
import { Endpoint, type EndpointHost } from './middleware/endpoint.js'
import { entrances } from './middleware/entrance.js'
import { answerFetch, checkFetchOptions, type FetchOptions } from './middleware/fetch.js'
import { type HeldStream, isToEnd } from './middleware/grip/function-kicks.js'
import { Gate } from './middleware/grip/gate.js'
import { linkHandler } from './middleware/grip/link-handler.js'
import type { EventStreamHandler } from './middleware/handler.js'
import type { RequestLike, ResponseLike } from './middleware/request.js'
import { type RouteArguments, splitRoute } from './middleware/route-arguments.js'
import {
  checkRouteOptions,
  type OpenStream,
  type RouteOptions,
} from './middleware/route-options.js'
import type { Health } from './observe/health.js'
import { type Metrics, readMetrics } from './observe/metrics.js'
import { observed } from './observe/observed.js'
import { Observer } from './observe/observer.js'
import { type EventStreamOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { ChannelPublisher } from './publishers/channel-publisher.js'
import type { ChannelWritable, ChannelWritableOptions } from './publishers/channel-writable.js'
import { CheckedPublisher } from './publishers/checked.js'
import { LoggedPublisher } from './publishers/logged.js'
import type { Published, Publisher } from './publishers/publisher.js'
import { publishUnawaited } from './publishers/unawaited.js'
import { createTracks } from './resilience/create-tracks.js'
import type { Tracks } from './resilience/tracks.js'

type Names = string | readonly string[]

// biome-ignore lint/correctness/noUnusedVariables: of the class, whose parameters are the same.
export interface EventStream<Channels extends object = AnyChannels> {
  /** The same as {@link EventStream.route}. */
  <Req extends RequestLike = RequestLike>(...route: RouteArguments<Req>): EventStreamHandler<Req>
}

/**
 * Server-sent events that are not lost: publishes events on channels, and serves them to clients
 * that may come back.
 *
 * ```ts
 * const eventStream = new EventStream()
 * app.get('/events/:id', eventStream('{id}'))
 * await eventStream.publishEvent('7', { event: 'message', data: { text: 'hello' } })
 * ```
 *
 * @typeParam Channels - Events of each channel, and their data: `{ 'room-{id}': { message: Message } }`. By default
 *   anything can be published.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: how TypeScript is told of the call.
export class EventStream<Channels extends object = AnyChannels> extends Callable {
  /** Streams that outlive their readers: LLM answers, exports, the output of jobs. */
  readonly streams: EventStreams
  readonly #options: ResolvedOptions
  readonly #observer = new Observer(this)
  readonly #hub: Hub
  readonly #gate: Gate
  readonly #grip: Grip | undefined
  readonly #publisher: Publisher
  readonly #onError: (error: unknown) => void
  readonly #tracks: Tracks
  readonly #host: EndpointHost
  readonly #since = new Date()
  readonly #memory: MemoryUse | undefined
  #closing: Promise<void> | undefined

  /** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
  constructor(options?: EventStreamOptions<Channels> | null) {
    super('route')
    this.#options = resolveOptions(options)
    const { log, grip, keepAlive, maxEventBytes, schemas } = this.#options
    const observer = this.#observer
    const onError = errorReporter(this.#options, observer, () => this.#closing !== undefined)
    this.#onError = onError
    observer.onClose(intakeOf(log)?.watch(onError) ?? (() => undefined))
    this.#memory = log.kind === 'memory' ? watchMemory() : undefined
    observer.onClose(() => this.#memory?.end())
    const keepAliveText =
      keepAlive === 'comment'
        ? encodeComment('')
        : encodeBlock({ event: controlEvents.keepAlive, data: '' })
    this.#gate = new Gate(grip)
    const isShared = isRemoteLog(log)
    const relay = (channel: string, entries: readonly StoredEvent[]) =>
      this.#relay(channel, entries)
    this.#tracks = createTracks(this, {
      ...this.#options,
      gate: this.#gate,
      relay,
      observer,
      onError,
    })
    this.streams = new EventStreams({
      log,
      options: this.#options.streams,
      maxEventBytes,
      track: (track) => this.#tracks.stream(track),
      relay,
      endpointHost: () => this.#host,
      kick: (name) => this.#kick(name),
      count: (name) => this.#hub.count(name),
      observer,
      onError,
    })
    const { log: nearestLog } = this.streams
    const hubHost = { log: nearestLog, isShared, keepAliveText, observer, onError }
    this.#hub = keepInBackground(new Hub({ ...this.#options, ...hubHost }))
    observed.set(this, {
      observer,
      onError,
      connections: () => this.#hub.connections,
      streamCounts: () => this.#tracks.counts(),
    })
    if (grip !== undefined) {
      this.#grip = new Grip(grip, this.#options, {
        keepAliveText,
        observer,
        isClosing: () => this.#closing !== undefined,
        hearKicks: () => this.#hub.hearKicks(),
        isKicked: (channels, since) => this.#hub.isKicked(channels, since),
        retryMs: () => this.#hub.retryMs(),
        onAsked: (channels) => this.#tracks.asked(channels),
        onError,
      })
      const { relay } = this.#grip
      observer.onClose(lossesOf(log)?.watch((channel) => relay.lost(channel)) ?? (() => undefined))
    }
    const logged = new LoggedPublisher(log, maxEventBytes, observer, this.#grip?.relay)
    this.#publisher = schemas ? new CheckedPublisher(logged, schemas, observer) : logged
    this.#host = {
      hub: this.#hub,
      admission: new Admission(this.#options),
      observer,
      gate: this.#gate,
      grip: this.#grip?.front,
      tracker: this.#tracks,
      whenUnavailable: this.#options.whenUnavailable,
      isClosing: () => this.#closing !== undefined,
      onError,
    }
  }

  /**
   * Makes a handler that serves channels: names, in which `{token}` stands for a value of the route's
   * parameters (of the query in Next.js pages), or a function from the request to names.
   *
   * @throws EventStreamError `ERR_CHANNEL` or `ERR_OPTION` when the route can never work.
   */
  route<Req extends RequestLike = RequestLike>(
    ...route: RouteArguments<Req>
  ): EventStreamHandler<Req> {
    const { sources, options } = splitRoute(route)
    checkRouteOptions(options)
    const { maxChannelsPerConnection } = this.#options
    const resolve = channelResolver(sources, maxChannelsPerConnection)
    // One for each route: a mistake in the functions of a route is told once for that route.
    return new Endpoint({ ...this.#host }, resolve, options).handler
  }

  /**
   * Serves one request: what a route does, for code that has decided on the channels itself.
   *
   * @param channels - Names as they are: one with a `{token}` that nobody has filled in is refused.
   * @returns The open stream; undefined when the request is answered otherwise: HEAD, a client that
   *   is sent away for now, a client that has gone.
   * @throws EventStreamError with a `status`, before anything is sent.
   */
  async run<Req extends RequestLike>(
    req: Req,
    res: ResponseLike,
    channels: string | readonly string[],
    options: RouteOptions<Req> = {},
  ): Promise<OpenStream | undefined> {
    checkRouteOptions(options)
    const { maxChannelsPerConnection } = this.#options
    const resolve = async () => checkChannels([channels].flat(), maxChannelsPerConnection)
    return new Endpoint<Req>(this.#host, resolve, options).serve(req, res)
  }

  /**
   * Answers one Web request: what {@link EventStream.run} does, for app routes of Next.js, Hono and others. The
   * response's stream waits for its reader, and ends when the request's signal aborts. What comes through a GRIP
   * proxy is passed on, and not held there.
   *
   * @param channels - Names as they are: one with a `{token}` that nobody has filled in is refused. A function that
   *   gives them is called once the request has passed the checks that come before.
   * @throws EventStreamError with a `status`: `errorResponse` of `headwater/fetch` makes an answer of it.
   */
  async fetch(
    request: Request,
    channels: Names | (() => Names | Promise<Names>),
    options: FetchOptions = {},
  ): Promise<Response> {
    checkFetchOptions(options)
    const { maxChannelsPerConnection } = this.#options
    const resolve = async () => {
      const names = typeof channels === 'function' ? await channels() : channels
      return checkChannels([names].flat(), maxChannelsPerConnection)
    }
    return answerFetch(entrances.run, request, this.#host, resolve, options)
  }

  /**
   * A handler for {@link EventStreamOptions.gripLinkPath}: answers GRIP proxies that ask for what their
   * clients missed, and nobody else. It goes before whatever asks for a cookie.
   */
  linkHandler(): EventStreamHandler {
    return linkHandler(this.#gate, this.#grip?.front, this.#onError)
  }

  /**
   * Publishes one event.
   *
   * @returns The event's id, once it is in the log, and every client will have it.
   * @throws EventStreamError `ERR_CHANNEL`, `ERR_EVENT`, `ERR_FIELD`, `ERR_DATA`, `ERR_SCHEMA`,
   *   `ERR_EVENT_TOO_LARGE`: nothing was published. `ERR_LOG_CLOSED`, `ERR_CHANNEL_CLOSED`: it is
   *   too late. `ERR_PUBLISH_PARTIAL`: it is in the log, and a GRIP proxy could not be told; its
   *   clients have it once it can be.
   */
  async publishEvent<Name extends string>(
    channel: NamedChannel<Channels, Name>,
    event: EventOn<Channels, Name>,
  ): Promise<Published> {
    const [published] = await this.#publisher.publish(channel, [event])
    return published as Published
  }

  /**
   * Publishes one event that nobody waits for, in the order of the calls of this and of `publishEvent`. It never
   * throws: if the event cannot be published, such as while the log is away for more than five seconds, `onError`
   * gets `ERR_PUBLISH`, whose `cause` says why. What `publishEvent` returns must be awaited, or it ends the process then.
   */
  publish<Name extends string>(
    channel: NamedChannel<Channels, Name>,
    event: EventOn<Channels, Name>,
  ): void {
    publishUnawaited(this.#publisher, channel, event, this.#onError)
  }

  /** A publisher of one channel. It holds nothing, so it need not be kept or freed. */
  getChannelPublisher<Name extends string>(
    channel: NamedChannel<Channels, Name>,
  ): ChannelPublisher<EventOn<Channels, Name>> {
    return new ChannelPublisher(this.#publisher, channel, this.#onError)
  }

  /**
   * A stream that publishes the objects `{ event, data }` that are written to it. Of these the compiler knows nothing,
   * as the types of Node's streams take anything.
   */
  createChannelWritable<Name extends string>(
    channel: NamedChannel<Channels, Name>,
    options?: ChannelWritableOptions,
  ): ChannelWritable {
    return this.getChannelPublisher(channel).createWritable(options)
  }

  /**
   * Resolves when events can be published and read: at once, unless the log lives elsewhere. Await it
   * at start-up to learn what is wrong with a log before clients do.
   *
   * @returns What {@link EventStream.health} says then: `log.kind` is which log it is.
   * @throws EventStreamError `ERR_LOG_UNAVAILABLE`, `ERR_LOG_REFUSED` or `ERR_OPTION`.
   */
  async ready(): Promise<Health> {
    const { log } = this.#options
    if (isRemoteLog(log)) await log.ready()
    return this.health()
  }

  /** How this process is, for a health check: without its log, it serves nobody who is new. */
  health(): Health {
    const { log } = this.#options
    const logHealth = isRemoteLog(log) ? log.health() : { state: 'up' as const, since: this.#since }
    const { kind = 'other' } = log
    const isClosing = this.#closing !== undefined
    const warning = this.#memory?.warning()
    return {
      isHealthy: logHealth.state === 'up' && !isClosing,
      isClosing,
      log: { kind, ...logHealth, ...(warning === undefined ? {} : { warning }) },
      connections: this.#hub.connections.size,
      channels: this.#hub.activeChannels,
      proxies: this.#grip?.relay.health() ?? [],
    }
  }

  /** What happened in this process since the event stream was made, and what is so now. */
  metrics(): Metrics {
    return readMetrics(this.#observer.counters, this.#since, this.#hub)
  }

  /** The open streams of this process. */
  connections(): readonly OpenStream[] {
    return [...this.#hub.connections]
  }

  /**
   * Ends streams. Their clients come back, and are asked for their rights again, so that is how a right
   * is taken away.
   *
   * @param which - A channel: all streams that listen to it, in every process that uses the log, and
   *   at every GRIP proxy. Or a function: streams of this process for which it is true, and those at
   *   proxies for which it is, of which only the channels are known; all that listen to the same ones
   *   end together, when their proxy next asks this process.
   * @throws EventStreamError `ERR_CHANNEL`; `ERR_OPTION` when it is neither, or the function gives no boolean, and
   *   what the function throws: no stream was ended then; what the log throws;
   *   `ERR_PUBLISH_PARTIAL` when a proxy could not be told, in which case it is worth another try.
   */
  async kick(which: string | ((stream: OpenStream | HeldStream) => boolean)): Promise<void> {
    if (typeof which === 'string') return this.#kick(checkChannel(which))
    if (typeof which !== 'function') throw nobodyToKick(which)
    // All are asked before one is ended: a function that is wrong ends nothing.
    const meant = [...this.#hub.connections].filter((stream) => isToEnd(which(stream)))
    for (const stream of meant) stream.kick()
    await this.#grip?.kick(which)
  }

  /**
   * How many connections of this process listen to a channel.
   *
   * @throws EventStreamError `ERR_CHANNEL` when the name is none.
   */
  count(channel: string): number {
    return this.#hub.count(checkChannel(channel))
  }

  /**
   * Ends every stream, each with a random delay after which its client comes back, so that
   * `server.close()` finishes. Clients that come meanwhile are sent away in the same manner.
   * Publishing is refused afterwards, unless the log was given by the application. Streams that a GRIP
   * proxy holds stay open, as another process, or the next one, serves them.
   *
   * @param options.graceMs - Milliseconds that slow clients have to take what is on the way to them.
   *   Default 5000.
   */
  close(options: { readonly graceMs?: number | undefined } = {}): Promise<void> {
    checkNames('close', options, ['graceMs'])
    const { graceMs = 5000 } = options
    checkWhole('graceMs', graceMs, 0, 2 ** 31 - 1)
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  /** @param name - In the log. */
  async #kick(name: string): Promise<void> {
    await this.#hub.kick(name)
    await this.#grip?.kick(name)
  }

  /** What a stream's log has: proxies are told, and of its end too, as they hold its readers. */
  async #relay(channel: string, entries: readonly StoredEvent[]): Promise<void> {
    if (this.#grip === undefined) return
    await this.#grip.relay.relay(channel, entries)
    if (isEndId(entries.at(-1)?.id ?? '')) await this.#grip.kick(channel)
  }

  async #close(graceMs: number): Promise<void> {
    this.#observer.close()
    await Promise.all([
      this.#hub.close(graceMs),
      this.streams.close(graceMs).then(() => this.#grip?.close(graceMs)),
    ])
    await this.#tracks.close()
    if (this.#options.ownsLog) await this.#options.log.close()
  }
}

function nobodyToKick(which: unknown): EventStreamError {
  return new EventStreamError(
    'ERR_OPTION',
    `kick needs a channel, or a function that is true for the streams to end, got ${quote(which)}.`,
  )
}

/** The channels of an event stream, for {@link EventsOf}: `ChannelsOf<typeof eventStream>`. */
export type ChannelsOf<Stream> = Stream extends EventStream<infer Channels> ? Channels : never
