import { checkChannel } from './core/channels.js'
import type { Cursor } from './core/cursor.js'
import { EventStreamError, quote } from './core/errors.js'
import { shownName, streamName } from './core/log-names.js'
import { isEndId } from './core/stream-end.js'
import { type ChannelSource, channelResolver } from './middleware/channel-source.js'
import { Endpoint, type EndpointHost } from './middleware/endpoint.js'
import { entrances } from './middleware/entrance.js'
import { answerFetch, checkFetchOptions, type FetchOptions } from './middleware/fetch.js'
import type { EventStreamHandler } from './middleware/handler.js'
import type { RequestLike } from './middleware/request.js'
import type { Asker, Begin, MakeReady } from './middleware/route.js'
import { checkRouteOptions, type RouteOptions } from './middleware/route-options.js'
import { toTrack } from './middleware/track.js'
import { runningKey } from './resumable/running.js'
import type { MakeSource, Source, SourceContext } from './resumable/source.js'
import { checkSourced } from './resumable/status.js'
import type { StreamTrack } from './resumable/stream-track.js'
import { Streams, type StreamsHost } from './resumable/streams.js'

/**
 * Options of a route that serves streams. Where it begins is their beginning; with `track`, the stream is registered
 * by the request that starts it, and not each of its readers.
 */
export type StreamRouteOptions<Req = RequestLike> = Omit<RouteOptions<Req>, 'startFrom'>

/** Makes the source of a stream for the request that was the first to ask for it. */
export type RequestSource<Req = RequestLike> = (req: Req, context: SourceContext) => Source

export interface EventStreamsHost extends StreamsHost {
  endpointHost(): EndpointHost
  /** Ends the connections that listen to a name in the log, wherever they are. */
  kick(name: string): Promise<void>
  /** How many of this process listen to it. */
  count(name: string): number
}

/** {@link Streams}, and how requests are answered with them. */
export class EventStreams extends Streams {
  readonly #host: EventStreamsHost

  constructor(host: EventStreamsHost) {
    super(host)
    this.#host = host
  }

  /**
   * A handler that serves one stream per id. The first request without a position starts its source; every other
   * one follows it from its beginning, and one that comes back goes on where it was. The end is the event
   * `stream-end`; who has it is answered 204.
   *
   * @param id - As the channel of a route: a name with `{token}`, or a function from the request to one.
   * @param source - Without it, streams are only followed, and an unknown id is answered 404.
   * @throws EventStreamError `ERR_OPTION` or `ERR_CHANNEL` when the route can never work.
   */
  handler<Req extends RequestLike = RequestLike>(
    id: ChannelSource<Req>,
    source?: RequestSource<Req>,
    options: StreamRouteOptions<Req> = {},
  ): EventStreamHandler<Req> {
    checkSource(source)
    checkStart(options)
    checkRouteOptions(options)
    this.checkLog()
    const resolveId = channelResolver([id], 1)
    const resolve = async (req: Req) => (await resolveId(req)).map(streamName)
    const { track, ...rest } = options
    const begin: Begin<Req> = (req, [name], cursor) => {
      const make = source && ((context: SourceContext) => source(req, context))
      const tracking = async () => track && toTrack(track, req)
      return this.#begin(req.method, name as string, cursor, make, tracking)
    }
    const areLogged = (names: readonly string[]) =>
      names.every((name) => this.log.get(name)?.isLogged !== false)
    const host = { ...this.#host.endpointHost(), areLogged }
    if (track !== undefined) host.tracker.checkLog()
    return new Endpoint(host, resolve, rest, begin).handler
  }

  /**
   * Answers a Web `Request`, as {@link EventStreams.handler} does: for app routes of Next.js, Hono and others.
   *
   * @param id - The stream's id, as it is.
   * @throws EventStreamError with a `status`, as it is known before the stream begins.
   */
  async fetch(
    request: Request,
    id: string,
    source?: MakeSource,
    options: Omit<FetchOptions, 'startFrom'> = {},
  ): Promise<Response> {
    checkSource(source)
    checkStart(options)
    checkFetchOptions(options)
    this.checkLog()
    const { track, ...rest } = options
    const tracking = async () => track && toTrack(track, request)
    const begin: Begin<Request> = ({ method }, [name], cursor) =>
      this.#begin(method, name as string, cursor, source, tracking)
    const resolve = async () => [streamName(checkChannel(id))]
    return answerFetch(entrances.streams, request, this.#host.endpointHost(), resolve, rest, begin)
  }

  /**
   * Ends the connections of a stream's readers, in every process and at every proxy, as `kick` of an event stream does
   * for those of a channel. The stream goes on.
   *
   * @throws EventStreamError `ERR_CHANNEL`; what the log throws; `ERR_PUBLISH_PARTIAL` when a proxy could not be told.
   */
  async kick(id: string): Promise<void> {
    await this.#host.kick(streamName(checkChannel(id)))
  }

  /** How many connections of this process read a stream. */
  count(id: string): number {
    return this.#host.count(streamName(id))
  }

  async #begin(
    method: string | undefined,
    name: string,
    cursor: Cursor | 'invalid' | undefined,
    source: MakeSource | undefined,
    track: () => Promise<StreamTrack | undefined>,
  ): Promise<MakeReady> {
    const id = shownName(name)
    // Whoever comes back had a stream: to start another one in its place would be a surprise.
    if (cursor !== undefined || source === undefined) {
      // HEAD is not answered by where the client is.
      const position = method === 'HEAD' ? undefined : cursor
      return (asker) => this.#placeOf(id, position, asker, source !== undefined)
    }
    if (method === 'HEAD') return async () => undefined
    const given = await track()
    const tracked = this.tracked(given)
    return async (asker) => {
      const key = runningKey(given?.user, asker.key())
      const { origin } = await this.start(id, source, { tracked, key })
      return { id: origin }
    }
  }

  /**
   * @param isSourced - Whether the route serves streams with a source only.
   * @returns Where a client begins, unless that is at its position.
   */
  async #placeOf(
    id: string,
    cursor: Cursor | 'invalid' | undefined,
    { isHeld, gone }: Asker,
    isSourced: boolean,
  ): Promise<Cursor | 'invalid' | 'over' | undefined> {
    const place = await (isHeld ? this.logged(id) : this.known(id))
    if (isSourced) checkSourced(id, place)
    if (cursor === undefined) return { id: place.origin }
    if (cursor === 'invalid') return undefined
    // One in channels. To begin with what comes now would be a loss that nobody is told of.
    if ('positions' in cursor) return 'invalid'
    const position = cursor.id
    const reached = await this.reached(id, { head: place.head, position }, gone, isHeld)
    return reached === position && isEndId(position) ? 'over' : undefined
  }
}

/** JavaScript has no types that leave it out, and it would be ignored. */
function checkStart(options: object): void {
  if (Object(options).startFrom === undefined) return
  throw new EventStreamError(
    'ERR_OPTION',
    'Routes of streams have no option "startFrom": a stream is read from its beginning.',
  )
}

function checkSource(source: unknown): void {
  if (source === undefined || typeof source === 'function') return
  throw new EventStreamError(
    'ERR_OPTION',
    `The source of a stream is ${quote(source)}; give a function that makes it, such as an async generator.`,
  )
}
