import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { EventStreamError, quote } from '../core/errors.js'
import type { RequestLike, ResponseLike } from './request.js'

/**
 * Who a request belongs to. Declared as a method, so that a function of the application's own kind
 * of request will do.
 */
export type ConnectionKey = { of(req: RequestLike): string | null | undefined }['of']

export interface AdmissionOptions {
  readonly maxConnections: number
  readonly maxConnectionsPerKey: number
  readonly maxStreamsPerSession: number
  readonly connectionKey?: ConnectionKey | undefined
}

/** Requests that may be pipelined behind an open stream before their TCP connection is closed. */
const maxRejected = 16

/** How a TCP connection of HTTP/1 is used. */
interface SocketUse {
  /** The last response that was to be a stream. */
  readonly stream: ServerResponse
  /** Requests behind it. */
  rejected: number
}

function isOver({ writableEnded, destroyed }: ServerResponse): boolean {
  return writableEnded || destroyed
}

/** @throws EventStreamError `ERR_OPTION` when it is no key: each promise would be one of its own. */
export function checkKey(key: string | undefined): void {
  if (typeof key !== 'object') return
  throw new EventStreamError(
    'ERR_OPTION',
    `connectionKey gave ${quote(key)}; give a string, or undefined for none.`,
  )
}

/** Counts connections, in total and per key, from before they open until they are gone. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #perKey = new Map<string, number>()
  /** Over HTTP/1, by TCP connection. */
  readonly #perSocket = new WeakMap<object, SocketUse>()
  /** Over HTTP/2: responses that are to be streams, and have not closed, by their session. */
  readonly #perSession = new WeakMap<object, number>()
  #total = 0

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** Who a request belongs to. */
  keyOf(req: RequestLike): string | undefined {
    return this.#options.connectionKey?.(req) ?? undefined
  }

  /**
   * Whether the TCP connection of a request has room for one more stream. It is asked before anything else is, as
   * pipelined requests are for free: behind an open stream of HTTP/1.1, none can ever be answered.
   */
  hasRoom(req: RequestLike, res: ResponseLike): boolean {
    if (res instanceof ServerResponse) {
      const { socket } = req as { readonly socket?: Socket }
      // A request that is injected by a test may have none.
      if (socket === undefined) return true
      const use = this.#perSocket.get(socket)
      // Whoever has refused it may have it answered once more.
      if (use?.stream === res) return true
      if (use === undefined || isOver(use.stream)) {
        this.#perSocket.set(socket, { stream: res, rejected: 0 })
        return true
      }
      use.rejected += 1
      // Each answer waits in memory until the stream ends.
      if (use.rejected > maxRejected) socket.destroy()
      return false
    }
    const session = res.stream?.session
    if (session === undefined) return true
    const count = this.#perSession.get(session) ?? 0
    if (count >= this.#options.maxStreamsPerSession) return false
    this.#perSession.set(session, count + 1)
    // Each stream of a session is its own: this is called once.
    res.stream.once('close', () => {
      this.#perSession.set(session, (this.#perSession.get(session) ?? 1) - 1)
    })
    return true
  }

  /**
   * @param key - Who it is that enters.
   * @returns What gives the place back, once; undefined when there is none.
   * @throws EventStreamError `ERR_OPTION` when it is no key.
   */
  enter(key: string | undefined): (() => void) | undefined {
    const { maxConnections, maxConnectionsPerKey } = this.#options
    checkKey(key)
    if (this.#total >= maxConnections) return undefined
    if (key !== undefined && this.#of(key) >= maxConnectionsPerKey) return undefined
    this.#add(key, 1)
    let inside = true
    return () => {
      if (inside) this.#add(key, -1)
      inside = false
    }
  }

  #of(key: string): number {
    return this.#perKey.get(key) ?? 0
  }

  #add(key: string | undefined, by: 1 | -1): void {
    this.#total += by
    if (key === undefined) return
    const count = this.#of(key) + by
    if (count === 0) this.#perKey.delete(key)
    else this.#perKey.set(key, count)
  }
}
