// The same as load-client.c where there is no C compiler. It takes more CPU than some servers do, so
// latencies and rates are then a lower bound of what the fast ones can.

import { connect } from 'node:net'
import { createInterface } from 'node:readline'

const [port, count, channels] = process.argv.slice(2).map(Number)
const at = '@'.charCodeAt(0)
const digits = 16
const connectingAtOnce = 64

const totals = { events: 0, bytes: 0 }
let opened = 0
let started = 0
let latencies = new Map()
let wanted

const nowUs = () => Number(process.hrtime.bigint() / 1000n)

class Connection {
  left = 0
  atUs = 0
  isOpen = false

  constructor(index) {
    this.socket = connect(port, '127.0.0.1', () => {
      const head = `GET /c/${index % channels} HTTP/1.1\r\nHost: localhost\r\n`
      this.socket.write(`${head}Accept: text/event-stream\r\n\r\n`)
    })
    this.socket.on('data', (chunk) => this.receive(chunk))
    this.socket
      .on('error', () => undefined)
      .on('close', () => {
        totals.closed += 1
      })
  }

  receive(chunk) {
    if (!this.isOpen) {
      if (chunk.toString('latin1', 9, 12) !== '200') throw new Error(chunk.toString('latin1'))
      this.isOpen = true
      opened += 1
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
      if (this.left === 0) this.count(now)
    }
    if (wanted !== undefined && totals.events >= wanted) answer()
  }

  count(now) {
    totals.events += 1
    const hundredths = Math.round((now - this.atUs) / 10)
    latencies.set(hundredths, (latencies.get(hundredths) ?? 0) + 1)
  }
}

const connections = []

function connectMore() {
  while (started < count && started - opened < connectingAtOnce) {
    connections.push(new Connection(started))
    started += 1
  }
  if (opened === count) answer()
}

function quantiles() {
  const sorted = [...latencies].sort(([a], [b]) => a - b)
  const total = sorted.reduce((sum, [, n]) => sum + n, 0)
  const quantile = (part) => {
    let sum = 0
    for (const [hundredths, n] of sorted) {
      sum += n
      if (sum >= part * total) return hundredths * 10
    }
    return 0
  }
  return { p50Us: quantile(0.5), p99Us: quantile(0.99) }
}

let deadline
function answer() {
  wanted = undefined
  clearTimeout(deadline)
  const { user, system } = process.cpuUsage()
  const stats = { ...totals, cpuUs: user + system, ...quantiles() }
  process.stdout.write(`${JSON.stringify(stats)}\n`)
}

const commands = createInterface({ input: process.stdin })
commands.on('close', () => process.exit())
commands.on('line', (line) => {
  const [command, number, ms] = line.split(' ')
  if (command === 'until' && totals.events < Number(number)) {
    wanted = Number(number)
    deadline = setTimeout(answer, Number(ms))
    return
  }
  if (command === 'stall') connections[Number(number)].socket.pause()
  if (command === 'reset') latencies = new Map()
  answer()
})
connectMore()
