// What a socket costs in Node: one buffer for each event, made once and written to every socket. It
// has one channel, no HTTP but a fixed head, and no limits.

import { createServer } from 'node:net'

const sockets = new Set()
const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'
let lastId = 0

export const server = createServer({ noDelay: true }, (socket) => {
  socket.once('data', () => {
    socket.write(head)
    sockets.add(socket)
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => sockets.delete(socket))
})

export function publish(_channel, data) {
  lastId += 1
  const text = `id: ${lastId}\nevent: message\ndata: ${JSON.stringify(data)}\n\n`
  const buffer = Buffer.from(text)
  for (const socket of sockets) socket.write(buffer)
}
