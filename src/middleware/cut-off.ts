import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Of responses that wait, by their connection: one listener for all of them. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/**
 * Tells when the connection of a response closes that waits behind another one on it, as pipelined requests do:
 * Node tells only the one that is being sent.
 *
 * @returns Takes that back.
 */
export function onCutOff(res: ServerResponse, callback: () => void): () => void {
  const socket = res.req?.socket
  if (socket === undefined) return () => undefined
  const callbacks = waiting.get(socket) ?? listen(socket)
  callbacks.add(callback)
  const forget = () => {
    callbacks.delete(callback)
    res.off('close', forget)
  }
  res.once('close', forget)
  return forget
}

function listen(socket: Socket): Set<() => void> {
  const callbacks = new Set<() => void>()
  waiting.set(socket, callbacks)
  socket.once('close', () => {
    for (const callback of callbacks) callback()
  })
  return callbacks
}
