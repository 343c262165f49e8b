import { Redis } from 'ioredis'
import pg from 'pg'
import { encodeChannelName } from '../../src/core/cursor.js'
import { streamName } from '../../src/core/log-names.js'
import type { StreamStore } from './stream-stores.js'

/** For how many milliseconds a store still keeps a stream. */
export async function keptForMs({ name, url }: StreamStore, id: string): Promise<number> {
  const stored = encodeChannelName(streamName(id))
  if (name === 'redis') {
    return withRedis(url, (redis) => redis.pttl(`{headwater:${stored}}:m`))
  }
  const [row] = await query<{ ms: string }>(
    url,
    `SELECT extract(epoch FROM expires_at - clock_timestamp()) * 1000 AS ms FROM headwater.channel WHERE name = $1`,
    stored,
  )
  return Number(row?.ms)
}

/** Its time has come. */
export async function expireStream({ name, url }: StreamStore, id: string): Promise<void> {
  const stored = encodeChannelName(streamName(id))
  if (name === 'redis') {
    const keys = ['s', 'm', 'k'].map((part) => `{headwater:${stored}}:${part}`)
    await withRedis(url, (redis) => Promise.all(keys.map((key) => redis.pexpire(key, 1))))
    await new Promise((resolve) => setTimeout(resolve, 2))
    return
  }
  const past = 'UPDATE headwater.channel SET expires_at = clock_timestamp() WHERE name = $1'
  await query(url, past, stored)
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
