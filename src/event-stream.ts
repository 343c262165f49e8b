import { Callable } from './callable.js'
import { EventStreamError } from './core/errors.js'
import { controlEvents, type NewEvent } from './core/event.js'
import { checkWhole } from './core/options.js'
import { encodeBlock, encodeComment } from './core/wire.js'
import { Hub } from './hub/hub.js'
import { isRemoteLog, type LogHealth } from './log/event-log.js'
import { Admission } from './middleware/admission.js'
import { type ChannelSource, channelResolver, checkChannels } from './middleware/channel-source.js'
import {
  checkRouteOptions,
  Endpoint,
  type EndpointHost,
  type EventStreamHandler,
  type OpenStream,
  type RouteOptions,
} from './middleware/endpoint.js'
import type { RequestLike, ResponseLike } from './middleware/request.js'
import { type EventStreamOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { ChannelPublisher } from './publishers/channel-publisher.js'
import type { ChannelWritable, ChannelWritableOptions } from './publishers/channel-writable.js'
import { LoggedPublisher } from './publishers/logged.js'
import type { Published, Publisher } from './publishers/publisher.js'

/** What {@link EventStream.health} tells. */
export interface Health {
  /** Whether events can be published and read, and clients are let in. */
  readonly isHealthy: boolean
  readonly isClosing: boolean
  readonly log: LogHealth
  /** Open streams of this process. */
  readonly connections: number
  /** Channels that they listen to. */
  readonly channels: number
}

/** Channels of a route, then its options. */
export type RouteArguments<Req> =
  | readonly ChannelSource<Req>[]
  | readonly [...ChannelSource<Req>[], RouteOptions<Req>]

export interface EventStream {
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
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: how TypeScript is told of the call.
export class EventStream extends Callable {
  readonly #options: ResolvedOptions
  readonly #hub: Hub
  readonly #publisher: Publisher
  readonly #host: EndpointHost
  readonly #since = new Date()
  #closing: Promise<void> | undefined

  /** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
  constructor(options?: EventStreamOptions | null) {
    super('route')
    this.#options = resolveOptions(options)
    const { log, keepAlive, maxEventBytes, whenUnavailable } = this.#options
    const onError = (error: unknown) => this.#onError(error)
    const keepAliveText =
      keepAlive === 'comment'
        ? encodeComment('')
        : encodeBlock({ event: controlEvents.keepAlive, data: '' })
    this.#hub = new Hub({ ...this.#options, keepAliveText, onError })
    this.#publisher = new LoggedPublisher(log, maxEventBytes)
    this.#host = {
      hub: this.#hub,
      admission: new Admission(this.#options),
      whenUnavailable,
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
    return new Endpoint(this.#host, resolve, options).handler
  }

  /**
   * Serves one request: what a route does, for code that has decided on the channels itself.
   *
   * @param channels - Names as they are; `{token}` means nothing here.
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
   * Publishes one event.
   *
   * @returns The event's id, once it is in the log and every client will have it.
   * @throws EventStreamError `ERR_CHANNEL`, `ERR_EVENT`, `ERR_FIELD`, `ERR_DATA`,
   *   `ERR_EVENT_TOO_LARGE`: nothing was published. `ERR_LOG_CLOSED`, `ERR_CHANNEL_CLOSED`: it is
   *   too late.
   */
  async publishEvent(channel: string, event: NewEvent): Promise<Published> {
    const [published] = await this.#publisher.publish(channel, [event])
    return published as Published
  }

  /** A publisher of one channel. It holds nothing, so it need not be kept or freed. */
  getChannelPublisher(channel: string): ChannelPublisher {
    return new ChannelPublisher(this.#publisher, channel)
  }

  /** A stream that publishes the objects `{ event, data }` that are written to it. */
  createChannelWritable(channel: string, options?: ChannelWritableOptions): ChannelWritable {
    return this.getChannelPublisher(channel).createWritable(options)
  }

  /**
   * Resolves when events can be published and read: at once, unless the log lives elsewhere. Await it
   * at start-up to learn what is wrong with a log before clients do.
   *
   * @throws EventStreamError `ERR_LOG_UNAVAILABLE`, `ERR_LOG_REFUSED` or `ERR_OPTION`.
   */
  async ready(): Promise<void> {
    const { log } = this.#options
    if (isRemoteLog(log)) await log.ready()
  }

  /** How this process is, for a health check: without its log, it serves nobody who is new. */
  health(): Health {
    const { log } = this.#options
    const logHealth = isRemoteLog(log) ? log.health() : { state: 'up' as const, since: this.#since }
    const isClosing = this.#closing !== undefined
    return {
      isHealthy: logHealth.state === 'up' && !isClosing,
      isClosing,
      log: logHealth,
      connections: this.#hub.connections.size,
      channels: this.#hub.activeChannels,
    }
  }

  /** The open streams of this process. */
  connections(): readonly OpenStream[] {
    return [...this.#hub.connections]
  }

  /** How many open streams of this process listen to a channel. */
  count(channel: string): number {
    return this.#hub.count(channel)
  }

  /**
   * Ends every stream, each with a random delay after which its client comes back, so that
   * `server.close()` finishes. Clients that come meanwhile are sent away in the same manner.
   * Publishing is refused afterwards, unless the log was given by the application.
   *
   * @param options.graceMs - Milliseconds that slow clients have to take what is on the way to them.
   *   Default 5000.
   */
  close({ graceMs = 5000 }: { readonly graceMs?: number | undefined } = {}): Promise<void> {
    checkWhole('graceMs', graceMs, 0, 2 ** 31 - 1)
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  /** What a log out of reach makes fail is many things, and it tells of itself once. */
  #onError(error: unknown): void {
    const { log, onError } = this.#options
    const isKnown = error instanceof EventStreamError && error.code === 'ERR_LOG_UNAVAILABLE'
    if (!isKnown || !isRemoteLog(log)) onError(error)
  }

  async #close(graceMs: number): Promise<void> {
    await this.#hub.close(graceMs)
    if (this.#options.ownsLog) await this.#options.log.close()
  }
}

function splitRoute<Req>(route: RouteArguments<Req>): {
  readonly sources: readonly ChannelSource<Req>[]
  readonly options: RouteOptions<Req>
} {
  const last = route.at(-1)
  if (typeof last !== 'object' || last === null || Array.isArray(last)) {
    return { sources: route as readonly ChannelSource<Req>[], options: {} }
  }
  return {
    sources: route.slice(0, -1) as readonly ChannelSource<Req>[],
    options: last as RouteOptions<Req>,
  }
}
