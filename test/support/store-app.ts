import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { EventStream } from '../../src/index.js'
import { postgresEventLog } from '../../src/postgres.js'
import { type RedisClient, redisEventLog } from '../../src/redis.js'

/** A store, and the package that talks to it. */
export type StoreDriver = 'ioredis' | 'redis' | 'pg'

/** What the process tells, a line each. */
export type StoreAppNews =
  | { readonly url: string }
  | { readonly error: string; readonly message: string }
  | { readonly health: string }

/** What `GET /` answers. */
export interface StoreAppState {
  readonly isHealthy: boolean
  /** Channels in use. */
  readonly channels: readonly string[]
  readonly unreadable: number
}

/** The log of one more process. */
export function openDriverLog(driver: StoreDriver, url: string, own: object = {}) {
  if (driver === 'pg') return postgresEventLog({ pool: url, ...own })
  return redisEventLog({ redis: clientOf(driver, url), ...own })
}

function clientOf(driver: 'ioredis' | 'redis', url: string): RedisClient {
  if (driver === 'ioredis') return new Redis(url, { lazyConnect: true })
  return createClient({ url }) as unknown as RedisClient
}

/** Serves channels from a store, in a process of its own: `GET /events/<channel>`. */
export async function serveFromStore(driver: StoreDriver, url: string): Promise<void> {
  const tell = (news: StoreAppNews) => process.stdout.write(`${JSON.stringify(news)}\n`)
  const log = openDriverLog(driver, url, {
    onHealth: ({ state }: { state: string }) => tell({ health: state }),
    // What is found late would be found by this, and not by what is tested.
    pollIntervalMs: 60_000,
  })
  const onError = (error: unknown) => {
    const { code = '', message } = error as { code?: string; message: string }
    tell({ error: code, message })
  }
  const eventStream = new EventStream({ log, onError })
  const route = eventStream((req) => String(req.url).slice('/events/'.length))
  const server = createServer((req, res) => {
    if (req.url !== '/') return void route(req, res)
    const state: StoreAppState = {
      isHealthy: eventStream.health().isHealthy,
      channels: eventStream.connections().flatMap(({ channels }) => channels),
      unreadable: eventStream.metrics().errors.unreadable,
    }
    res.end(JSON.stringify(state))
  })
  await eventStream.ready()
  server.listen(0, '127.0.0.1', () => {
    tell({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  })
}
