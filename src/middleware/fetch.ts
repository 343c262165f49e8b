import { checkChannel } from '../core/channels.js'
import type { Cursor } from '../core/cursor.js'
import { EventStreamError } from '../core/errors.js'
import { encodeRetry } from '../core/wire.js'
import type { Frame, Sink } from '../hub/sink.js'
import type { Wish } from '../hub/start.js'
import type { SentAwayReason } from '../observe/counters.js'
import { defaultRetryMs, type EndpointHost } from './endpoint.js'
import { checkAccept, checkMethod, readCursor } from './request.js'
import { streamHeaders } from './response.js'

export interface FetchRoute {
  readonly host: EndpointHost
  readonly retryMs: number | undefined
  /** See `Begin` of endpoints. */
  begin(cursor: Cursor | 'invalid' | undefined): Promise<Cursor | 'over' | undefined>
}

const headers = { 'Content-Type': 'text/event-stream', ...streamHeaders }

/**
 * Answers a Web request with the stream of one channel.
 *
 * @throws EventStreamError with a `status`.
 */
export async function answerFetch(
  request: Request,
  channel: string,
  { host, retryMs, begin }: FetchRoute,
): Promise<Response> {
  const { hub, admission } = host
  const since = performance.now()
  const req = requestOf(request)
  checkMethod(req)
  checkAccept(req)
  const cursor = readCursor(req)
  const channels = [checkChannel(channel)]
  if (request.method === 'HEAD') {
    await begin(cursor)
    return new Response(null, { headers })
  }
  const leave = host.isClosing() ? undefined : admission.enter(undefined)
  if (leave === undefined) return sentAway(host, 'admission')
  try {
    const place = await begin(cursor)
    const wish = { channels, cursor: cursor ?? place, startFrom: 'now' as const }
    const prepared = place === 'over' ? place : await hub.prepare(wish as Wish)
    if (prepared === 'over' || prepared.isOver) {
      if (prepared !== 'over') prepared.release()
      leave()
      return new Response(null, { status: 204 })
    }
    const sink = new FetchSink()
    const connection = prepared.attach(sink, {
      retryMs: retryMs ?? defaultRetryMs(),
      onClosed: leave,
    })
    sink.bind(connection)
    request.signal.addEventListener('abort', () => sink.abandon(), { once: true })
    if (hub.isKicked(channels, since)) connection.kick()
    return new Response(sink.body, { headers })
  } catch (error) {
    leave()
    if (error instanceof EventStreamError && error.status < 500) throw error
    host.onError(error)
    return sentAway(host, 'unavailable')
  }
}

/** A stream that says when to come back: a browser comes back after nothing else. */
function sentAway(host: EndpointHost, why: SentAwayReason): Response {
  host.observer.sentAway(host.isClosing() ? 'closing' : why)
  return new Response(encodeRetry(host.hub.retryMs()), { headers })
}

/** What the checks of requests look at. */
function requestOf({ method, url, headers }: Request) {
  return { method, url, headers: Object.fromEntries(headers) }
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

  constructor() {
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

  get progress(): number {
    return this.#written - this.queuedBytes
  }

  end(last: Frame): void {
    this.write(last)
    if (!this.#isClosed) this.#controller?.close()
    this.#close()
  }

  /** Nobody reads it any more. */
  abandon(): void {
    if (!this.#isClosed) this.#controller?.close()
    this.#close()
  }

  destroy(): void {
    if (!this.#isClosed) this.#controller?.error(new Error('The stream was closed.'))
    this.#close()
  }

  get #room(): number {
    return this.#controller?.desiredSize ?? 0
  }

  #pulled(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.#owner?.drained()
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#owner?.closed()
  }
}
