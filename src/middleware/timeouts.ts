import type { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { warnOnce } from '../warn-once.js'
import { carrierOf } from './gone.js'

/** A socket, or a stream or session of HTTP/2. */
interface Timed extends EventEmitter {
  readonly destroyed?: boolean
  /** Milliseconds; 0 or undefined for none. */
  readonly timeout?: number
  setTimeout?(timeoutMs: number): unknown
}

export type Session = Timed & { readonly socket?: EventEmitter & { readonly destroyed?: boolean } }

/** Hears that a session has timed out. */
export interface TimeoutListener {
  timedOut(): void
}

/** A session of HTTP/2 that has open streams. */
interface SessionUse {
  readonly streams: Set<TimeoutListener>
  onTimeout(): void
}

/** What timeouts were before streams opened, in milliseconds. */
const suspended = new WeakMap<Timed, number>()

const uses = new WeakMap<Timed, SessionUse>()

/**
 * Exempts an open stream from timeouts for silence: of its server, its request, its response or its session. A client
 * that is gone is found by keep-alives.
 *
 * @returns The session of an HTTP/2 stream, for {@link endExemption}: the stream itself forgets it.
 */
export function exempt(res: ServerResponse, stream: TimeoutListener): Session | undefined {
  const carrier = carrierOf(res) as (Timed & { readonly session?: Session }) | undefined
  if (carrier !== undefined) suspend(carrier)
  const session = carrier?.session
  if (session !== undefined) enter(session, stream)
  return session
}

/** Brings the timeouts back, for what comes next over the same connection. */
export function endExemption(
  res: ServerResponse,
  session: Session | undefined,
  stream: TimeoutListener,
): void {
  const carrier = carrierOf(res)
  if (carrier !== undefined) resume(carrier)
  if (session !== undefined) leave(session, stream)
}

/** Where a stream is cut all the same, as its timeout was set after it had opened. */
export function warnOfTimeout(): void {
  warnOnce(
    'HEADWATER_TIMEOUT',
    'A timeout of the application has cut an event stream that was silent. Streams are exempt from a timeout of their ' +
      'server, request, response or session: set it before the stream opens, or make it longer than keepAliveMs.',
  )
}

function enter(session: Session, stream: TimeoutListener): void {
  let use = uses.get(session)
  if (use === undefined) {
    const streams = new Set<TimeoutListener>()
    const onTimeout = () => {
      for (const each of streams) each.timedOut()
    }
    use = { streams, onTimeout }
    uses.set(session, use)
    session.on('timeout', onTimeout)
    // One that was set on the socket itself can only be heard of: Node lets nobody change it from here on.
    session.socket?.on('timeout', onTimeout)
  }
  use.streams.add(stream)
  suspend(session)
}

function leave(session: Session, stream: TimeoutListener): void {
  const use = uses.get(session)
  if (!use?.streams.delete(stream) || use.streams.size > 0) return
  uses.delete(session)
  session.off('timeout', use.onTimeout)
  if (!session.destroyed) session.socket?.off('timeout', use.onTimeout)
  resume(session)
}

function suspend(timed: Timed): void {
  const { timeout = 0 } = timed
  if (timeout === 0) return
  suspended.set(timed, timeout)
  timed.setTimeout?.(0)
}

function resume(timed: Timed): void {
  const timeout = suspended.get(timed)
  suspended.delete(timed)
  // A connection that waits for its next request has another one by now, of Node's.
  if (timeout !== undefined && !timed.destroyed && !timed.timeout) timed.setTimeout?.(timeout)
}
