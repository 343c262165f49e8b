// As in docs/streams.md, with its streams in Redis or in Postgres.

import { createServer } from 'node:http'
import express from 'express'
import pg from 'pg'
import { chunks, Latencies, tokens } from '../lib/tokens.mjs'

const built = new URL(process.env.HEADWATER ?? '../../dist/index.js', import.meta.url)
const { EventStream } = await import(built.href)
const perSecond = 100
/** More than by default, for streams of small chunks. */
const maxEvents = 200_000

const queries = { all: 0, renewals: 0 }

/** Counts what is asked over each of its connections. */
function countingPool(connectionString) {
  const pool = new pg.Pool({ connectionString })
  pool.on('connect', (client) => {
    const query = client.query.bind(client)
    client.query = (...args) => {
      queries.all += 1
      if (args[0].text?.includes('.renew(')) queries.renewals += 1
      return query(...args)
    }
  })
  return pool
}

async function store() {
  const { REDIS_URL: redis, POSTGRES_URL } = process.env
  if (POSTGRES_URL === undefined) return { redis }
  const { postgresEventLog } = await import(new URL('postgres.js', built).href)
  return { log: postgresEventLog({ pool: countingPool(POSTGRES_URL) }) }
}

const eventStream = new EventStream({ ...(await store()), streams: { maxEvents } })
await eventStream.ready()
const { streams } = eventStream
const idOf = (req) => `${process.env.STREAM_PREFIX ?? 'c'}${req.params.id}`
const app = express()
app.get(
  '/c/:id',
  streams.handler(idOf, () => tokens({ perSecond, seconds: 600 })),
)

export const server = createServer(app)

async function readAll(id, latencies) {
  for await (const { data } of await streams.read(id)) latencies.got(data)
}

/**
 * What it has grown by at most, while something is done.
 *
 * @param collects - Whether garbage is collected before each look, which takes most of the time.
 */
function watchMemory(collects) {
  for (let i = 0; i < 3; i++) globalThis.gc()
  const memory = () => {
    if (collects) globalThis.gc()
    const { rss, heapUsed, external } = process.memoryUsage()
    return { rss, held: heapUsed + external }
  }
  const before = memory()
  const grown = { rss: 0, held: 0 }
  const look = () => {
    const now = memory()
    for (const name in grown) grown[name] = Math.max(grown[name], now[name] - before[name])
  }
  const timer = setInterval(look, collects ? 20 : 10)
  return () => {
    clearInterval(timer)
    return grown
  }
}

let unwatch

export const calls = {
  /** Starts streams that nobody reads here. */
  async start({ ids, seconds }) {
    await Promise.all(ids.map((id) => streams.create(id, () => tokens({ perSecond, seconds }))))
  },

  /** Reads streams of its own. */
  async readOwn({ ids, seconds, warmUpMs }) {
    const latencies = new Latencies(warmUpMs)
    const read = async (id) => {
      await streams.create(id, () => tokens({ perSecond, seconds }))
      await readAll(id, latencies)
    }
    await Promise.all(ids.map(read))
    return latencies.quantiles()
  },

  /** Reads streams of another process. */
  async follow({ ids, warmUpMs }) {
    const latencies = new Latencies(warmUpMs)
    await Promise.all(ids.map((id) => readAll(id, latencies)))
    return latencies.quantiles()
  },

  /** Starts streams that say one thing and think for long. */
  async startIdle({ ids }) {
    const think = async function* ({ signal }) {
      yield 'Well'
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    await Promise.all(ids.map((id) => streams.create(id, think)))
  },

  /** Reads streams of another process, and waits for more of each. */
  async followIdle({ ids }) {
    const follow = async (id) => {
      const reader = (await streams.read(id)).getReader()
      await reader.read()
      void reader.read()
    }
    await Promise.all(ids.map(follow))
  },

  /** Queries so far, and how many of them renewed leases. */
  queries() {
    return queries
  },

  /** Makes a stream that has ended. */
  async fill({ id, bytes, chunkBytes }) {
    const { ended } = await streams.create(id, () => chunks({ bytes, chunkBytes }))
    await ended
  },

  /** Reads a stream from its beginning to its end. */
  async resume({ id, collects }) {
    const end = watchMemory(collects)
    const start = performance.now()
    let bytes = 0
    for await (const { data } of await streams.read(id)) bytes += data.length
    return { seconds: (performance.now() - start) / 1000, bytes, ...end() }
  },

  watchMemory({ collects }) {
    unwatch = watchMemory(collects)
  },

  mostMemory() {
    return unwatch()
  },
}
