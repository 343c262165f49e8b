import { afterAll, beforeAll, describe, test } from '@jest/globals'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { type RedisClient, redisEventLog } from '../../../src/redis.js'
import {
  eventLogSuite,
  type LogLimits,
  registrySuite,
  streamLogSuite,
} from '../../../src/testing.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { type RedisCluster, startCluster } from '../../support/redis-cluster.js'

describeWithRedis('redisEventLog on a cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster({ masters: 3 })
  }, 30_000)

  afterAll(() => cluster.stop())

  const sources: Record<string, () => RedisClient> = {
    ioredis: () =>
      new Cluster(
        cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
        { lazyConnect: true },
      ),
    redis: () => createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })) }),
  }
  describe.each(Object.keys(sources))('with a cluster of %s', (name) => {
    const redis = sources[name] as () => RedisClient
    const create = async (limits: LogLimits) =>
      redisEventLog({ ...limits, redis: redis(), pollIntervalMs: 200 })
    eventLogSuite(test, create)
    streamLogSuite(test, create)
    let registries = 0
    registrySuite(test, async () => {
      registries += 1
      return redisEventLog({ redis: redis(), prefix: `${name}-${registries}`, pollIntervalMs: 200 })
    })
  })
})
