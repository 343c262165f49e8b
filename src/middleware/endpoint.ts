import type { ServerResponse } from 'node:http'
import type { Cursor } from '../core/cursor.js'
import { EventStreamError, quote } from '../core/errors.js'
import { checkChoice, checkFunction, checkNames, checkWhole } from '../core/options.js'
import type { Connection, ConnectionState } from '../hub/connection.js'
import type { Hub, PreparedStream } from '../hub/hub.js'
import type { Transport } from '../hub/sink.js'
import type { StartFrom, Wish } from '../hub/start.js'
import type { SentAwayReason } from '../observe/counters.js'
import type { Observer } from '../observe/observer.js'
import type { Admission } from './admission.js'
import type { ChannelResolver } from './channel-source.js'
import type { GripFront } from './grip/front.js'
import type { HeldRequest } from './grip/hold.js'
import type { RecoveryLink } from './grip/link.js'
import { type EventStreamHandler, toHandler } from './handler.js'
import {
  checkAccept,
  checkMethod,
  type RequestLike,
  type ResponseLike,
  readCursor,
} from './request.js'
import { answerHead, answerOver, checkHead, isGone, sendAway, setHead } from './response.js'
import { ResponseSink } from './response-sink.js'
import { checkTrack, type RouteTrack, type Track, toTrack } from './track.js'

/** An open stream, as the application sees it. */
export interface OpenStream {
  readonly channels: readonly string[]
  readonly state: ConnectionState
  readonly openedAt: Date
  readonly transport: Transport
  /** Bytes that wait in memory for this client. */
  readonly queuedBytes: number
  /** Aborts when the stream has ended, whoever ended it. */
  readonly signal: AbortSignal
  /**
   * Ends the stream. The client comes back after `retryMs` milliseconds, by default 1000 to 5000 at
   * random, and is asked for its rights again.
   */
  end(retryMs?: number): void
}

/** Options of one route, after its channels. */
export interface RouteOptions<Req = RequestLike> {
  /**
   * Whether this request may listen to this channel; asked for each channel before the head is sent.
   * False answers 403; what it throws goes to `next`.
   */
  readonly authorize?: ((req: Req, channel: string) => boolean | Promise<boolean>) | undefined
  /**
   * Where a client without a position starts.
   * @defaultValue 'now'
   */
  readonly startFrom?: StartFrom | undefined
  /**
   * Milliseconds that clients are told to wait before they reconnect. By default 1000 to 3000, at
   * random per client, so that a restart does not bring all of them back in the same instant.
   */
  readonly retryMs?: number | undefined
  /** Called when a stream has opened; not for one that a GRIP proxy holds, as it may do for hours. */
  readonly onOpen?: ((stream: OpenStream, req: Req) => void) | undefined
  /** Called once when a stream has ended, whoever ended it. */
  readonly onClose?: ((stream: OpenStream, req: Req) => void) | undefined
  /**
   * Registers each client's connection, with its `channels` in its metadata, until it ends. Of clients of a GRIP
   * proxy, all that listen to the same channels are one, which lives as long as the proxy asks for it.
   */
  readonly track?: RouteTrack<Req> | undefined
}

/** What an endpoint needs for clients of GRIP proxies. */
export interface ProxySide {
  readonly front: GripFront
  /** For the clients of this endpoint. */
  readonly link: RecoveryLink
}

/**
 * Makes ready what a request will read, before it is read; for HEAD, finds out whether it can be.
 *
 * @returns Where a client without a position begins; `'over'` when there is nothing it has not got.
 */
export type Begin<Req> = (
  req: Req,
  channels: readonly string[],
  cursor: Wish['cursor'],
) => Promise<Cursor | 'over' | undefined>

/** Keeps the list of connections. */
export interface ConnectionTracker {
  /** There is a route that has them registered. */
  expect(): void
  /** @throws EventStreamError `ERR_OPTION` or `ERR_DATA` when it cannot be registered like that. */
  prepare(channels: readonly string[], track: Track): PreparedRecord
}

/** A connection that is to be registered: by one of the two. */
export interface PreparedRecord {
  /** @returns Ends it. */
  open(): () => void
  /** A proxy holds it from here on. */
  hold(): void
}

/** What endpoints need of the event stream they belong to. */
export interface EndpointHost {
  readonly hub: Hub
  readonly admission: Admission
  readonly observer: Observer
  /** How a client is answered that cannot be served now. */
  readonly whenUnavailable: 'retry' | 'reject'
  readonly grip: ProxySide | undefined
  readonly tracker: ConnectionTracker
  /** Whether the event stream is closing. */
  isClosing(): boolean
  onError(error: unknown): void
}

/** @throws EventStreamError `ERR_OPTION` when a route option cannot work. */
export function checkRouteOptions(options: RouteOptions<never>): void {
  checkNames('eventStream(channels, options)', options, [
    'authorize',
    'startFrom',
    'retryMs',
    'onOpen',
    'onClose',
    'track',
  ])
  const { authorize, startFrom, retryMs, onOpen, onClose, track } = options
  checkTrack(track)
  checkFunction('authorize', authorize)
  checkFunction('onOpen', onOpen)
  checkFunction('onClose', onClose)
  if (retryMs !== undefined) checkWhole('retryMs', retryMs, 0, 86_400_000)
  if (typeof startFrom === 'object' && startFrom !== null) {
    checkWhole('startFrom.last', startFrom.last, 0)
  } else if (startFrom !== undefined) checkChoice('startFrom', startFrom, ['now', 'earliest'])
}

/** At random, so that a restart does not bring all clients back in the same instant. */
export function defaultRetryMs(): number {
  return Math.round(1000 + Math.random() * 2000)
}

/** One route: answers requests with streams of the channels that they resolve to. */
export class Endpoint<Req extends RequestLike> {
  readonly #host: EndpointHost
  readonly #resolve: ChannelResolver<Req>
  readonly #options: RouteOptions<Req>
  readonly #begin: Begin<Req> | undefined

  constructor(
    host: EndpointHost,
    resolve: ChannelResolver<Req>,
    options: RouteOptions<Req>,
    begin?: Begin<Req>,
  ) {
    this.#host = host
    this.#resolve = resolve
    this.#options = options
    this.#begin = begin
    if (options.track !== undefined) host.tracker.expect()
  }

  readonly handler: EventStreamHandler<Req> = toHandler((req, res) => this.serve(req, res))

  /**
   * @returns The open stream; undefined when the request is answered otherwise: HEAD, a client that
   *   is sent away for now, a client that has gone, a stream that a GRIP proxy holds.
   */
  serve(req: Req, res: ResponseLike): Promise<OpenStream | undefined> {
    // Of the methods that are used here, HTTP/2's has the same.
    return this.#serve(req, res as ServerResponse)
  }

  async #serve(req: Req, res: ServerResponse): Promise<OpenStream | undefined> {
    checkHead(res)
    checkMethod(req)
    const { grip } = this.#host
    const proxy = (await grip?.front.isProxied(req)) ? grip : undefined
    if (await proxy?.front.answerLink(req, res, proxy.link)) return undefined
    checkAccept(req)
    const cursor = readCursor(req)
    const since = performance.now()
    const channels = await this.#resolve(req)
    await this.#authorize(req, channels)
    const { track } = this.#options
    const record = track && this.#host.tracker.prepare(channels, await toTrack(track, req))
    if (isGone(res)) return undefined
    if (req.method === 'HEAD') {
      await this.#begin?.(req, channels, cursor)
      answerHead(req, res)
      return undefined
    }
    if (proxy !== undefined) return this.#hold(proxy, req, res, { channels, cursor, since }, record)
    const leave = this.#host.isClosing() ? undefined : this.#host.admission.enter(req)
    if (leave === undefined) return this.#sendAway(res, 'admission')
    let prepared: PreparedStream | 'over'
    try {
      prepared = await this.#prepare(req, channels, cursor)
    } catch (error) {
      leave()
      if (error instanceof EventStreamError && error.status < 500) throw error
      this.#host.onError(error)
      return this.#sendAway(res, 'unavailable')
    }
    if (prepared === 'over') {
      leave()
      return isGone(res) ? undefined : answerOver(res)
    }
    if (isGone(res) || this.#host.isClosing() || prepared.isOver) {
      prepared.release()
      leave()
      if (isGone(res)) return undefined
      return this.#host.isClosing() ? this.#sendAway(res, 'closing') : answerOver(res)
    }
    const stream = this.#open(req, res, prepared, leave, record)
    if (this.#host.hub.isKicked(channels, since)) stream.kick()
    return stream
  }

  async #prepare(
    req: Req,
    channels: readonly string[],
    cursor: Wish['cursor'],
  ): Promise<PreparedStream | 'over'> {
    const { startFrom = 'now' } = this.#options
    const place = await this.#begin?.(req, channels, cursor)
    if (place === 'over') return place
    return this.#host.hub.prepare({ channels, cursor: cursor ?? place, startFrom })
  }

  /** The proxy has the connection from here on: it takes no place of this process's. */
  async #hold(
    proxy: ProxySide,
    req: Req,
    res: ServerResponse,
    wish: Pick<HeldRequest, 'channels' | 'cursor' | 'since'>,
    record: PreparedRecord | undefined,
  ): Promise<undefined> {
    if (this.#host.isClosing()) return this.#sendAway(res, 'closing')
    const { startFrom = 'now' } = this.#options
    try {
      const request = { ...wish, startFrom, retryMs: this.#retryMs() }
      if (await proxy.front.open(req, res, proxy.link, request)) record?.hold()
    } catch (error) {
      if (error instanceof EventStreamError && error.status < 500) throw error
      this.#host.onError(error)
      return this.#sendAway(res, 'unavailable')
    }
    return undefined
  }

  #retryMs(): number {
    return this.#options.retryMs ?? defaultRetryMs()
  }

  #open(
    req: Req,
    res: ServerResponse,
    prepared: PreparedStream,
    leave: () => void,
    record: PreparedRecord | undefined,
  ): Connection {
    try {
      setHead(res)
    } catch (error) {
      prepared.release()
      leave()
      throw error
    }
    const { onOpen, onClose } = this.#options
    // A body that nobody reads would keep the end of the connection from being noticed.
    req.resume()
    const sink = new ResponseSink(res)
    const forget = record?.open()
    const connection: Connection = prepared.attach(sink, {
      retryMs: this.#retryMs(),
      onClosed: () => {
        leave()
        forget?.()
        onClose?.(connection, req)
      },
    })
    sink.bind(connection)
    if (onOpen !== undefined) this.#report(() => onOpen(connection, req))
    return connection
  }

  async #authorize(req: Req, channels: readonly string[]): Promise<void> {
    const { authorize } = this.#options
    if (authorize === undefined) return
    const allowed = await Promise.all(channels.map((channel) => authorize(req, channel)))
    const refused = channels.find((_channel, i) => allowed[i] !== true)
    if (refused === undefined) return
    throw new EventStreamError(
      'ERR_FORBIDDEN',
      `This request may not listen to the channel ${quote(refused)}.`,
    )
  }

  /** @param why - Unless the event stream is closing. */
  #sendAway(res: ServerResponse, why: SentAwayReason): undefined {
    if (isGone(res)) return undefined
    const { hub, observer, whenUnavailable } = this.#host
    observer.sentAway(this.#host.isClosing() ? 'closing' : why)
    const retryMs = hub.retryMs()
    if (whenUnavailable === 'reject') {
      throw new EventStreamError('ERR_UNAVAILABLE', 'No event stream can be served now.', {
        headers: { 'Retry-After': String(Math.ceil(retryMs / 1000)) },
      })
    }
    sendAway(res, retryMs, this.#host.isClosing())
    return undefined
  }

  /** A callback of the application that throws has no effect on the stream. */
  #report(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.#host.onError(error)
    }
  }
}
