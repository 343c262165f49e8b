import { asError } from '../core/errors.js'
import { checkFunction } from '../core/options.js'
import { encodeRetry } from '../core/wire.js'
import type { Frame, Sink } from '../hub/sink.js'
import { noStore } from './caching.js'
import type { ChannelResolver } from './channel-source.js'
import { checkWebCall, type Entrance } from './entrance.js'
import { checkMethod, type RequestHead } from './request.js'
import { byPosition, refusalOf, streamHeaders } from './response.js'
import { type Begin, type Reply, Route, type RouteHost } from './route.js'
import { checkRouteOptions, type RouteOptions } from './route-options.js'

/** Options of one Web request. */
export interface FetchOptions extends RouteOptions<Request> {
  /**
   * Who the request belongs to, such as its user, for `maxConnectionsPerKey` and `streams.maxRunningPerKey`: the option of event streams that has
   * the same name reads Node's requests.
   */
  readonly connectionKey?: ((request: Request) => string | null | undefined) | undefined
}

const headers = { 'Content-Type': 'text/event-stream', ...streamHeaders }

/** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
export function checkFetchOptions(options: FetchOptions): void {
  checkRouteOptions(options, 'fetch(request, channels, options)', ['connectionKey'])
  checkFunction('connectionKey', options.connectionKey)
}

/**
 * Answers a Web request with a stream of the channels that it resolves to.
 *
 * @throws EventStreamError with a `status`, and what functions of the application throw.
 */
export async function answerFetch(
  entrance: Required<Entrance>,
  request: Request,
  host: RouteHost,
  resolve: ChannelResolver<Request>,
  options: FetchOptions,
  begin?: Begin<Request>,
): Promise<Response> {
  checkWebCall(entrance, request)
  const head = headOf(request)
  checkMethod(head)
  const entered = await host.gate.enter(head)
  const route = new Route(host, resolve, options, begin)
  const reply = new FetchReply(request, options)
  try {
    const asked = await route.ask(request, head, entered)
    await route.answer(request, asked, reply).finally(asked.done)
  } catch (thrown) {
    throw asError(thrown)
  }
  // nginx's status for a client that has gone: nobody gets it.
  return reply.response ?? new Response(null, { status: 499, headers: noStore })
}

/**
 * Answers an error that {@link answerFetch} has thrown, or any other one, with its status. Only our own messages are
 * fit for strangers, and of those none that is about the server.
 */
export function errorResponse(error: unknown): Response {
  const { status, headers, vary, message } = refusalOf(error)
  const dependsOn = vary === '' ? {} : { Vary: vary }
  return new Response(message, { status, headers: { ...headers, ...dependsOn } })
}

/** What the checks of requests look at. */
function headOf({ method, url, headers }: Request): RequestHead {
  return { method, url, headers: Object.fromEntries(headers) }
}

class FetchReply implements Reply {
  /** There is none for a client that has gone. */
  response: Response | undefined
  readonly #request: Request
  readonly #connectionKey: FetchOptions['connectionKey']

  constructor(request: Request, { connectionKey }: FetchOptions) {
    this.#request = request
    this.#connectionKey = connectionKey
  }

  key(): string | undefined {
    return this.#connectionKey?.(this.#request) ?? undefined
  }

  isGone(): boolean {
    return this.#request.signal.aborted
  }

  whenGone(callback: () => void): () => void {
    const { signal } = this.#request
    signal.addEventListener('abort', callback)
    return () => signal.removeEventListener('abort', callback)
  }

  head(): void {
    this.response = new Response(null, { headers })
  }

  sendAway(retryMs: number): void {
    this.response = new Response(encodeRetry(retryMs), { headers })
  }

  over(): void {
    this.response = new Response(null, { status: 204, headers: { ...noStore, Vary: byPosition } })
  }

  open(): FetchSink {
    const sink = new FetchSink(this.#request.signal)
    this.response = new Response(sink.body, { headers })
    return sink
  }
}

interface SinkOwner {
  drained(): void
  closed(): void
}

/** The one place that writes an open stream's bytes to a Web response. */
class FetchSink implements Sink {
  readonly transport = 'response'
  readonly body: ReadableStream<Uint8Array>
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #owner: SinkOwner | undefined
  #written = 0
  #isFull = false
  #isClosed = false
  /** Of the request: aborts when its client has gone. */
  readonly #signal: AbortSignal
  readonly #abandon = () => this.#close(() => this.#controller?.close())

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#abandon)
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => this.#pulled(),
        cancel: () => this.#close(),
      },
      { highWaterMark: 65_536, size: (chunk) => chunk.byteLength },
    )
  }

  bind(owner: SinkOwner): void {
    this.#owner = owner
    if (this.#isClosed) owner.closed()
  }

  write({ bytes }: Frame): boolean {
    if (this.#isClosed) return false
    this.#written += bytes.length
    // Frames are shared by all connections, and a reader may transfer what it gets.
    this.#controller?.enqueue(new Uint8Array(bytes))
    this.#isFull = this.#room <= 0
    return !this.#isFull
  }

  get queuedBytes(): number {
    return this.#isClosed ? 0 : Math.max(0, 65_536 - this.#room)
  }

  get isEmpty(): boolean {
    return this.queuedBytes === 0
  }

  get progress(): number {
    return this.#written - this.queuedBytes
  }

  end(last: Frame): void {
    this.write(last)
    this.#close(() => this.#controller?.close())
  }

  destroy(): void {
    this.#close(() => this.#controller?.error(new Error('The stream was closed.')))
  }

  get #room(): number {
    return this.#controller?.desiredSize ?? 0
  }

  #pulled(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.#owner?.drained()
  }

  /** @param closeBody - Unless its reader has done so. */
  #close(closeBody?: () => void): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#signal.removeEventListener('abort', this.#abandon)
    closeBody?.()
    this.#owner?.closed()
  }
}
