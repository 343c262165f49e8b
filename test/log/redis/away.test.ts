import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { createClient } from 'redis'
import type { LogHealth, StoredEvent } from '../../../src/index.js'
import { type RedisClient, redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { outages, TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof redisEventLog>

const all = { maxEvents: 10_000, maxLength: 10_000_000 }

const clients: [string, (url: string) => string | RedisClient][] = [
  ['ioredis', (url) => url],
  ['redis', (url) => createClient({ url })],
]

describeWithRedis('redisEventLog, with a Redis that is away,', () => {
  let server: RedisServer
  let proxy: TcpProxy
  const open: Log[] = []

  function logOf(redis: string | RedisClient, options = {}): Log & { healths: LogHealth[] } {
    const healths: LogHealth[] = []
    const log = redisEventLog({ redis, onHealth: (health) => healths.push(health), ...options })
    open.push(log)
    return Object.assign(log, { healths })
  }

  beforeAll(async () => {
    server = await RedisServer.start({ appendOnly: 'always' })
  })

  beforeEach(async () => {
    await server.cli('FLUSHALL')
    proxy = await TcpProxy.start(server.url)
  })

  afterEach(async () => {
    for (const log of open.splice(0)) await log.close()
    await proxy.close()
  })

  afterAll(() => server.stop())

  describe.each(clients)('by the package %s:', (_name, clientOf) => {
    test('appends wait, and fail in time; then at once', async () => {
      const log = logOf(clientOf(proxy.url), { timeoutMs: 400 })
      await log.ready()
      proxy.cut()
      await until(() => log.health().state === 'down')
      const started = performance.now()
      await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
        code: 'ERR_LOG_UNAVAILABLE',
        message: expect.stringMatching(/^The append to "a" failed: .* Nothing was done: try again/),
        status: 503,
      })
      const waited = performance.now() - started
      const again = performance.now()
      await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
        code: 'ERR_LOG_UNAVAILABLE',
      })
      expect(waited).toBeGreaterThan(200)
      expect(performance.now() - again).toBeLessThan(100)
      proxy.heal()
      await until(() => log.health().state === 'up')
      expect(await log.append('a', [{ data: '2' }])).toMatchObject([
        { id: expect.stringMatching(/^1-/) },
      ])
      // One line when it went, one when it came.
      expect(log.healths.map(({ state }) => state)).toEqual(['down', 'up'])
    })

    test('errors name what is wrong now, and not what an earlier outage was', async () => {
      const log = logOf(clientOf(proxy.url), { timeoutMs: 400 })
      await log.ready()
      const silence = /no answer/
      for (const [leave, back, other] of outages(silence)) {
        proxy[leave]()
        const failed = log.append('a', [{ data: '1' }]).catch((error) => error)
        const { message, cause } = (await failed) as Error
        expect(`${message} ${cause}`).not.toMatch(other)
        await until(() => log.health().state === 'down')
        expect(log.health().error?.message ?? '').not.toMatch(other)
        const later = log.append('a', [{ data: '1' }])
        await expect(later).rejects.not.toThrow(other)
        proxy[back]()
        await until(() => log.health().state === 'up')
      }
    })

    test('appends that are under way when the connection breaks are done once, in order', async () => {
      const log = logOf(clientOf(proxy.url))
      await log.ready()
      const count = 3000
      const appended: Promise<unknown>[] = []
      for (let n = 1; n <= count; n++) {
        appended.push(log.append('a', [{ data: String(n) }]))
        if (n % 500 === 0) {
          // Some are answered, some sent, some not.
          await appended[n - 250]
          proxy.cut()
          proxy.heal()
        }
      }
      await Promise.all(appended)
      const reader = logOf(server.url, { maxEvents: 10_000 })
      const { entries } = await reader.read('a', { last: count + 100 }, all)
      const kept = entries.map(({ data }) => Number(data))
      const last = kept.at(-1) as number
      expect(last).toBe(count)
      expect(kept).toEqual(
        Array.from({ length: kept.length }, (_, i) => last - kept.length + 1 + i),
      )
      expect((await reader.heads(['a']))[0]).toMatch(new RegExp(`^${count}-`))
    })

    test('followers are told what they missed while messages did not come', async () => {
      const log = logOf(clientOf(proxy.url))
      await log.ready()
      const seen: StoredEvent[] = []
      const suspected: unknown[] = []
      await log.follow('a', {
        append: (entries) => seen.push(...entries),
        suspect: (head) => suspected.push(head),
      })
      // That it was found where it was.
      await until(() => suspected.length === 1)
      proxy.cut()
      const other = logOf(server.url)
      await other.append('a', [{ data: '1' }])
      proxy.heal()
      await until(() => suspected.length > 1)
      await other.append('a', [{ data: '2' }])
      await until(() => seen.length > 0)
      expect(seen.map(({ data }) => data)).toEqual(['2'])
    })

    test('one that answers nothing is given up, and used again when it does', async () => {
      const log = logOf(clientOf(proxy.url), { timeoutMs: 300 })
      await log.ready()
      proxy.freeze()
      await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
        code: 'ERR_LOG_UNAVAILABLE',
        message: expect.stringMatching(/did not answer in time.*try again with an idempotency key/),
      })
      await until(() => log.health().state === 'down')
      proxy.thaw()
      await until(() => log.health().state === 'up')
      await log.append('b', [{ data: '2' }])
      expect(log.healths.map(({ state }) => state)).toEqual(['down', 'up'])
    })

    test('connections that were accepted and never answered are given up for new ones', async () => {
      const log = logOf(clientOf(proxy.url), { timeoutMs: 300 })
      await log.ready()
      proxy.freeze()
      const before = proxy.connections
      await expect(log.append('a', [{ data: '1' }])).rejects.toThrow(/did not answer in time/)
      await until(() => proxy.connections >= before + 2)
      proxy.strand()
      await until(() => log.health().state === 'up', 15_000)
      await log.append('b', [{ data: '2' }])
    })

    test('messages come again when the connection for them alone is dead', async () => {
      const log = logOf(clientOf(proxy.url), { timeoutMs: 300, pollIntervalMs: 100 })
      await log.ready()
      const seen: StoredEvent[] = []
      await log.follow('a', {
        append: (entries) => seen.push(...entries),
        suspect: () => undefined,
      })
      proxy.strand([1])
      const other = logOf(server.url)
      await other.append('a', [{ data: '1' }])
      await until(() => log.healths.length >= 2)
      await other.append('a', [{ data: '2' }])
      await until(() => seen.length > 0)
      expect(seen.map(({ data }) => data)).toEqual(['2'])
      expect(log.healths.map(({ state }) => state)).toEqual(['down', 'up'])
    })

    test.each(['forgets its scripts', 'starts again', 'refuses them for a while'])(
      'appends keep their order when Redis %s',
      async (what) => {
        const far = await TcpProxy.start(server.url, 2)
        const log = logOf(clientOf(far.url), { maxEvents: 10_000 })
        await log.ready()
        const appended: Promise<unknown>[] = []
        const append = () => {
          appended.push(log.append('a', [{ data: String(appended.length + 1) }]))
        }
        const timer = setInterval(append, 1)
        await until(() => appended.length > 50)
        if (what === 'starts again') await server.restart()
        else if (what === 'forgets its scripts') await server.cli('SCRIPT', 'FLUSH')
        else {
          await server.cli('CONFIG', 'SET', 'min-replicas-to-write', 1)
          const before = appended.length
          await until(() => appended.length > before + 200)
          await server.cli('CONFIG', 'SET', 'min-replicas-to-write', 0)
        }
        const count = appended.length
        await until(() => log.health().state === 'up' && appended.length > count + 200)
        clearInterval(timer)
        await Promise.all(appended)
        const { entries } = await log.read('a', 'earliest', all)
        expect(entries.map(({ data }) => Number(data))).toEqual(appended.map((_, i) => i + 1))
        await far.close()
      },
    )
  })

  test('no more wait than may', async () => {
    const log = logOf(proxy.url, { maxPending: 2 })
    await log.ready()
    proxy.freeze()
    const waiting = [1, 2].map((n) => log.append('a', [{ data: String(n) }]))
    await expect(log.append('a', [{ data: '3' }])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/2 others wait already/),
    })
    proxy.thaw()
    await Promise.all(waiting)
  })

  test('no more bytes wait than may', async () => {
    const log = logOf(proxy.url, { maxPendingBytes: 1_000_000 })
    await log.ready()
    proxy.freeze()
    const entry = { data: 'x'.repeat(300_000) }
    const waiting = ['a', 'b', 'c'].map((channel) => log.append(channel, [entry]))
    await expect(log.append('d', [entry])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/900768 bytes wait already.*raise maxPendingBytes/),
    })
    proxy.thaw()
    await Promise.all(waiting)
    // What is larger than all that may wait is let in alone.
    await log.append('d', [{ data: 'x'.repeat(1_200_000) }])
  })

  test('what waits when the log is closed is refused', async () => {
    const log = logOf(proxy.url)
    await log.ready()
    proxy.freeze()
    const waiting = expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_CLOSED',
    })
    await log.close()
    await waiting
  })

  test('an append waits for as many replicas as are asked for', async () => {
    const log = logOf(server.url, { waitReplicas: 1, timeoutMs: 2000 })
    await log.ready().catch(() => undefined)
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/is on 0 replicas after .* waitReplicas is 1/),
    })
    const replica = await RedisServer.start({ replicaOf: server })
    try {
      await Promise.all([2, 3].map((n) => log.append('a', [{ data: String(n) }])))
      expect(Number(await replica.cli('XLEN', '{headwater:a}:s'))).toBe(3)
    } finally {
      await replica.stop()
    }
  })
})
