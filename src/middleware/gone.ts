import { EventEmitter } from 'node:events'
import { ServerResponse } from 'node:http'

/** Hears that nobody waits for a response any more. */
export interface GoneListener {
  closed(): void
}

/** What a response comes over: the socket of HTTP/1, the stream of HTTP/2. */
type Carrier = EventEmitter & { readonly destroyed?: boolean }

/** As Node made it: compression middleware takes `res.on` over, and keeps listeners from the response. */
const { on: plainOn, off: plainOff } = EventEmitter.prototype

/** Who waits for the end of a carrier: one listener for all of them. */
const waiting = new WeakMap<EventEmitter, Set<GoneListener>>()

/** Listens to the response itself, whatever has wrapped its methods. */
export function listenTo(
  res: EventEmitter,
  name: string,
  listener: (...args: never[]) => void,
): void {
  // What is no emitter of Node's emits by its own methods.
  const on = res instanceof EventEmitter ? plainOn : (res as EventEmitter).on
  on.call(res, name, listener as () => void)
}

/** Takes {@link listenTo} back. */
export function ignore(
  res: EventEmitter,
  name: string,
  listener: (...args: never[]) => void,
): void {
  const off = res instanceof EventEmitter ? plainOff : (res as EventEmitter).off
  off.call(res, name, listener as () => void)
}

/** @returns undefined for what a test has made in place of a response. */
export function carrierOf(res: ServerResponse): Carrier | undefined {
  // A response that waits behind another one of its connection, or is over, has no socket itself.
  const carrier =
    res instanceof ServerResponse
      ? (res.req?.socket ?? res.socket)
      : (res as { readonly stream?: unknown }).stream
  return carrier instanceof EventEmitter ? carrier : undefined
}

/**
 * Tells when the connection of a response has closed, which is enough: of a response that waits behind another one
 * Node tells nothing, and middleware may swallow what it tells.
 */
export function watchCarrier(res: ServerResponse, listener: GoneListener): void {
  const carrier = carrierOf(res)
  if (carrier === undefined) return
  let listeners = waiting.get(carrier)
  if (listeners === undefined) {
    listeners = new Set()
    waiting.set(carrier, listeners)
    carrier.on('close', onCarrierClose)
  }
  listeners.add(listener)
}

/** Takes {@link watchCarrier} back. */
export function unwatchCarrier(res: ServerResponse, listener: GoneListener): void {
  const carrier = carrierOf(res)
  const listeners = carrier && waiting.get(carrier)
  if (carrier === undefined || !listeners?.delete(listener) || listeners.size > 0) return
  waiting.delete(carrier)
  carrier.off('close', onCarrierClose)
}

function onCarrierClose(this: EventEmitter): void {
  for (const listener of waiting.get(this) ?? []) listener.closed()
}

/** Whether nobody waits for this response any more. */
export function isGone(res: ServerResponse): boolean {
  return res.destroyed || res.writableEnded || carrierOf(res)?.destroyed === true
}

/**
 * Calls back when nobody waits for this response any more.
 *
 * @returns Takes that back.
 */
export function onGone(res: ServerResponse, callback: () => void): () => void {
  const listener: GoneListener = { closed: callback }
  watchCarrier(res, listener)
  listenTo(res, 'close', callback)
  return () => {
    unwatchCarrier(res, listener)
    ignore(res, 'close', callback)
  }
}
