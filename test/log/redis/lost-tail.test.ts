import { afterEach, beforeEach, describe } from '@jest/globals'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import type { RedisClient } from '../../../src/log/redis/connect.js'
import { redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { lostTailSuite } from '../lost-tail-suite.js'

describeWithRedis('a Redis that starts again from an older snapshot', () => {
  let server: RedisServer

  beforeEach(async () => {
    server = await RedisServer.start()
  })

  afterEach(() => server.stop())

  const clients: Record<string, () => RedisClient> = {
    ioredis: () => new Redis(server.url, { lazyConnect: true }),
    redis: () => createClient({ url: server.url }),
  }
  describe.each(Object.keys(clients))('of %s', (name) => {
    const redis = clients[name] as () => RedisClient
    lostTailSuite(() => ({
      open: () =>
        redisEventLog({ redis: redis(), maxBytes: 100_000_000, onHealth: () => undefined }),
      save: () => server.cli('SAVE'),
      goBack: () => server.restart(),
    }))
  })

  describe('with a replica to wait for', () => {
    let replica: RedisServer

    beforeEach(async () => {
      replica = await RedisServer.start({ replicaOf: server })
    })

    afterEach(() => replica.stop())

    const both = (change: (of: RedisServer) => Promise<unknown>) =>
      Promise.all([server, replica].map(change))
    lostTailSuite(() => ({
      open: () =>
        redisEventLog({
          redis: server.url,
          maxBytes: 100_000_000,
          waitReplicas: 1,
          onHealth: () => undefined,
        }),
      save: () => both((one) => one.cli('SAVE')),
      goBack: () => both((one) => one.restart()),
    }))
  })
})
