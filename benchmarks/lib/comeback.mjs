// Clients that come back with a position, all at once.

import { connect } from 'node:net'

function open(port, cursor) {
  const socket = connect(port, '127.0.0.1')
  const position = cursor === undefined ? '' : `Last-Event-ID: ${cursor}\r\n`
  socket.write(
    `GET /c/0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${position}\r\n`,
  )
  return socket
}

/** Resolves when what has arrived matches. @returns The match. */
function hears(socket, pattern) {
  let text = ''
  return new Promise((resolve, reject) => {
    socket.on('data', function receive(chunk) {
      text += chunk.toString('latin1')
      const match = pattern.exec(text)
      if (match === null) return
      socket.off('data', receive).resume()
      resolve(match)
    })
    socket.on('error', reject).on('close', () => reject(new Error(`Closed after: ${text}`)))
  })
}

/** Opens a stream. @returns Where it is, and its end. */
export async function openOne(port) {
  const socket = open(port)
  const [, cursor] = await hears(socket, /^id: (\S+)$/m)
  return { cursor, close: () => socket.destroy() }
}

/** @returns Milliseconds until the last of them has an event that it missed. */
export async function comeBack({ port, clients, cursor, last }) {
  const start = performance.now()
  const sockets = Array.from({ length: clients }, () => open(port, cursor))
  await Promise.all(sockets.map((socket) => hears(socket, last)))
  const ms = performance.now() - start
  for (const socket of sockets) socket.destroy()
  return ms
}
