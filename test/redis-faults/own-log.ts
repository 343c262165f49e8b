import { Cluster } from 'ioredis'
import type { EventLog, RemoteLog } from '../../src/index.js'
import { redisEventLog } from '../../src/redis.js'
import type { Source } from './app-process.js'

/** The log of an application, seen from outside of it. */
export function openLog(source: Source, limits: object): EventLog & RemoteLog {
  const redis = 'url' in source ? source.url : new Cluster([...source.nodes], { lazyConnect: true })
  return redisEventLog({ ...limits, redis, timeoutMs: 20_000 })
}

/** All that is kept of a channel. */
export async function idsOf(log: EventLog, channel: string): Promise<ReadonlySet<string>> {
  const ids = new Set<string>()
  const limit = { maxEvents: 2000, maxLength: 1_000_000 }
  let page = await log.read(channel, 'earliest', limit)
  while (page.entries.length > 0) {
    for (const { id } of page.entries) ids.add(id)
    page = await log.read(channel, page.entries.at(-1)?.id as string, limit)
  }
  return ids
}
