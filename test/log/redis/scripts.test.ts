import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { channelKeys } from '../../../src/log/redis/format.js'
import { type ScriptLimits, scriptsFor } from '../../../src/log/redis/scripts.js'
import { redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { until } from '../../support/until.js'

const limits: ScriptLimits = {
  maxEvents: 1000,
  maxBytes: 1e6,
  maxAgeMs: 60_000,
  isCluster: false,
  waits: false,
  liveEnd: '',
}
const { keys, live } = channelKeys('headwater', 'a')

describeWithRedis('the scripts of the Redis log', () => {
  let server: RedisServer
  let redis: Redis

  beforeAll(async () => {
    server = await RedisServer.start()
    redis = new Redis(server.url)
  })

  beforeEach(() => redis.flushall())

  afterAll(async () => {
    redis.disconnect()
    await server.stop()
  })

  /** Appends one entry, as a producer does in an epoch; `lostForMs` when it is not the first try. */
  function append(
    nonce: number | string,
    epoch: number,
    lostForMs: number | '' = '',
    isOrdered: '' | '1' = '1',
  ): Promise<unknown> {
    const { source } = scriptsFor(limits).append
    const entry = [nonce, '', 2, '\n1']
    return redis.eval(
      source,
      3,
      ...keys,
      7,
      live,
      'producer',
      epoch,
      lostForMs,
      isOrdered,
      '',
      ...entry,
    )
  }

  test('find an append that had arrived, when it is tried again', async () => {
    const first = await append(11, 0)
    await append(12, 0)
    expect(await append(11, 1, 1000)).toEqual(first)
    expect(await redis.xlen(keys[0])).toBe(2)
  })

  test('find it under any nonce that it was tried with', async () => {
    const first = await append(11, 0)
    expect(await append('13 12 11', 1, 1000)).toEqual(first)
    expect(await append('16 15', 1, 1000)).toEqual(['2-16', '1-11', '0'])
  })

  test('look once for all that was lost on one connection, unless order was', async () => {
    await append(11, 0)
    await append(12, 1, 1000)
    // It came behind 12, which had not arrived: this can only be another one.
    expect(await append(11, 1, 1000)).toEqual(['3-11', '2-12', '0'])
    expect(await append(12, 1, 1000, '')).toEqual(['2-12', '1-11', '0'])
    expect(await append(12, 2, 1000)).toEqual(['2-12', '1-11', '0'])
  })

  test('find it also when the channel was closed since, and append nothing else', async () => {
    const first = await append(11, 0)
    await redis.eval(scriptsFor(limits).close.source, 3, ...keys, 7)
    expect(await append(11, 1, 1000)).toEqual(first)
    expect(await append(12, 1)).toBe('closed')
    expect(await append(13, 1, 1000)).toBe('closed')
  })

  test('append once what arrives after it was tried again', async () => {
    await append(10, 0)
    expect(await append(11, 1, 1000)).toEqual(['2-11', '1-10', '0'])
    expect(await append(11, 0)).toBe('fenced')
    expect(await append(12, 1)).toEqual(['3-12', '2-11', '0'])
    expect(await redis.xlen(keys[0])).toBe(3)
  })

  test('fence one producer, and no other', async () => {
    await append(11, 5, 1000)
    const { source } = scriptsFor(limits).append
    const other = ['another', 0, '', '1', '', 12, '', 2, '\n2']
    expect(await redis.eval(source, 3, ...keys, 7, live, ...other)).toEqual(['2-12', '1-11', '0'])
  })

  test('forget fences of producers that are long gone', async () => {
    const { source } = scriptsFor(limits).append
    for (let n = 0; n < 60; n++) {
      const args = [7, live, `producer${n}`, 1, 0, '1', '', 100 + n, '', 2, '\n1']
      await redis.eval(source, 3, ...keys, ...args)
    }
    expect((await redis.hget(keys[1], 'f'))?.length).toBeLessThanOrEqual(400)
  })

  test('begin a channel anew whose hash is gone, and one whose stream is gone go on', async () => {
    await append(11, 0)
    await redis.del(keys[0])
    expect(await append(12, 0)).toEqual(['2-12', '1-11', '0'])
    await redis.del(keys[1])
    expect(await append(13, 0)).toEqual(['1-13', '0-7', '0'])
    expect(await redis.xlen(keys[0])).toBe(1)
  })

  test('leave nothing in Redis after the age of a channel', async () => {
    const log = redisEventLog({ redis: server.url, maxAgeMs: 300 })
    await log.append('a', [{ data: '1', idempotencyKey: 'k' }])
    await log.heads(['only looked at'])
    await log.closeChannel('closed')
    const kept = await redis.dbsize()
    await until(async () => (await redis.dbsize()) === 0)
    await log.close()
    expect(kept).toBe(5)
  })

  test('keep a channel that is followed, though nothing is appended for longer than its age', async () => {
    const log = redisEventLog({ redis: server.url, maxAgeMs: 300 })
    const [appended] = await log.append('a', [{ data: '1' }])
    const heads: unknown[] = []
    for (const started = performance.now(); performance.now() - started < 700; ) {
      heads.push((await log.heads(['a']))[0])
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await log.close()
    expect(new Set(heads)).toEqual(new Set([appended?.id]))
    expect(await redis.exists(keys[0])).toBe(0)
  })

  test('keep the events, bytes and age that they are told to, and little more', async () => {
    const log = redisEventLog({ redis: server.url, maxEvents: 500, maxBytes: 20_000 })
    const small = Array.from({ length: 64 }, () => ({ data: '12345' }))
    for (let i = 0; i < 40; i++) await log.append('events', small)
    for (let i = 0; i < 40; i++) await log.append('bytes', [{ data: 'x'.repeat(1000) }])
    const kept = await Promise.all(
      ['events', 'bytes'].map((name) => redis.xlen(`{headwater:${name}}:s`)),
    )
    await log.close()
    expect(kept[0]).toBeGreaterThanOrEqual(500)
    expect(kept[0]).toBeLessThan(700)
    expect(kept[1]).toBe(19)
  })

  test('keep no more idempotency keys than entries', async () => {
    const log = redisEventLog({ redis: server.url, maxEvents: 10 })
    for (let n = 0; n < 50; n++) await log.append('a', [{ data: '1', idempotencyKey: `k${n}` }])
    await log.close()
    expect(await redis.zcard(keys[2])).toBeLessThanOrEqual(10)
  })

  test('take the place of nothing when Redis forgets them', async () => {
    const log = redisEventLog({ redis: server.url })
    await log.append('a', [{ data: '1' }])
    await redis.script('FLUSH')
    const appended = await Promise.all([2, 3].map((n) => log.append('a', [{ data: String(n) }])))
    await log.close()
    expect(appended.flat().map(({ id }) => id.split('-')[0])).toEqual(['2', '3'])
  })
})
