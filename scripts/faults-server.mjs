// The server of `faults.mjs`: publishes numbered events on four channels, as fast as it may.

import { createServer } from 'node:http'
import { EventStream, memoryEventLog } from 'headwater'

const good = memoryEventLog({ maxEvents: 100_000, maxBytes: 1e9, maxTotalBytes: 2e9 })
const eventStream = new EventStream({
  log: process.env.BREAK ? badLog(good, process.env.BREAK) : good,
  maxQueueBytes: 131_072,
})
const route = eventStream((req) => req.url.replace('/events/', '').split(','), {
  startFrom: 'earliest',
  retryMs: 50,
})
const server = createServer((req, res) => route(req, res)).listen(0, '127.0.0.1')

/** A log that now and then drops, repeats or swaps events: what the run must find. */
function badLog(log, kind) {
  let n = 0
  return {
    ...Object.fromEntries(
      ['read', 'heads', 'follow', 'closeChannel', 'close'].map((name) => [
        name,
        (...args) => log[name](...args),
      ]),
    ),
    append: async (channel, entries) => {
      n += 1
      if (n % 100 !== 0) return log.append(channel, entries)
      if (kind === 'drop') return [{ ...(await log.append(channel, entries.slice(1)))[0] }]
      if (kind === 'repeat') return log.append(channel, [...entries, ...entries])
      return log.append(channel, [...entries].reverse())
    },
  }
}

const published = { a: 0, b: 0, c: 0, d: 0 }
let limits = {}
let running = false

async function publish(channel) {
  const publisher = eventStream.createChannelWritable(channel)
  while (running) {
    if (published[channel] >= (limits[channel] ?? 0)) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      continue
    }
    published[channel] += 1
    if (!publisher.write({ data: [channel, published[channel], 'x'.repeat(60)] })) {
      await new Promise((resolve) => publisher.once('drain', resolve))
    }
  }
  await new Promise((resolve) => publisher.end(resolve))
  process.send({ published })
}

const reporter = setInterval(() => {
  process.send({ published, memory: process.memoryUsage().rss })
}, 100)

process.on('message', async (message) => {
  if (message.limits) limits = message.limits
  if (message.start) {
    running = true
    for (const channel of Object.keys(published)) void publish(channel)
  }
  if (message.stop) running = false
  if (message.exit) {
    server.close()
    await eventStream.close({ graceMs: 1000 })
    clearInterval(reporter)
    process.disconnect()
  }
})
server.on('listening', () => process.send({ port: server.address().port }))
