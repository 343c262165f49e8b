// Cuts, stalls and throttles clients at random while events are published as fast as they can be
// taken, and counts what was lost, came twice or out of order.
//
//   npm run faults -- [--seconds 60] [--clients 200] [--seed N] [--break drop|repeat|swap]
//
// Server and clients are two processes, with a TCP proxy in between. `--break` makes the server's
// log a bad one: the run must then fail, which shows that it can.

import { fork } from 'node:child_process'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createParser } from 'eventsource-parser'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    clients: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    break: { type: 'string' },
  },
})
const seconds = Number(values.seconds)
const count = Number(values.clients)
const channelSets = [['a'], ['b'], ['a', 'b'], ['c', 'a', 'd'], ['a', 'b', 'c', 'd']]

/** Events that the slowest client may be behind: less than the log keeps, so no reset is due. */
const windowEvents = 40_000

let state = Number(values.seed) >>> 0
/** A random number from 0 up to 1, the same sequence for the same seed. */
function random() {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** One TCP connection through the proxy, with what can befall it. */
class Link {
  constructor(client, port) {
    this.client = client
    this.server = connect(port, '127.0.0.1')
    this.bytesPerTick = Number.POSITIVE_INFINITY
    client.pipe(this.server)
    this.server.on('readable', () => this.pass())
    for (const socket of [this.client, this.server]) {
      socket.on('error', () => undefined)
      socket.on('close', () => this.cut())
    }
    this.client.on('drain', () => this.pass())
  }

  pass() {
    if (this.bytesPerTick !== Number.POSITIVE_INFINITY || this.client.writableNeedDrain) return
    for (let chunk = this.server.read(); chunk !== null; chunk = this.server.read()) {
      if (!this.client.write(chunk)) return
    }
  }

  /** Lets a throttled connection have its share. */
  tick() {
    if (this.bytesPerTick === Number.POSITIVE_INFINITY || this.bytesPerTick === 0) return
    const chunk = this.server.read(this.bytesPerTick) ?? this.server.read()
    if (chunk !== null) this.client.write(chunk)
  }

  limit(bytesPerTick) {
    this.bytesPerTick = bytesPerTick
    this.pass()
  }

  cut() {
    this.client.destroy()
    this.server.destroy()
  }
}

const totals = { delivered: 0, lost: 0, duplicated: 0, reordered: 0, resets: 0, reconnects: 0 }

/** A client as a browser is, that compares what it gets with what was published. */
class Client {
  lastEventId = ''
  last = new Map()
  missing = new Set()
  link = undefined

  constructor(channels, proxyPort) {
    this.channels = channels
    this.proxyPort = proxyPort
    for (const channel of channels) this.last.set(channel, 0)
  }

  connect() {
    const headers = { Accept: 'text/event-stream' }
    if (this.lastEventId !== '') headers['Last-Event-ID'] = this.lastEventId
    const path = `/events/${this.channels.join(',')}`
    const parser = createParser({
      onEvent: ({ event, data, id }) => {
        if (id !== undefined) this.lastEventId = id
        if (event === 'stream-reset') this.reset(JSON.parse(data))
        else if (event === undefined) this.count(JSON.parse(data))
      },
    })
    let again = false
    const retry = () => {
      if (again || stopped) return
      again = true
      totals.reconnects += 1
      setTimeout(() => this.connect(), 5 + random() * 100)
    }
    const req = request({ host: '127.0.0.1', port: this.proxyPort, path, headers, agent: false })
    req.on('socket', (socket) => {
      socket.once('connect', () => {
        this.localPort = socket.localPort
      })
    })
    req.on('response', (res) => {
      res.setEncoding('utf8').on('data', (text) => parser.feed(text))
      res.on('error', () => undefined).on('close', retry)
    })
    req.on('error', retry)
    req.end()
  }

  count([channel, n]) {
    totals.delivered += 1
    const last = this.last.get(channel)
    if (n === last + 1) {
      this.last.set(channel, n)
    } else if (n > last) {
      for (let m = last + 1; m < n; m++) this.missing.add(`${channel}${m}`)
      this.last.set(channel, n)
    } else if (this.missing.delete(`${channel}${n}`)) {
      totals.reordered += 1
    } else {
      totals.duplicated += 1
    }
  }

  /** What was announced as lost is not lost silently. */
  reset({ channels }) {
    totals.resets += 1
    for (const channel of channels) this.last.set(channel, published[channel] ?? 0)
  }
}

let stopped = false
let published = {}
let memory = 0
const server = fork(fileURLToPath(new URL('faults-server.mjs', import.meta.url)), {
  env: { ...process.env, BREAK: values.break ?? '', SEED: values.seed },
})
process.on('exit', () => server.kill('SIGKILL'))
const serverPort = await new Promise((resolve) => {
  server.on('message', (message) => {
    if (message.port !== undefined) resolve(message.port)
    published = message.published ?? published
    memory = Math.max(memory, message.memory ?? 0)
  })
})

const links = new Map()
const proxy = createServer((socket) => {
  const link = new Link(socket, serverPort)
  links.set(socket.remotePort, link)
  socket.on('close', () => links.delete(socket.remotePort))
}).listen(0, '127.0.0.1')
await new Promise((resolve) => proxy.on('listening', resolve))

const clients = Array.from({ length: count }, (_, i) => {
  return new Client(channelSets[i % channelSets.length], proxy.address().port)
})
for (const client of clients) client.connect()

/** How far every client has come: the server publishes no further ahead than the window. */
function tellProgress() {
  const slowest = {}
  for (const client of clients) {
    for (const [channel, n] of client.last) slowest[channel] = Math.min(slowest[channel] ?? n, n)
  }
  const limits = Object.entries(slowest).map(([channel, n]) => [channel, n + windowEvents])
  server.send({ limits: Object.fromEntries(limits) })
}

const started = performance.now()
const ticker = setInterval(() => {
  for (const link of links.values()) link.tick()
  tellProgress()
}, 20)
server.send({ start: true })

/** Something befalls one of the connections. */
function strike() {
  const client = clients[Math.floor(random() * clients.length)]
  const link = links.get(client.localPort)
  const fault = random()
  if (link === undefined) return
  if (fault < 0.5) {
    link.cut()
    return
  }
  const [bytesPerTick, ms] = fault < 0.7 ? [0, 1500] : [Math.ceil(random() * 20_000), 3000]
  link.limit(bytesPerTick)
  setTimeout(() => link.limit(Number.POSITIVE_INFINITY), random() * ms)
}

// As many as are due, since under this load no timer is on time.
const msPerFault = 10
for (let struck = 0; performance.now() - started < seconds * 1000; ) {
  for (; struck < (performance.now() - started) / msPerFault; struck++) strike()
  await delay(msPerFault)
}

// The network heals, nothing more is published, and everybody gets what there is.
server.send({ stop: true })
for (const link of links.values()) link.limit(Number.POSITIVE_INFINITY)
const isWhole = ({ last }) => [...last].every(([channel, n]) => n === published[channel])
const deadline = performance.now() + 30_000
do {
  await delay(100)
  for (const link of links.values()) link.limit(Number.POSITIVE_INFINITY)
} while (!clients.every(isWhole) && performance.now() < deadline)
stopped = true
clearInterval(ticker)
for (const { last, missing } of clients) {
  totals.lost += missing.size
  for (const [channel, n] of last) totals.lost += published[channel] - n
}
for (const link of links.values()) link.cut()
proxy.close()
server.send({ exit: true })
await new Promise((resolve) => server.on('exit', resolve))

const sum = Object.values(published).reduce((total, n) => total + n, 0)
const bad = totals.lost + totals.duplicated + totals.reordered
const report = {
  seed: Number(values.seed),
  seconds,
  clients: count,
  published: sum,
  ...totals,
  eventsPerSecond: Math.round(sum / seconds),
  deliveriesPerSecond: Math.round(totals.delivered / seconds),
  peakServerMemoryMb: Math.round(memory / 2 ** 20),
}
console.table(report)
if (sum === 0 || totals.reconnects === 0) {
  console.error('Nothing was tested: no event was published, or no client was cut off.')
  process.exit(1)
}
if (bad + totals.resets > 0) {
  console.error(`The promise was broken. The same faults again: --seed ${values.seed}`)
  process.exit(1)
}
