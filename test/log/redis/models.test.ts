import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { record } from '../../support/records.js'
import {
  closeAll,
  closers,
  dataOf,
  followed,
  type Log,
  logOf,
  packages,
} from '../../support/redis-models.js'
import { RedisServer } from '../../support/redis-server.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

describeWithRedis('redisEventLog, after the model of a client,', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  beforeEach(() => server.cli('FLUSHALL'))

  afterEach(closeAll)

  afterAll(() => server.stop())

  describe.each(['ioredis', 'redis'] as const)('of %s', (name) => {
    const clientOf = packages[name]

    test('keeps events where its keyPrefix says, apart from those of another one', async () => {
      const staging = logOf(clientOf(server, { keyPrefix: 'staging:' }))
      const production = logOf(clientOf(server, { keyPrefix: 'production:' }))
      const page = await followed(production, 'news')
      const other = await followed(staging, 'news')
      await staging.append('news', [{ data: '"of staging"' }])
      await production.append('news', [{ data: '"of production"' }])
      await until(() => page.length === 1 && other.length === 1)
      expect(page).toEqual(['"of production"'])
      expect(other).toEqual(['"of staging"'])
      expect(await dataOf(production, 'news')).toEqual(['"of production"'])
      const keys = (await server.cli('KEYS', '*')) as string[]
      expect(
        keys.filter((key) => !/^(?:staging|production):\{headwater:news\}:/.test(key)),
      ).toEqual([])
      const live = (await server.cli('PUBSUB', 'CHANNELS')) as string[]
      expect(live.sort()).toEqual(['production:{headwater:news}:l', 'staging:{headwater:news}:l'])
    })

    test('keeps its registry where its keyPrefix says', async () => {
      const log = redisEventLog({ redis: clientOf(server, { keyPrefix: 'staging:' }) })
      closers.push(() => log.close())
      await log.registry.register([record('job')])
      const keys = (await server.cli('KEYS', '*')) as string[]
      expect(keys.length).toBeGreaterThan(0)
      expect(keys.filter((key) => !key.startsWith('staging:{headwater:'))).toEqual([])
    })

    test('refuses a keyPrefix that changes, before anything goes to another place', async () => {
      const client = clientOf(server, { keyPrefix: 'staging:' })
      const log = logOf(client)
      await log.append('a', [{ data: '1' }])
      Object.assign((client as unknown as { options: object }).options, { keyPrefix: 'other:' })
      await expect(log.append('a', [{ data: '2' }])).rejects.toMatchObject({
        code: 'ERR_OPTION',
        message: expect.stringMatching(/had the keyPrefix "staging:".*has "other:" now/),
      })
      expect(log.health()).toMatchObject({ state: 'down', error: { code: 'ERR_OPTION' } })
    })

    test('keeps databases of one Redis apart, though they share pub/sub', async () => {
      const [first, second] = [0, 1].map((db) => logOf(clientOf(server, { db }))) as [Log, Log]
      const [got, other] = [await followed(first, 'a'), await followed(second, 'a')]
      await second.append('a', [{ data: '1' }])
      await first.append('a', [{ data: '0' }])
      await until(() => got.length === 1 && other.length === 1)
      expect([got, other]).toEqual([['0'], ['1']])
      expect(await server.cli('PUBSUB', 'CHANNELS')).toHaveLength(2)
    })

    test('is in its database again after each reconnection', async () => {
      const proxy = await TcpProxy.start(server.url)
      closers.push(() => proxy.close())
      const log = logOf(clientOf(proxy, { db: 5 }))
      await log.append('a', [{ data: '1' }])
      for (const data of ['2', '3']) {
        proxy.cut()
        proxy.heal()
        await log.append('a', [{ data }])
      }
      expect(await dataOf(log, 'a')).toEqual(['1', '2', '3'])
      expect(await server.info('keyspace')).toEqual({ db5: expect.any(String) })
    })

    test('says at once that there is no such database, and goes to no other one', async () => {
      const log = logOf(clientOf(server, { db: 99 }))
      const started = performance.now()
      const isNone = { code: 'ERR_OPTION', message: expect.stringMatching(/no database 99/) }
      await expect(log.ready()).rejects.toMatchObject(isNone)
      await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject(isNone)
      expect(performance.now() - started).toBeLessThan(1500)
      expect(log.healths).toMatchObject([{ state: 'down', error: isNone }])
      expect(await server.cli('DBSIZE')).toBe(0)
    })

    test('refuses a database that is no number', () => {
      const client = () => clientOf(server, { db: Number('unset') })
      expect(() => redisEventLog({ redis: client() })).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringMatching(/NaN/) }),
      )
    })

    test('connects with the password that the client has by then', async () => {
      const own = await RedisServer.start()
      closers.push(() => own.stop())
      const proxy = await TcpProxy.start(own.url)
      closers.push(() => proxy.close())
      await own.cli('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all')
      const client = clientOf(proxy, { username: 'app', password: 'first' })
      const log = logOf(client)
      await log.ready()
      const got = await followed(log, 'a')
      // As a token that is good for a quarter of an hour.
      await own.cli('ACL', 'SETUSER', 'app', 'resetpass', '>second')
      Object.assign((client as unknown as { options: object }).options, { password: 'second' })
      proxy.cut()
      proxy.heal()
      await log.append('a', [{ data: '1' }])
      await until(() => got.length === 1)
      await until(() => log.health().state === 'up')
    })

    test('comes back once a password is renewed after the old one was refused', async () => {
      const own = await RedisServer.start()
      closers.push(() => own.stop())
      await own.cli('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all')
      const client = clientOf(own, { username: 'app', password: 'first' })
      const log = logOf(client, { timeoutMs: 10_000 })
      await log.ready()
      await own.cli('ACL', 'SETUSER', 'app', 'resetpass', '>second')
      await own.cli('CLIENT', 'KILL', 'USER', 'app')
      await until(() => /WRONGPASS/.test(String(log.health().error)))
      const appended = log.append('a', [{ data: '1' }])
      Object.assign((client as unknown as { options: object }).options, { password: 'second' })
      await appended
      await until(() => log.health().state === 'up')
      expect(await dataOf(log, 'a')).toEqual(['1'])
    })

    test('stays up when the server closes connections that are quiet', async () => {
      await server.cli('CONFIG', 'SET', 'timeout', '1')
      closers.push(() => server.cli('CONFIG', 'SET', 'timeout', '0'))
      const log = logOf(clientOf(server))
      await log.ready()
      const got = await followed(log, 'a')
      const before = Number((await server.info('stats')).total_connections_received)
      // Of this one, and each of these questions.
      let asked = 1
      await until(async () => {
        asked += 1
        const now = Number((await server.info('stats')).total_connections_received)
        return now - before - asked >= 1
      }, 10_000)
      await log.append('a', [{ data: '1' }])
      await until(() => got.length === 1)
      expect(log.healths).toEqual([])
      expect(log.health().state).toBe('up')
    })

    test('stays up when a proxy ends both connections, and gets what was published meanwhile', async () => {
      const proxy = await TcpProxy.start(server.url)
      closers.push(() => proxy.close())
      const log = logOf(clientOf(proxy))
      await log.ready()
      const got = await followed(log, 'a')
      const accepted = proxy.accepted
      proxy.cut()
      proxy.heal()
      await logOf(server.url).append('a', [{ data: '1' }])
      await until(() => got.length === 1 && proxy.accepted >= accepted + 2)
      expect(log.healths).toEqual([])
    })
  })
})
