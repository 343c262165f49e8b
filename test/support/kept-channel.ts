import { Redis } from 'ioredis'
import pg from 'pg'
import type { StreamStore } from './stream-stores.js'

/** For how many milliseconds a store still keeps a channel whose name needs no encoding. */
export async function keptForMs({ name, url }: StreamStore, channel: string): Promise<number> {
  if (name === 'redis') {
    return withRedis(url, (redis) => redis.pttl(`{headwater:${channel}}:m`))
  }
  const [row] = await query<{ ms: string }>(
    url,
    `SELECT extract(epoch FROM expires_at - clock_timestamp()) * 1000 AS ms FROM headwater.channel WHERE name = $1`,
    channel,
  )
  return Number(row?.ms)
}

/** Its time has come. */
export async function expireChannel({ name, url }: StreamStore, channel: string): Promise<void> {
  if (name === 'redis') {
    const keys = ['s', 'm', 'k'].map((part) => `{headwater:${channel}}:${part}`)
    await withRedis(url, (redis) => Promise.all(keys.map((key) => redis.pexpire(key, 1))))
    await new Promise((resolve) => setTimeout(resolve, 2))
    return
  }
  const past = 'UPDATE headwater.channel SET expires_at = clock_timestamp() WHERE name = $1'
  await query(url, past, channel)
}

async function withRedis<T>(url: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url)
  try {
    return await use(redis)
  } finally {
    redis.disconnect()
  }
}

async function query<Row extends object>(url: string, text: string, name: string) {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Row>(text, [name])).rows
  } finally {
    await client.end()
  }
}
