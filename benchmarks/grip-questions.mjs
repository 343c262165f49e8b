// How late are events at clients that Pushpin holds, while it asks for all of them again and again?
//
//   node benchmarks/grip-questions.mjs 5000         a channel each
//   node benchmarks/grip-questions.mjs 3000 --one   all of one channel
//   … --poll 60000                                  gripPollMs; by default what it is by default
//
// Not part of a full run: it takes two minutes. Server and clients are in this process, so its figures are bounds.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startPushpin } from './lib/pushpin.mjs'

const { EventStream } = await import(process.env.HEADWATER ?? '../dist/index.js')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { one: { type: 'boolean', default: false }, poll: { type: 'string' } },
})
const count = Number(positionals[0] ?? 2000)
const seconds = 60
/** Events per second: of one channel, each is delivered to all clients. */
const rate = values.one ? 0.5 : 25
/** Pushpin refuses some of those that come at once. */
const atOnce = 50

const pushpin = await startPushpin()
const eventStream = new EventStream({
  grip: pushpin.gripUrl,
  gripLinkPath: '/links',
  gripPollMs: values.poll && Number(values.poll),
})
const answerLink = eventStream.linkHandler()
const answer = eventStream(({ url }) => url.slice(1))
let links = 0
const server = createServer((req, res) => {
  if (!req.url.startsWith('/links')) return answer(req, res)
  links += 1
  return answerLink(req, res)
})
await once(server.listen(pushpin.originPort, '127.0.0.1'), 'listening')

const lateMs = []
let [ended, isMeasured, longestSilenceMs] = [0, false, 0]
const nameOf = (n) => (values.one ? 'c' : `c${n}`)

/** @returns Once its stream is open, or has ended. */
function startClient(n) {
  const socket = connect(pushpin.port, '127.0.0.1').setEncoding('utf8')
  socket.write(`GET /${nameOf(n)} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n`)
  let heardAt
  const opened = new Promise((resolve) => {
    socket.on('data', (text) => {
      const now = performance.now()
      if (isMeasured) {
        longestSilenceMs = Math.max(longestSilenceMs, now - heardAt)
        for (const [, at] of text.matchAll(/^data: \{"at":([\d.]+)\}$/gm)) lateMs.push(now - at)
      }
      heardAt = now
      resolve()
    })
    socket.on('close', () => {
      ended += 1
      resolve()
    })
  })
  socket.on('error', () => undefined)
  return opened
}

for (let n = 0; n < count; n += atOnce) {
  const some = Array.from({ length: Math.min(atOnce, count - n) }, (_, i) => startClient(n + i))
  await Promise.all(some)
}
// Each is asked for a second after it has come, and then in its turn.
await delay(20_000)
isMeasured = true
links = 0
const startedAt = performance.now()
for (let published = 0; performance.now() - startedAt < seconds * 1000; published++) {
  const channel = nameOf(Math.floor(Math.random() * count))
  await eventStream.publishEvent(channel, { data: { at: performance.now() } })
  await delay(Math.max(0, startedAt + (published * 1000) / rate - performance.now()))
}
const asked = links / seconds
await delay(5000)

const sorted = lateMs.toSorted((a, b) => a - b)
const quantile = (part) => Math.round(sorted[Math.floor(part * (sorted.length - 1))])
const overOne = (100 * sorted.filter((ms) => ms > 1000).length) / sorted.length
console.log(
  `${count} clients, ${ended} ended; ${asked.toFixed(1)} questions/s; ms late: median ${quantile(0.5)}, ` +
    `90 % ${quantile(0.9)}, 99 % ${quantile(0.99)}, longest ${quantile(1)}; later than 1 s ${overOne.toFixed(1)} %; ` +
    `longest silence ${Math.round(longestSilenceMs / 1000)} s`,
)
await eventStream.close()
server.close()
server.closeAllConnections()
await pushpin.stop()
process.exit()
