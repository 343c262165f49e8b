// One process of the application that the fault scenarios run: serves streams, directly and through a
// GRIP proxy, and publishes numbered events on all channels with a fixed number of appends under way.
// `app-process.ts` starts it.

import { createServer } from 'node:http'
import { EventStream } from 'headwater'
import { redisEventLog } from 'headwater/redis'
import { Cluster } from 'ioredis'
import { createClient, createCluster } from 'redis'

const options = JSON.parse(process.argv[2])
const { producer, channels, source, driver, logOptions, inFlight, padding, flaw } = options
const { port = 0, pauseMs = 0, routeOptions = {}, gripOptions = {} } = options
const log = redisEventLog({ ...logOptions, redis: client() })
const eventStream = new EventStream({
  log: flaw ? flawed(log) : log,
  maxQueueBytes: 262_144,
  ...gripOptions,
})
const route = eventStream((req) => req.url.slice(1).split(','), routeOptions)
const server = createServer((req, res) => {
  if (req.url.includes('grip-link=')) news.links += 1
  route(req, res)
})

/** A URL goes to `ioredis`, so that both packages take part. */
function client() {
  const { url, nodes } = source
  if (driver === 'ioredis') {
    return url ?? new Cluster(nodes, { lazyConnect: true })
  }
  if (url !== undefined) return createClient({ url })
  return createCluster({ rootNodes: nodes.map(({ host, port }) => ({ socket: { host, port } })) })
}

/** A log that breaks its promise now and then: what a run must find. */
function flawed(good) {
  let n = 0
  const isNow = () => ++n % 100 === 0
  let held
  const ways = {
    drop: {
      append: (channel, entries) =>
        isNow() ? good.append(`${channel}-lost`, entries) : good.append(channel, entries),
    },
    repeat: {
      append: (channel, entries) =>
        good.append(channel, isNow() ? [...entries, ...entries] : entries),
    },
    // Two get each other's place.
    swap: {
      append: async (channel, entries) => {
        if (held === undefined && isNow()) {
          return new Promise((resolve) => {
            const own = { channel, entries, resolve }
            held = own
            // Of the last ones there may be no other to change places with.
            setTimeout(() => {
              if (held !== own) return
              held = undefined
              resolve(good.append(channel, entries))
            }, 1000)
          })
        }
        if (held?.channel !== channel || entries.length !== 1) return good.append(channel, entries)
        const first = held
        held = undefined
        const appended = await good.append(channel, [...entries, ...first.entries])
        first.resolve(appended.slice(0, 1))
        return appended.slice(1)
      },
    },
    hush: {
      read: async (...args) => ({ ...(await good.read(...args)), gap: undefined }),
    },
  }
  const methods = ['append', 'read', 'heads', 'follow', 'closeChannel', 'close']
  const whole = methods.map((name) => [name, (...args) => good[name](...args)])
  return { ...Object.fromEntries(whole), ...ways[flaw] }
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** What has become of events since it was last told. */
let news = nothingNew()
let count = 0
let turn = 0
let isRunning = false
let paused = new Set()
const triedAt = new Map()
const pad = 'x'.repeat(padding ?? 0)

function nothingNew() {
  return { published: 0, acknowledged: [], rejected: {}, partial: 0, links: 0 }
}

function tell() {
  if (!process.connected) return
  process.send(news)
  news = nothingNew()
}

/** A channel whose clients are far behind gets a few all the same: it shows where its log is. */
function nextChannel() {
  const now = performance.now()
  for (let i = 0; i < channels.length; i++) {
    const channel = channels[turn++ % channels.length]
    if (paused.has(channel) && now - (triedAt.get(channel) ?? 0) < 100) continue
    triedAt.set(channel, now)
    return channel
  }
  return undefined
}

async function publish(channel) {
  count += 1
  news.published += 1
  const n = count
  const sentAt = Date.now()
  try {
    const id = await idOf(eventStream.publishEvent(channel, { data: [channel, producer, n, pad] }))
    news.acknowledged.push({ producer, n, channel, id, sentAt, ackedAt: Date.now() })
    return id
  } catch (error) {
    // Anything else is a fault of its own, and ends the process.
    if (!['ERR_LOG_UNAVAILABLE', 'ERR_LOG_REFUSED'].includes(error.code)) throw error
    news.rejected[error.code] = (news.rejected[error.code] ?? 0) + 1
    return undefined
  }
}

/** One that a proxy could not be told of is in the log all the same. */
async function idOf(published) {
  try {
    return (await published).id
  } catch (error) {
    if (error.code !== 'ERR_PUBLISH_PARTIAL') throw error
    news.partial += 1
    return error.published[0].id
  }
}

async function work() {
  while (isRunning) {
    const channel = nextChannel()
    if (channel === undefined || (await publish(channel)) === undefined) await delay(10)
    if (pauseMs > 0) await delay(pauseMs)
  }
}

/** One last event on each channel. */
async function mark() {
  for (const channel of channels) while ((await publish(channel)) === undefined) await delay(50)
}

let working = Promise.resolve()
const commands = {
  start: () => {
    isRunning = true
    working = Promise.all(Array.from({ length: inFlight }, work))
  },
  pause: (names) => {
    paused = new Set(names)
  },
  finish: async () => {
    isRunning = false
    await working
  },
  mark,
  exit: async () => {
    clearInterval(teller)
    server.close()
    await eventStream.close({ graceMs: 1000 })
    await log.close()
    process.disconnect()
  },
}
process.on('message', async ({ command, argument }) => {
  await commands[command](argument)
  tell()
  if (process.connected) process.send({ done: command })
})
// Whoever started it is gone.
process.on('disconnect', () => setTimeout(() => process.exit(3), 5000).unref())
const teller = setInterval(tell, 20)
await log.ready()
server.listen(port, '127.0.0.1', () => process.send({ port: server.address().port }))
