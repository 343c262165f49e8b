import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { createClient } from 'redis'
import type { LogHealth } from '../../../src/index.js'
import { type RedisClient, redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { freePort } from '../../support/free-port.js'
import { RedisServer } from '../../support/redis-server.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

const clients: [string, (url: string) => string | RedisClient][] = [
  ['ioredis', (url) => url],
  ['redis', (url) => createClient({ url })],
]

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describeWithRedis('redisEventLog, with a Redis that is a replica for a while,', () => {
  let server: RedisServer
  const closers: (() => unknown)[] = []

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  afterAll(() => server.stop())

  async function setUp(clientOf: (url: string) => string | RedisClient) {
    const proxy = await TcpProxy.start(server.url)
    const healths: LogHealth[] = []
    const log = redisEventLog({
      redis: clientOf(proxy.url),
      onHealth: (health) => healths.push(health),
    })
    closers.push(
      () => proxy.close(),
      () => log.close(),
    )
    await log.ready()
    return { proxy, healths, log }
  }

  /** Its master answers nobody, so that it keeps what it has. */
  const demote = async () => server.cli('REPLICAOF', '127.0.0.1', await freePort())
  const promote = () => server.cli('REPLICAOF', 'NO', 'ONE')

  test.each(clients)(
    'is told once to be down, and connected to anew now and then, by the package %s',
    async (_name, clientOf) => {
      const { proxy, healths, log } = await setUp(clientOf)
      const warnings: Error[] = []
      const onWarning = (warning: Error) => warnings.push(warning)
      process.on('warning', onWarning)
      closers.push(() => process.off('warning', onWarning))
      const before = proxy.accepted
      await demote()
      const appends: Promise<unknown>[] = []
      const publisher = setInterval(() => {
        appends.push(log.append('a', [{ data: String(appends.length) }]))
      }, 20)
      closers.push(() => clearInterval(publisher))
      await wait(3000)
      await promote()
      const promotedAt = performance.now()
      await until(() => log.health().state === 'up')
      // Appends are tried often enough, whenever it was last connected to.
      expect(performance.now() - promotedAt).toBeLessThan(1000)
      clearInterval(publisher)
      await Promise.all(appends)
      const { entries } = await log.read('a', 'earliest', { maxEvents: 1000, maxLength: 1e6 })
      expect(entries.slice(-appends.length).map(({ data }) => data)).toEqual(
        appends.map((_append, i) => String(i)),
      )
      expect(healths.map(({ state }) => state)).toEqual(['down', 'up'])
      expect(healths[0]?.error?.message).toMatch(/^READONLY/)
      expect(proxy.accepted - before).toBeLessThanOrEqual(3)
      expect(warnings).toEqual([])
      await server.cli('DEL', '{headwater:a}:s', '{headwater:a}:m')
    },
  )

  test.each(clients)(
    'is found to take writes again though nobody appends, by the package %s',
    async (_name, clientOf) => {
      const { healths, log } = await setUp(clientOf)
      await demote()
      const append = log.append('b', [{ data: '1' }])
      append.catch(() => undefined)
      await until(() => log.health().state === 'down')
      // One try may be under way when the time is over.
      await expect(append).rejects.toThrow(
        /READONLY.* (Nothing was done: try again later|It may have been done all the same: .*)\.$/,
      )
      await promote()
      await until(() => log.health().state === 'up')
      expect(healths.map(({ state }) => state)).toEqual(['down', 'up'])
    },
  )
})
