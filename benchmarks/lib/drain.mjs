// A client that does nothing with what it gets, so that it is never waited for.

import { connect } from 'node:net'

/** Asks for `/c/<id>` and reads to the end. @returns Bytes on the wire, and how long it took. */
export function drain(port, id) {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    let bytes = 0
    let head
    // One buffer for all that comes.
    const onread = {
      buffer: Buffer.alloc(1 << 18),
      callback(length, buffer) {
        head ??= buffer.toString('latin1', 0, Math.min(length, 200))
        bytes += length
        return true
      },
    }
    const socket = connect({ port, host: '127.0.0.1', onread })
    socket.write(`GET /c/${id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    socket.on('error', reject).on('close', () => {
      if (!head?.startsWith('HTTP/1.1 200')) reject(new Error(`Answered by: ${head}`))
      else resolve({ bytes, seconds: (performance.now() - start) / 1000 })
    })
  })
}
