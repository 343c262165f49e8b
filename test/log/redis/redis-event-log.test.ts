import { afterAll, beforeAll, describe, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import type { RedisClient } from '../../../src/log/redis/connect.js'
import { redisEventLog } from '../../../src/redis.js'
import { eventLogSuite, type LogLimits, streamLogSuite } from '../../../src/testing.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'

describeWithRedis('redisEventLog', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  afterAll(() => server.stop())

  const sources: Record<string, () => string | RedisClient> = {
    'a URL': () => server.url,
    'a client of ioredis': () => new Redis(server.url, { lazyConnect: true }),
    'a client of redis': () => createClient({ url: server.url }),
  }
  describe.each(Object.keys(sources))('with %s', (name) => {
    const redis = sources[name] as () => string | RedisClient
    const create = async (limits: LogLimits) =>
      redisEventLog({ ...limits, redis: redis(), pollIntervalMs: 200 })
    eventLogSuite(test, create)
    streamLogSuite(test, create)
  })
})
