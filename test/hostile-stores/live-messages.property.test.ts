import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import pg from 'pg'
import { channelKeys } from '../../src/log/redis/format.js'
import { postgresEventLog, setUpPostgres } from '../../src/postgres.js'
import { redisEventLog } from '../../src/redis.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { damaged, hostileText } from '../support/hostile-values.js'
import { PostgresServer } from '../support/postgres-server.js'
import { RedisServer } from '../support/redis-server.js'
import { StoreApp } from '../support/store-app-process.js'
import { until } from '../support/until.js'

const runs = 300

/** What others say between two events, again and again, while two clients listen. */
async function attack(
  app: StoreApp,
  text: fc.Arbitrary<string>,
  say: (text: string) => Promise<unknown>,
  publish: (channel: string, n: number) => Promise<unknown>,
): Promise<void> {
  const [attacked, other] = [await app.follow('a'), await app.follow('b')]
  let n = 0
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 3 }), async (texts) => {
      for (const one of texts) await say(one)
      n += 1
      for (const channel of ['a', 'b']) await publish(channel, n)
      if (app.hasEnded) throw new Error('The process has ended.')
    }),
    { numRuns: runs },
  )
  const numbers = Array.from({ length: n }, (_, i) => i + 1)
  await until(() => attacked.data.length >= n && other.data.length >= n)
  expect([attacked.data, other.data]).toEqual([numbers, numbers])
  for (const { control } of [attacked, other]) expect(control).toHaveLength(1)
  await app.expectWell()
}

for (const driver of ['ioredis', 'redis'] as const) {
  describeWithRedis(`whatever others say on live channels, by ${driver}`, () => {
    let server: RedisServer
    let redis: Redis
    let log: ReturnType<typeof redisEventLog>
    let app: StoreApp

    beforeAll(async () => {
      server = await RedisServer.start()
      redis = new Redis(server.url)
      log = redisEventLog({ redis: server.url })
      app = await StoreApp.start(driver, server.url)
    })

    afterAll(async () => {
      app.kill()
      redis.disconnect()
      await log.close()
      await server.stop()
    })

    test('each event comes once, in order, and the process and its health stay up', async () => {
      const live = channelKeys('headwater', 'a').live
      const real: string[] = []
      const listener = new Redis(server.url)
      await listener.subscribe(live)
      listener.on('message', (_channel, text) => real.push(text))
      await log.append('a', [{ data: '"before"' }, { event: 'two', data: '"\ud800"' }])
      await until(() => real.length > 0)
      listener.disconnect()
      const text = fc.oneof(hostileText, damaged(String(real[0])))
      const say = (one: string) => redis.publish(live, one)
      await attack(app, text, say, (channel, n) => log.append(channel, [{ data: String(n) }]))
    })
  })
}

describeWithPostgres('whatever others notify, by pg', () => {
  let server: PostgresServer
  let pool: pg.Pool
  let log: ReturnType<typeof postgresEventLog>
  let app: StoreApp

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    pool = new pg.Pool({ connectionString: server.url })
    log = postgresEventLog({ pool: server.url })
    app = await StoreApp.start('pg', server.url)
  })

  afterAll(async () => {
    app.kill()
    await log.close()
    await pool.end()
    await server.stop()
  })

  test('each event comes once, in order, and the process and its health stay up', async () => {
    const text = fc
      .oneof(hostileText, damaged('a:1 b:2'), damaged('a:-1'), fc.constant('*'))
      .map((one) => one.toWellFormed().replaceAll('\0', '').slice(0, 2000))
    const say = (one: string) => pool.query('SELECT pg_notify($1, $2)', ['headwater', one])
    await attack(app, text, say, (channel, n) => log.append(channel, [{ data: String(n) }]))
  })
})
