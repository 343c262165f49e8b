import type { ServerResponse } from 'node:http'
import { EventStreamError, quote } from '../core/errors.js'
import { checkChoice, checkFunction, checkNames, checkWhole } from '../core/options.js'
import type { Connection, ConnectionState } from '../hub/connection.js'
import type { Hub, PreparedStream } from '../hub/hub.js'
import type { Transport } from '../hub/sink.js'
import type { StartFrom } from '../hub/start.js'
import type { Admission } from './admission.js'
import type { ChannelResolver } from './channel-source.js'
import {
  checkAccept,
  checkMethod,
  type RequestLike,
  type ResponseLike,
  readCursor,
} from './request.js'
import { answerHead, checkHead, isGone, refuse, sendAway, setHead } from './response.js'
import { ResponseSink } from './response-sink.js'

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
  /** Called when a stream has opened. */
  readonly onOpen?: ((stream: OpenStream, req: Req) => void) | undefined
  /** Called once when a stream has ended, whoever ended it. */
  readonly onClose?: ((stream: OpenStream, req: Req) => void) | undefined
}

/**
 * A handler for Express, Connect, Next.js pages, plain `node:http` and `node:http2`.
 *
 * @returns Resolves when the stream is open, or the request is answered. Errors before the head go
 *   to `next`; without `next` they are answered here with their status, and reject the promise.
 */
export type EventStreamHandler<Req = RequestLike> = (
  req: Req,
  res: ResponseLike,
  next?: (error?: unknown) => void,
) => Promise<void>

/** What endpoints need of the event stream they belong to. */
export interface EndpointHost {
  readonly hub: Hub
  readonly admission: Admission
  /** How a client is answered that cannot be served now. */
  readonly whenUnavailable: 'retry' | 'reject'
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
  ])
  const { authorize, startFrom, retryMs, onOpen, onClose } = options
  checkFunction('authorize', authorize)
  checkFunction('onOpen', onOpen)
  checkFunction('onClose', onClose)
  if (retryMs !== undefined) checkWhole('retryMs', retryMs, 0, 86_400_000)
  if (typeof startFrom === 'object' && startFrom !== null) {
    checkWhole('startFrom.last', startFrom.last, 0)
  } else if (startFrom !== undefined) checkChoice('startFrom', startFrom, ['now', 'earliest'])
}

/** One route: answers requests with streams of the channels that they resolve to. */
export class Endpoint<Req extends RequestLike> {
  readonly #host: EndpointHost
  readonly #resolve: ChannelResolver<Req>
  readonly #options: RouteOptions<Req>

  constructor(host: EndpointHost, resolve: ChannelResolver<Req>, options: RouteOptions<Req>) {
    this.#host = host
    this.#resolve = resolve
    this.#options = options
  }

  readonly handler: EventStreamHandler<Req> = (req, res, next) => {
    const answered = this.#handle(req, res, next)
    // Whoever awaits it gets the rejection; for whoever does not, the request is answered all the
    // same, and must not end the process.
    answered.catch(() => undefined)
    return answered
  }

  async #handle(req: Req, res: ResponseLike, next?: (error?: unknown) => void): Promise<void> {
    try {
      await this.serve(req, res)
    } catch (error) {
      if (next !== undefined) {
        next(error)
        return
      }
      refuse(res as ServerResponse, error)
      throw error
    }
  }

  /**
   * @returns The open stream; undefined when the request is answered otherwise: HEAD, a client that
   *   is sent away for now, a client that has gone.
   */
  serve(req: Req, res: ResponseLike): Promise<OpenStream | undefined> {
    // Of the methods that are used here, HTTP/2's has the same.
    return this.#serve(req, res as ServerResponse)
  }

  async #serve(req: Req, res: ServerResponse): Promise<OpenStream | undefined> {
    checkHead(res)
    checkMethod(req)
    checkAccept(req)
    const cursor = readCursor(req)
    const channels = await this.#resolve(req)
    await this.#authorize(req, channels)
    if (isGone(res)) return undefined
    if (req.method === 'HEAD') {
      answerHead(req, res)
      return undefined
    }
    const leave = this.#host.isClosing() ? undefined : this.#host.admission.enter(req)
    if (leave === undefined) return this.#sendAway(res)
    const { startFrom = 'now' } = this.#options
    let prepared: PreparedStream
    try {
      prepared = await this.#host.hub.prepare({ channels, cursor, startFrom })
    } catch (error) {
      leave()
      this.#host.onError(error)
      return this.#sendAway(res)
    }
    if (isGone(res) || this.#host.isClosing()) {
      prepared.release()
      leave()
      return isGone(res) ? undefined : this.#sendAway(res)
    }
    return this.#open(req, res, prepared, leave)
  }

  #open(req: Req, res: ServerResponse, prepared: PreparedStream, leave: () => void): OpenStream {
    try {
      setHead(res)
    } catch (error) {
      prepared.release()
      leave()
      throw error
    }
    const { retryMs = Math.round(1000 + Math.random() * 2000), onOpen, onClose } = this.#options
    // A body that nobody reads would keep the end of the connection from being noticed.
    req.resume()
    const sink = new ResponseSink(res)
    const connection: Connection = prepared.attach(sink, {
      retryMs,
      onClosed: () => {
        leave()
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

  #sendAway(res: ServerResponse): undefined {
    if (isGone(res)) return undefined
    const { hub, whenUnavailable } = this.#host
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
