import { EventEmitter } from 'node:events'
import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Frame, Sink, Transport } from '../hub/sink.js'
import type { CloseReason } from '../observe/counters.js'
import { warnOnce } from '../warn-once.js'
import { directSocket, isWrapped } from './direct-socket.js'
import { unwrappedEnd, withholdSession } from './end-of-response.js'
import {
  carrierOf,
  type GoneListener,
  ignore,
  isGone,
  listenTo,
  unwatchCarrier,
  watchCarrier,
} from './gone.js'
import { SlicedWriter } from './sliced-writer.js'
import {
  endExemption,
  exempt,
  type Session,
  type TimeoutListener,
  warnOfTimeout,
} from './timeouts.js'

/** Hears what becomes of a response. */
interface SinkOwner {
  drained(): void
  closed(reason?: CloseReason): void
  destroy(): void
}

const { on: plainOn } = EventEmitter.prototype

const sinkOf = Symbol('headwater.sink')

type StreamingResponse = ServerResponse & {
  [sinkOf]?: ResponseSink
  /** Set by compression middleware, which would otherwise wait for more. */
  flush?: () => void
}

type StreamingSocket = Socket & { [sinkOf]?: ResponseSink | undefined }

/** The one place that writes an open stream's bytes to `res`, or past it to its socket. */
export class ResponseSink implements Sink, GoneListener, TimeoutListener {
  readonly #res: StreamingResponse
  /** What stands between `res.write` and the socket may have a queue of its own. */
  readonly #wrapped: boolean
  /** Once the head has gone out, and where nothing stands in between. */
  #socket: StreamingSocket | undefined
  /** Over HTTP/2, where nothing stands in between. */
  readonly #slices: SlicedWriter | undefined
  #opened = false
  /** What 'drain' is awaited of. */
  #drains: StreamingResponse | StreamingSocket | undefined
  #owner: SinkOwner | undefined
  /** `end` of a response that is written past, as it was before. */
  #end: ServerResponse['end'] | undefined
  #isEnded = false
  #giveSessionBack: (() => void) | undefined
  /** Of HTTP/2. */
  readonly #session: Session | undefined
  /** Whether a timeout runs out at this moment, or has cut the stream. */
  #timesOut = false
  #written = 0
  /** Bytes written since `res` was last empty; counted from when it is full. */
  #waiting = 0
  #full = false
  /** What wraps `write` has answered that it is full, so it is for that to say when it is no more. */
  #isWrapperFull = false

  constructor(res: ServerResponse) {
    this.#res = res
    this.#wrapped = isWrapped(res)
    // What wraps `write` may not call back.
    if (!(res instanceof ServerResponse) && !this.#wrapped) {
      this.#slices = new SlicedWriter(res, () => this.drained())
    }
    this.#res[sinkOf] = this
    listenTo(res, 'close', onClose)
    listenTo(res, 'error', onError)
    // Where anything listens, Node leaves it to that, and cuts nothing itself.
    listenTo(res, 'timeout', onTimeout)
    watchCarrier(res, this)
    this.#session = exempt(res, this)
    if (this.#wrapped) this.#listenToWrapper()
  }

  /** From here on `owner` hears of the response. */
  bind(owner: SinkOwner): void {
    this.#owner = owner
  }

  get transport(): Transport {
    return this.#socket === undefined ? 'response' : 'socket'
  }

  write(frame: Frame): boolean {
    if (this.#socket !== undefined) {
      // Whatever ended the response: the socket may be at the next one already.
      if (this.#isEnded) return false
      const { chunk } = frame
      this.#written += chunk.length
      const answer = this.#socket.write(chunk)
      if (answer) return true
      return isTaken(answer, this.#socket) || this.#awaitDrain(this.#socket)
    }
    if (!this.#opened) return this.#open(frame)
    return this.#writeResponse(frame.bytes) || this.#awaitDrain(this.#res)
  }

  get isEmpty(): boolean {
    if (this.#slices !== undefined) return this.#slices.waitingBytes === 0
    return waitingBytes(this.#res) === 0 && systemQueue(this.#res.socket) === 0
  }

  get queuedBytes(): number {
    if (this.#slices !== undefined) return this.#slices.waitingBytes
    return this.#wrapped
      ? Math.max(this.#waiting, waitingBytes(this.#res))
      : waitingBytes(this.#res)
  }

  get progress(): number {
    if (this.#slices !== undefined) return this.#written - this.#slices.waitingBytes
    return this.#written - waitingBytes(this.#res) - systemQueue(this.#res.socket)
  }

  end({ bytes }: Frame): void {
    this.#slices?.flush()
    this.#isEnded = true
    listenTo(this.#res, 'finish', onFinish)
    try {
      if (this.#wrapped) this.#endByWrappers(bytes)
      else Reflect.apply(unwrappedEnd(this.#res), this.#res, [bytes])
    } catch {
      // A middleware's own end has failed: that ends its response, and no other one.
      this.#res.destroy()
    }
  }

  /** What wraps `write` may hold bytes back, and end the response later. */
  #endByWrappers(bytes: Buffer): void {
    this.#giveSessionBack = withholdSession(this.#res.req)
    this.#res.end(bytes)
  }

  /** Ends the response, and writes no more past it. */
  endResponse(args: readonly unknown[]): ServerResponse {
    this.#isEnded = true
    return Reflect.apply(this.#end as ServerResponse['end'], this.#res, args)
  }

  destroy(): void {
    this.#res.destroy()
  }

  drained(): void {
    // The stream is empty after each slice.
    if (this.#slices !== undefined && this.#slices.waitingBytes > 0) return
    this.#ignoreDrain()
    this.#full = false
    this.#waiting = 0
    this.#owner?.drained()
  }

  /** What Node keeps of the response has gone. */
  nodeDrained(): void {
    if (!this.#isWrapperFull || !isTakenOver(this.#res)) this.drained()
  }

  /** All of the response is on its way. */
  finished(): void {
    const carrier = carrierOf(this.#res)
    // An HTTP/1 connection that waits for its next request would hold up a server that has begun to close, and for longer
    // where its client keeps its half open.
    if (carrier instanceof Socket && !isServed(carrier)) carrier.destroySoon()
  }

  closed(): void {
    this.#giveSessionBack?.()
    this.#ignoreDrain()
    unwatchCarrier(this.#res, this)
    endExemption(this.#res, this.#session, this)
    // It may live on, for the next request.
    if (this.#socket !== undefined) this.#socket[sinkOf] = undefined
    if (this.#timesOut) warnOfTimeout()
    this.#owner?.closed(this.#timesOut ? 'timeout' : 'client')
  }

  /** A timeout that was set after the stream had opened has run out: what hears of it may cut the stream. */
  timedOut(): void {
    if (this.#isEnded) return
    this.#timesOut = true
    setImmediate(() => {
      this.#timesOut = isGone(this.#res) || this.#session?.socket?.destroyed === true
    })
  }

  failed(): void {
    this.#owner?.destroy()
  }

  #writeResponse(bytes: Buffer): boolean {
    this.#written += bytes.length
    if (this.#send(bytes) && !this.#full) return true
    this.#full = true
    this.#waiting += bytes.length
    return false
  }

  #send(bytes: Buffer): boolean {
    try {
      if (this.#slices !== undefined) return this.#slices.write(bytes)
      const answer = this.#res.write(bytes)
      this.#res.flush?.()
      this.#isWrapperFull = this.#wrapped && answer === false
      return isTaken(answer, this.#res)
    } catch (error) {
      // A middleware's own write has failed: that ends its response, and no other one.
      this.#res.destroy(error as Error)
      return false
    }
  }

  /** The head goes out with the first frame, in one write. */
  #open(frame: Frame): boolean {
    this.#opened = true
    const { socket } = this.#res
    const isPlain = this.#res instanceof ServerResponse && !this.#wrapped && socket !== null
    if (!isPlain) {
      const isClear = !this.#res.hasHeader('Content-Encoding')
      const isTaken = this.#writeResponse(frame.bytes)
      if (isClear) warnOfCompression(this.#res)
      return isTaken || this.#awaitDrain(this.#res)
    }
    socket.cork()
    try {
      // By itself it is sent as the string that it is kept as; before a body Node would send a copy,
      // and keep it in the dozens of pieces that it was put together from.
      this.#res.flushHeaders()
      this.#socket = directSocket(this.#res)
      if (this.#socket !== undefined) {
        this.#socket[sinkOf] = this
        this.#end = this.#res.end
        this.#res.end = noteEnd as ServerResponse['end']
      }
      return this.write(frame)
    } finally {
      socket.uncork()
    }
  }

  /**
   * Compression middleware hands what listens to `res` to its own stream, which it never gives back: so it hears each
   * listener once. The response itself is listened to beside it.
   */
  #listenToWrapper(): void {
    if (!isTakenOver(this.#res)) return
    this.#res.on('drain', () => this.drained())
    this.#res.on('error', () => this.failed())
  }

  /** Listens only while there is something to wait for: most clients never let anything wait. */
  #awaitDrain(drains: StreamingResponse | StreamingSocket): false {
    if (this.#drains === undefined) {
      this.#drains = drains
      listenTo(drains, 'drain', onDrain)
    }
    return false
  }

  #ignoreDrain(): void {
    if (this.#drains !== undefined) ignore(this.#drains, 'drain', onDrain)
    this.#drains = undefined
  }
}

// Shared by all responses: a closure for each would be most of what an idle stream costs.

/**
 * To be told costs nothing. To ask an Express response whether it has ended, before each write, is a
 * third of what a delivery costs: its prototype was changed, which makes any property of it slow.
 */
function noteEnd(this: StreamingResponse, ...args: readonly unknown[]): ServerResponse {
  return (this[sinkOf] as ResponseSink).endResponse(args)
}

function onDrain(this: StreamingResponse | StreamingSocket): void {
  this[sinkOf]?.nodeDrained()
}

function onFinish(this: StreamingResponse): void {
  this[sinkOf]?.finished()
}

function onTimeout(this: StreamingResponse): void {
  this[sinkOf]?.timedOut()
}

function onClose(this: StreamingResponse): void {
  this[sinkOf]?.closed()
}

/** A write to a response that is gone: the client gets it from the log when it is back. */
function onError(this: StreamingResponse): void {
  this[sinkOf]?.failed()
}

/**
 * Whether there is room for more. Only `false` is full: what wraps `write` may answer nothing, a promise, or always
 * true; what waits behind it, the response tells itself.
 */
function isTaken(answer: unknown, to: Pick<ServerResponse, 'writableNeedDrain'>): boolean {
  if (answer === false) return false
  const { stream } = to as { readonly stream?: Pick<ServerResponse, 'writableNeedDrain'> }
  return (to.writableNeedDrain ?? stream?.writableNeedDrain) !== true
}

/** A compressor that is not flushed keeps events until it has many. */
function warnOfCompression(res: StreamingResponse): void {
  if (!res.hasHeader('Content-Encoding') || res.flush !== undefined) return
  warnOnce(
    'HEADWATER_COMPRESSED',
    'A middleware compresses an event stream in spite of "Cache-Control: no-transform", and has no res.flush(), so events ' +
      'do not arrive at once. Let it leave out text/event-stream, or put the stream before it.',
  )
}

/** What a test has made in place of a response may not tell. */
function waitingBytes({ writableLength = 0 }: Partial<ServerResponse>): number {
  return writableLength
}

/** Whether a middleware decides who hears `res`. */
function isTakenOver({ on }: ServerResponse): boolean {
  return on !== plainOn
}

/** Whether the server goes on: it closes connections itself that are idle when it begins to close. */
function isServed(socket: Socket): boolean {
  const { server } = Object(socket) as { readonly server?: { readonly listening?: unknown } }
  return server?.listening === true
}

/**
 * Bytes of the write under way that the operating system has not taken yet. Node counts a write as
 * done when all of it is, which for a slow client may take longer than a stall.
 */
function systemQueue(socket: Socket | null): number {
  const handle = (socket as { _handle?: { writeQueueSize?: unknown } } | null)?._handle
  return Number(handle?.writeQueueSize ?? 0)
}
