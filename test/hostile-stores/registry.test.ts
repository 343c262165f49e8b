import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import pg from 'pg'
import { intakeOf } from '../../src/log/intake.js'
import { registryKeys } from '../../src/log/redis/registry-format.js'
import { setUpPostgres } from '../../src/postgres.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { damaged, hostileText } from '../support/hostile-values.js'
import { PostgresServer } from '../support/postgres-server.js'
import { record } from '../support/records.js'
import { RedisServer } from '../support/redis-server.js'
import { openDriverLog } from '../support/store-app.js'

type Log = ReturnType<typeof openDriverLog>

const query = { user: 'u', limit: 100 }
const take = { silentMs: 0, holder: 'h', holdMs: 1000, limit: 100 }

/** What each registry must do beside records that nobody can read. */
async function expectTheOthers({ registry }: Log, ...ids: string[]) {
  const idsOf = (list: readonly { readonly id: string }[]) => list.map(({ id }) => id).sort()
  expect(idsOf(await registry.list(query))).toEqual(expect.arrayContaining(ids))
  expect(idsOf(await registry.list({ silentMs: 0, limit: 100 }))).toEqual(
    expect.arrayContaining(ids),
  )
  expect(idsOf(await registry.take(take))).toEqual(expect.arrayContaining(ids))
  expect(await registry.heartbeat(ids)).toEqual(ids.map(() => true))
  const { active, silent } = await registry.count(60_000)
  expect(active + silent).toBeGreaterThanOrEqual(ids.length)
}

for (const driver of ['ioredis', 'redis'] as const) {
  describeWithRedis(`records of others in Redis, by ${driver}`, () => {
    let server: RedisServer
    let redis: Redis
    let log: Log
    const errors: unknown[] = []
    const [records = '', states = '', active = '', , users = '', due = '', holds = ''] =
      registryKeys('headwater')

    beforeAll(async () => {
      server = await RedisServer.start()
      redis = new Redis(server.url)
      log = openDriverLog(driver, server.url)
      intakeOf(log)?.watch((error) => errors.push(error))
    })

    beforeEach(async () => {
      await redis.flushall()
      errors.length = 0
      await log.registry.register(['a', 'b', 'c'].map((id) => record(id, { user: 'u' })))
    })

    afterAll(async () => {
      redis.disconnect()
      await log.close()
      await server.stop()
    })

    test('take nothing from the records beside them', async () => {
      await redis.hset(records, 'b', 'garbage')
      await expectTheOthers(log, 'a', 'c')
      expect(errors[0]).toMatchObject({ code: 'ERR_STORE_ENTRY' })
      expect(await log.registry.get('b')).toBeUndefined()
    })

    test('do not keep a guardian from those that are silent', async () => {
      const foreign = Array.from({ length: 150 }, (_, n) => [n, `foreign-${n}`]).flat()
      await redis.zadd(active, ...foreign)
      for (let round = 0; round < 2; round++) await log.registry.take(take)
      const taken = await log.registry.take(take)
      expect(taken.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c'])
    })

    test('take nothing from them, whatever they are', async () => {
      const real = String(await redis.hget(records, 'b'))
      const text = fc.oneof(
        hostileText,
        damaged(real),
        damaged('60000 0'),
        damaged('60000 0 failed 1 2 t'),
      )
      const score = fc.constantFrom('-inf', 'inf', '0', '-1', '1e300', String(Date.now()))
      const write = fc.oneof(
        fc
          .tuple(fc.constantFrom(records, states, holds), text)
          .map((it) => ['HSET', it[0], 'b', it[1]]),
        fc.tuple(fc.constantFrom(active, due), score).map((it) => ['ZADD', it[0], it[1], 'b']),
        fc
          .tuple(fc.constantFrom(active, due), score, text)
          .map((it) => ['ZADD', it[0], it[1], it[2]]),
        text.map((it) => ['ZADD', users, '0', it]),
        fc.tuple(fc.constantFrom(records, states), text).map((it) => ['HSET', it[0], it[1], 'x']),
      )
      const property = fc.asyncProperty(
        fc.array(write, { minLength: 1, maxLength: 4 }),
        async (writes) => {
          await redis.flushall()
          await log.registry.register(['a', 'b', 'c'].map((id) => record(id, { user: 'u' })))
          for (const [command = '', ...args] of writes) await redis.call(command, ...args)
          await log.registry.get('b')
          await log.registry.end('b', 'completed')
          await log.registry.settle('b', 'h')
          await log.registry.heartbeat(['b'])
          await expectTheOthers(log, 'a', 'c')
          await log.registry.register([record('b', { user: 'u', replaces: true })])
          await expectTheOthers(log, 'a', 'b', 'c')
        },
      )
      await fc.assert(property, { numRuns: 200 })
    })
  })
}

describeWithPostgres('records of others in Postgres', () => {
  let server: PostgresServer
  let pool: pg.Pool
  let log: Log

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    pool = new pg.Pool({ connectionString: server.url })
    log = openDriverLog('pg', server.url)
  })

  afterEach(() => pool.query('DELETE FROM headwater.record'))

  afterAll(async () => {
    await pool.end()
    await log.close()
    await server.stop()
  })

  test.each(['id', 'type', 'owner', 'metadata'])(
    'with a wrong %s take nothing from the records beside them',
    async (column) => {
      const errors: unknown[] = []
      const leave = intakeOf(log)?.watch((error) => errors.push(error))
      await log.registry.register(['a', 'b', 'c'].map((id) => record(id, { user: 'u' })))
      await pool.query(`UPDATE headwater.record SET ${column} = '"{bad' WHERE id = 'b'`)
      await expectTheOthers(log, 'a', 'c')
      expect(errors[0]).toMatchObject({ code: 'ERR_STORE_ENTRY' })
      leave?.()
    },
  )

  test.each([
    ['entry', 'seq', '9223372036854775807'],
    ['entry', 'nonce', '-1'],
    ['entry', 'prev_nonce', '4294967296'],
    ['channel', 'head_seq', '-1'],
    ['channel', 'head_nonce', '99999999999'],
    ['record', 'kind', `'other'`],
    ['record', 'state', `'other'`],
    ['record', 'heard_at', `'infinity'`],
  ])('are refused by the tables themselves: %s.%s = %s', async (table, column, value) => {
    await log.append('a', [{ data: '1' }])
    await log.registry.register([record('a', { user: 'u' })])
    const change = pool.query(`UPDATE headwater.${table} SET ${column} = ${value}`)
    await expect(change).rejects.toMatchObject({ code: '23514' })
  })
})
