import { Redis } from 'ioredis'
import { createClient } from 'redis'
import type { LogHealth, StoredEvent } from '../../src/log/event-log.js'
import { type RedisClient, redisEventLog } from '../../src/redis.js'

export type Log = ReturnType<typeof redisEventLog> & { healths: LogHealth[] }

const page = { maxEvents: 10, maxLength: 1000 }

/** What has no options of its own but the address, in both packages. */
interface Settings {
  readonly keyPrefix?: string
  readonly db?: number
  readonly username?: string
  readonly password?: string
}

const open: Log[] = []

/** What a test leaves behind that is no log. */
export const closers: (() => unknown)[] = []

/** Closes logs first. */
export async function closeAll(): Promise<void> {
  for (const log of open.splice(0)) await log.close()
  for (const close of closers.splice(0)) await close()
}

export function logOf(redis: string | RedisClient, options = {}): Log {
  const healths: LogHealth[] = []
  const onHealth = (health: LogHealth) => healths.push(health)
  const log = redisEventLog({
    redis,
    timeoutMs: 3000,
    pollIntervalMs: 60_000,
    onHealth,
    ...options,
  })
  open.push(Object.assign(log, { healths }))
  return log as Log
}

/** Clients that are models only: never connected. */
export const packages = {
  ioredis: (server: { readonly port: number }, { db, ...rest }: Settings & object = {}) =>
    new Redis({
      port: server.port,
      lazyConnect: true,
      ...(db === undefined ? {} : { db }),
      ...rest,
    }),
  redis: (server: { readonly port: number }, { db, ...rest }: Settings & object = {}) =>
    createClient({
      socket: { host: '127.0.0.1', port: server.port },
      ...(db === undefined ? {} : { database: db }),
      ...rest,
    }) as unknown as RedisClient,
} as const

export async function dataOf(log: Log, channel: string): Promise<string[]> {
  const { entries } = await log.read(channel, 'earliest', page)
  return entries.map(({ data }) => data)
}

/** What a follower got, as data. By then nothing is under way. */
export async function followed(log: Log, channel: string): Promise<string[]> {
  const got: string[] = []
  const seen = new Set<string>()
  const take = (entries: readonly StoredEvent[]) => {
    for (const { id, data } of entries) if (!seen.has(id)) got.push(data)
    for (const { id } of entries) seen.add(id)
  }
  await log.follow(channel, {
    append: take,
    suspect: () =>
      void log.read(channel, 'earliest', page).then(
        ({ entries }) => take(entries),
        () => undefined,
      ),
  })
  await log.heads([channel])
  await log.read(channel, 'earliest', page)
  return got
}
