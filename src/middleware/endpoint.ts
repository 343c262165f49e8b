import type { ServerResponse } from 'node:http'
import type { ChannelResolver } from './channel-source.js'
import { entrances } from './entrance.js'
import { isGone, onGone } from './gone.js'
import type { GripFront } from './grip/front.js'
import { type EventStreamHandler, toHandler } from './handler.js'
import { checkMethod, type RequestLike, type ResponseLike } from './request.js'
import { answerHead, answerOver, refusal, sendAway, setHead, takeOver } from './response.js'
import { ResponseSink } from './response-sink.js'
import {
  type Asked,
  askerOf,
  type Begin,
  type Reply,
  Route,
  type RouteHost,
  unlessGone,
} from './route.js'
import type { OpenStream, RouteOptions } from './route-options.js'

/** What endpoints need of the event stream they belong to. */
export interface EndpointHost extends RouteHost {
  /** For clients of GRIP proxies. */
  readonly grip: GripFront | undefined
  /** Whether the log has these, so that a proxy can hold their readers; by default it has. */
  readonly areLogged?: ((names: readonly string[]) => boolean) | undefined
}

/** One route for Node's requests: answers them with streams of the channels that they resolve to. */
export class Endpoint<Req extends RequestLike> {
  readonly #host: EndpointHost
  readonly #options: RouteOptions<Req>
  readonly #route: Route<Req>
  readonly handler: EventStreamHandler<Req>

  constructor(
    host: EndpointHost,
    resolve: ChannelResolver<Req>,
    options: RouteOptions<Req>,
    begin?: Begin<Req>,
  ) {
    this.#host = host
    this.#options = options
    this.#route = new Route(host, resolve, options, begin)
    if (options.track !== undefined) host.tracker.expect()
    const entrance = begin === undefined ? entrances.route : entrances.streams
    const onError = (error: unknown) => host.onError(error)
    this.handler = toHandler({ entrance, onError }, (req, res) =>
      // Of the methods that are used here, HTTP/2's has the same.
      this.#serve(req, res as ServerResponse),
    )
  }

  /**
   * Answers a request for `run`, whose caller answers errors.
   *
   * @returns The open stream; undefined when the request is answered otherwise: HEAD, a client that
   *   is sent away for now, a client that has gone, a stream that a GRIP proxy holds.
   */
  async serve(req: Req, response: ResponseLike): Promise<OpenStream | undefined> {
    const res = response as ServerResponse
    try {
      takeOver(entrances.run, req, res)
      return await this.#serve(req, res)
    } catch (thrown) {
      throw refusal(res, thrown)
    }
  }

  async #serve(req: Req, res: ServerResponse): Promise<OpenStream | undefined> {
    checkMethod(req)
    const reply = this.#reply(req, res)
    const { admission, gate, grip } = this.#host
    if (req.method !== 'HEAD' && !admission.hasRoom(req, res)) {
      return this.#route.sendAway(reply, 'admission')
    }
    const entered = await gate.enter(req)
    const proxy = entered.isProxied ? grip : undefined
    if (await proxy?.answerLink(req, res)) return undefined
    const asked = await this.#route.ask(req, req, entered)
    try {
      if (proxy === undefined || asked.isHead || !proxy.canHold(req, asked.channels)) {
        return await this.#route.answer(req, asked, reply)
      }
      return isGone(res) ? undefined : await this.#hold(proxy, req, res, asked, reply)
    } finally {
      asked.done()
    }
  }

  #reply(req: Req, res: ServerResponse): Reply {
    const { admission } = this.#host
    return {
      key: () => admission.keyOf(req),
      isGone: () => isGone(res),
      whenGone: (callback) => onGone(res, callback),
      head: () => answerHead(req, res),
      sendAway: (retryMs, last) => sendAway(res, retryMs, last),
      over: () => answerOver(res),
      open() {
        setHead(res)
        // A body that nobody reads would keep the end of the connection from being noticed. Requests that
        // applications make up have none.
        req.resume?.()
        return new ResponseSink(res)
      },
    }
  }

  /** The proxy has the connection from here on: it takes no place of this process's. */
  async #hold(
    proxy: GripFront,
    req: Req,
    res: ServerResponse,
    asked: Asked,
    reply: Reply,
  ): Promise<OpenStream | undefined> {
    const { channels, cursor, since, record, makeReady, unavailable } = asked
    if (this.#host.isClosing()) return this.#route.sendAway(reply, 'closing')
    const { startFrom = 'now' } = this.#options
    const retryMs = this.#route.retryMs()
    try {
      if (unavailable !== undefined) throw unavailable
      const areLogged = () => this.#host.areLogged?.(channels) !== false
      const outcome = await unlessGone(reply, async (gone) => {
        const place = areLogged() ? await makeReady?.(askerOf(reply, gone, true)) : undefined
        if (!areLogged()) return 'not logged'
        if (gone.aborted) return undefined
        if (place === 'over') {
          reply.over()
          return undefined
        }
        const request = { channels, cursor: place ?? cursor, since, startFrom, retryMs, gone }
        return (await proxy.open(req, res, request)) ? 'held' : undefined
      })
      if (outcome === 'not logged') return await this.#route.answer(req, asked, reply)
      if (outcome === 'held') record?.hold()
    } catch (error) {
      return this.#route.failed(reply, error)
    }
    return undefined
  }
}
