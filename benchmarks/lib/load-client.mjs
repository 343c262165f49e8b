// The same as load-client.c where there is no C compiler. It takes more CPU than some servers do, so
// latencies and rates are then a lower bound of what the fast ones can.

import { connect } from 'node:net'
import { answer, countEvent, counted, nowUs, takeCommands, totals } from './client-counts.mjs'

const [port, count, channels, atOnce] = process.argv.slice(2).map(Number)
const at = '@'.charCodeAt(0)
const digits = 16

Object.assign(totals, { open: 0 })
let opened = 0
let started = 0

class Connection {
  left = 0
  atUs = 0
  isOpen = false

  constructor(index) {
    this.socket = connect(port, '127.0.0.1', () => {
      const head = `GET /c/${index % channels} HTTP/1.1\r\nHost: localhost\r\n`
      this.socket.write(`${head}Accept: text/event-stream\r\n\r\n`)
    })
    this.socket.on('data', (chunk) => this.receive(chunk)).on('error', () => undefined)
  }

  receive(chunk) {
    if (!this.isOpen) {
      if (chunk.toString('latin1', 9, 12) !== '200') throw new Error(chunk.toString('latin1'))
      this.isOpen = true
      opened += 1
      totals.open += 1
      this.socket.on('close', () => (totals.open -= 1))
      connectMore()
    }
    const now = nowUs()
    totals.bytes += chunk.length
    for (let i = 0; i < chunk.length; ) {
      if (this.left === 0) {
        const start = chunk.indexOf(at, i)
        if (start === -1) break
        i = start + 1
        this.left = digits
        this.atUs = 0
      }
      for (; this.left > 0 && i < chunk.length; this.left--) {
        this.atUs = this.atUs * 10 + chunk[i++] - 48
      }
      if (this.left === 0) countEvent(now - this.atUs)
    }
    counted()
  }
}

const connections = []

function connectMore() {
  while (started < count && started - opened < atOnce) {
    connections.push(new Connection(started))
    started += 1
  }
  if (opened === count) answer()
}

takeCommands((number) => connections[number].socket.pause())
connectMore()
