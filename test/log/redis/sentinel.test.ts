import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import type { StoredEvent } from '../../../src/index.js'
import { parseRedisUrl } from '../../../src/log/redis/url.js'
import { type RedisClient, redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { type SentinelGroup, startSentinel } from '../../support/redis-sentinel.js'
import { until } from '../../support/until.js'

describe('parseRedisUrl', () => {
  test('reads the addresses of sentinels, the name of the master, and who to be there', () => {
    const { sentinel } = parseRedisUrl('redis+sentinel://user:p%40ss@a,b:1234,[::1]:5/main/3')
    expect(sentinel).toEqual({
      name: 'main',
      sentinels: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 1234 },
        { host: '::1', port: 5 },
      ],
      db: 3,
      username: 'user',
      password: 'p@ss',
    })
  })
})

describeWithRedis('redisEventLog, with sentinels,', () => {
  let group: SentinelGroup

  beforeAll(async () => {
    group = await startSentinel()
  }, 60_000)

  afterAll(() => group.stop())

  const clients: [string, () => string | RedisClient][] = [
    [
      'a URL',
      () =>
        `redis+sentinel://${group.addresses.map(({ port }) => `127.0.0.1:${port}`)}/${group.name}`,
    ],
    [
      'a client of ioredis',
      () => new Redis({ sentinels: [...group.addresses], name: group.name, lazyConnect: true }),
    ],
  ]

  test.each(clients)(
    'goes on with the new master when the old one fails, by %s',
    async (_name, redis) => {
      const log = redisEventLog({
        redis: redis(),
        timeoutMs: 20_000,
        waitReplicas: 1,
        onHealth: () => undefined,
      })
      await log.ready()
      const channel = `failover-${_name}`
      const seen = new Set<string>()
      const listener = {
        append: (entries: readonly StoredEvent[]) => {
          for (const { data } of entries) seen.add(data)
        },
        suspect: () => undefined,
      }
      await log.follow(channel, listener)
      await log.append(channel, [{ data: 'before' }])
      const master = await group.master()
      await master?.kill()
      await log.append(channel, [{ data: 'after' }])
      const page = await log.read(channel, 'earliest', { maxEvents: 10, maxLength: 1000 })
      await until(() => log.health().state === 'up')
      await log.append(channel, [{ data: 'live again' }])
      await until(() => seen.has('live again'))
      await log.close()
      await master?.restart()
      await until(async () => (await group.master()) !== undefined)
      // A master needs a replica that is fit, for the next one to fail.
      await until(async () => {
        const now = await group.master()
        return now !== undefined && (await now.info('replication')).connected_slaves === '2'
      }, 20_000)
      expect(page.entries.map(({ data }) => data)).toEqual(['before', 'after'])
      expect(page.gap).toBeUndefined()
    },
    60_000,
  )
})
