import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { describeWithRedis } from './describe-with-redis.js'
import { type SentinelGroup, startSentinel } from './redis-sentinel.js'
import type { RedisServer } from './redis-server.js'
import { until } from './until.js'

describeWithRedis('startSentinel', () => {
  let group: SentinelGroup

  beforeAll(async () => {
    group = await startSentinel({ replicas: 2, sentinels: 3, downAfterMs: 500 })
  })

  afterAll(() => group?.stop())

  test('a replica takes the place of a master that was killed, which then copies it', async () => {
    const [first] = group.servers as [RedisServer]
    const client = new Redis({ sentinels: group.addresses, name: group.name })
    client.on('error', () => undefined)
    try {
      await client.set('a', 1)
      // A master that is killed takes along what it has not sent yet.
      expect(await client.wait(2, 5000)).toBe(2)
      expect(await group.master()).toBe(first)
      await first.kill()
      let second: RedisServer | undefined = first
      await until(async () => {
        second = await group.master()
        return second !== undefined && second !== first
      })
      // A connection may be closed once more while the sentinels change what they say.
      await until(async () => (await client.set('b', 2).catch(() => undefined)) === 'OK')
      expect(await second.cli('MGET', 'a', 'b')).toEqual(['1', '2'])
      await first.restart()
      await until(async () => (await first.cli('GET', 'b')) === '2')
    } finally {
      client.disconnect()
    }
  })
})
