import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'

const names = ['a}:s', '{b}', 'c*', 'd:s', 'e f', 'g%7D', 'ü', '*', 'a}:s:m', "'; DROP"]
const one = { maxEvents: 1, maxLength: 1 }

describeWithRedis('keys of the Redis log', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  beforeEach(() => server.cli('FLUSHALL'))

  afterAll(() => server.stop())

  function keys(): Promise<string[]> {
    return server.cli('KEYS', '*') as Promise<string[]>
  }

  test('hold any channel name encoded, so that two channels have no key in common', async () => {
    const log = redisEventLog({ redis: server.url })
    for (const name of names) await log.append(name, [{ data: JSON.stringify(name) }])
    for (const name of names) {
      const { entries } = await log.read(name, 'earliest', { maxEvents: 9, maxLength: 1000 })
      expect(entries.map(({ data }) => data)).toEqual([JSON.stringify(name)])
    }
    const found = await keys()
    // The stream and the hash of each.
    expect(found).toHaveLength(2 * names.length)
    for (const key of found) expect(key).toMatch(/^\{headwater:[A-Za-z0-9._%-]+\}:[a-z]$/)
    await log.close()
  })

  test('that a client makes by an unknown position expire', async () => {
    const log = redisEventLog({ redis: server.url, maxAgeMs: 60_000 })
    expect((await log.read('never', '7-1234', one)).gap).toBe('unknown')
    const made = await keys()
    expect(made).toHaveLength(1)
    for (const key of made) {
      const left = Number(await server.cli('PTTL', key))
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThanOrEqual(60_000)
    }
    await log.close()
  })
})
