// What is measured of streams that outlive their readers.

import { setTimeout as delay } from 'node:timers/promises'
import { drain } from './drain.mjs'
import { startClient, startServer } from './processes.mjs'
import { medians } from './report.mjs'

/** Until code that has just started is fast, with many streams as well. */
const warmUpMs = 2000
let started = 0

/**
 * Starts one of `servers/`, whose streams nobody has had yet.
 *
 * @param store - Where its streams are: `{ REDIS_URL }` or `{ POSTGRES_URL }`.
 */
function start(name, store) {
  started += 1
  return startServer(name, { env: { ...store, STREAM_PREFIX: `s${started}-` } })
}

function idsOf(count) {
  started += 1
  return Array.from({ length: count }, (_, i) => `n${started}-${i}`)
}

/** Counts what is sent to Redis for one stream at 100 tokens/s, once it has begun. */
export async function countWrites({ name, store, redis, followers, seconds }) {
  const server = await start(name, store)
  const ids = idsOf(1)
  await server.ask('start', { ids, seconds: seconds + 5 })
  const readers = []
  for (let i = 0; i < followers; i++) {
    const reader = await start(name, store)
    reader.tell('follow', { ids, warmUpMs: 0 })
    readers.push(reader)
  }
  await delay(warmUpMs)
  const from = performance.now()
  const { counts } = await redis.countCommands(() => delay(seconds * 1000))
  const took = (performance.now() - from) / 1000
  for (const process of [server, ...readers]) await process.stop()
  const commands = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const names = Object.keys(counts).join(', ').toLowerCase()
  return { perSecond: commands / took, perToken: commands / took / 100, names }
}

/** From when a source gives a token until the reader in its process has it. */
export async function readOwn({ name, store, streams, seconds }) {
  const server = await start(name, store)
  const options = { ids: idsOf(streams), seconds: seconds + warmUpMs / 1000, warmUpMs }
  const quantiles = await server.ask('readOwn', options)
  await server.stop()
  return quantiles
}

/** From when a source gives a token until the client whose request has started it has it. */
export async function readOverHttp({ name, store, streams, seconds }) {
  const server = await start(name, store)
  const client = await startClient({ port: server.port, connections: streams, channels: streams })
  await delay(warmUpMs)
  await client.reset()
  await delay(seconds * 1000)
  const stats = await client.stats()
  await client.stop()
  await server.stop()
  return stats
}

/** From when a source gives a token until a reader in another process has it. */
export async function readElsewhere({ name, store, streams, seconds }) {
  const producer = await start(name, store)
  const follower = await start(name, store)
  const ids = idsOf(streams)
  await producer.ask('start', { ids, seconds: seconds + warmUpMs / 1000 })
  const quantiles = await follower.ask('follow', { ids, warmUpMs })
  for (const process of [producer, follower]) await process.stop()
  return quantiles
}

/** Queries of a process that follows streams of another one in which nothing happens. */
export async function countIdleQueries({ store, streams, seconds }) {
  const producer = await start('headwater-streams', store)
  const follower = await start('headwater-streams', store)
  const ids = idsOf(streams)
  await producer.ask('startIdle', { ids })
  await follower.ask('followIdle', { ids })
  await delay(warmUpMs)
  const [own, others] = [await producer.ask('queries'), await follower.ask('queries')]
  await delay(seconds * 1000)
  const counts = {
    renewals: (await producer.ask('queries')).renewals - own.renewals,
    follower: (await follower.ask('queries')).all - others.all,
  }
  for (const process of [producer, follower]) await process.stop()
  return counts
}

/** By code and over HTTP: MB/s of what the source gave, and bytes that the process grew by at most. */
async function resumeOnce(server, { id, bytes, collects }) {
  const direct = await server.ask('resume', { id: `c${id}`, collects })
  if (direct.bytes !== bytes) throw new Error(`${direct.bytes} bytes were read, not ${bytes}.`)
  await server.ask('watchMemory', { collects })
  const http = await drain(server.port, id)
  if (http.bytes < bytes) throw new Error(`${http.bytes} bytes came, not ${bytes}.`)
  const grown = await server.ask('mostMemory')
  return {
    direct: bytes / 1e6 / direct.seconds,
    directRss: direct.rss,
    directHeld: direct.held,
    http: bytes / 1e6 / http.seconds,
    httpRss: grown.rss,
    httpHeld: grown.held,
  }
}

/**
 * Reads streams that have ended in a process that has nothing of them.
 *
 * @param kinds - Of each its `bytes` and `chunkBytes`.
 * @returns For each kind what {@link resumeOnce} tells; what is held is counted in a round of its own.
 */
export async function resume({ store, kinds, rounds }) {
  const env = { ...store, STREAM_PREFIX: 'c' }
  const producer = await startServer('headwater-streams', { env })
  for (const [id, kind] of kinds.entries()) await producer.ask('fill', { id: `c${id}`, ...kind })
  await producer.stop()
  const server = await startServer('headwater-streams', { env })
  const turn = async (collects) => {
    const records = []
    for (const [id, { bytes }] of kinds.entries()) {
      records.push(await resumeOnce(server, { id, bytes, collects }))
    }
    return records
  }
  // Code that has just started is slow.
  await turn(false)
  const turns = []
  for (let round = 0; round < rounds; round++) turns.push(await turn(false))
  const collected = await turn(true)
  await server.stop()
  return collected.map(({ directHeld, httpHeld }, i) => {
    return { ...medians(turns.map((records) => records[i])), directHeld, httpHeld }
  })
}
