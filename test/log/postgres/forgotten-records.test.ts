import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import {
  type PostgresEventLogOptions,
  postgresEventLog,
  purgePostgres,
  setUpPostgres,
} from '../../../src/postgres.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { record, recordsOf } from '../../support/records.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof postgresEventLog>

describeWithPostgres('the registry in Postgres', () => {
  let server: PostgresServer
  const logs: Log[] = []

  function logOf(options: Partial<PostgresEventLogOptions> = {}): Log {
    const log = postgresEventLog({ pool: server.url, purgeIntervalMs: 0, ...options })
    logs.push(log)
    return log
  }

  async function count(where = 'true'): Promise<number> {
    const [row] = await server.query(
      `SELECT count(*)::int AS n FROM headwater.record WHERE ${where}`,
    )
    return row?.n as number
  }

  /** Moves all that is known of records into the past. */
  async function age(ms: number, where = 'true'): Promise<void> {
    const times = ['started_at', 'heard_at', 'expires_at', 'purge_at', 'ended_at', 'held_until']
    const earlier = times.map((time) => `${time} = ${time} - interval '${ms} milliseconds'`)
    await server.query(`UPDATE headwater.record SET ${earlier.join(', ')} WHERE ${where}`)
  }

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
  })

  beforeEach(() => server.query('TRUNCATE headwater.record'))

  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close()
  })

  afterAll(() => server.stop())

  test('forgets after twice the lifetime, purged or not, and purges then', async () => {
    const { registry } = logOf()
    await registry.register([record('left'), record('heard'), record('ended'), record('late')])
    await registry.end('ended', 'completed')
    await age(1_100_000, `id <> 'late'`)
    expect(await registry.heartbeat(['heard', 'late'])).toEqual([false, true])
    expect(await registry.get('ended')).toMatchObject({ state: 'expired' })
    expect(await purgePostgres(server.url)).toMatchObject({ records: 0 })
    await age(200_000)
    expect(await registry.get('left')).toBeUndefined()
    expect(await registry.end('left', 'failed')).toBeUndefined()
    expect(await registry.remove(['left'])).toEqual([false])
    expect(await count()).toBe(3)
    expect(await purgePostgres(server.url)).toMatchObject({ records: 2 })
    expect((await server.query('SELECT id FROM headwater.record')).map(({ id }) => id)).toEqual([
      'late',
    ])
  })

  test('purges by heartbeats: a record that is heard of stays, and is looked at rarely', async () => {
    const { registry } = logOf()
    await registry.register([record('a')])
    await age(1_000_000)
    await server.query(`UPDATE headwater.record SET expires_at = now() + interval '1 minute'`)
    expect(await registry.heartbeat(['a'])).toEqual([true])
    await server.query('UPDATE headwater.record SET purge_at = now()')
    expect(await purgePostgres(server.url)).toMatchObject({ records: 1 })
    expect(await purgePostgres(server.url)).toMatchObject({ records: 0 })
    expect(await registry.get('a')).toMatchObject({ state: 'active' })
    expect(await count(`purge_at = expires_at + lifetime`)).toBe(1)
  })

  test('purges by itself as long as something it has registered is kept', async () => {
    const { registry } = logOf({ maxAgeMs: 50, purgeIntervalMs: 20 })
    await registry.register(recordsOf(100, () => ({ lifetimeMs: 300 })))
    await until(async () => (await count()) === 0)
  })

  test('deletes two that are forgotten for each that is registered', async () => {
    const { registry } = logOf()
    await registry.register(recordsOf(10))
    await age(1_300_000)
    await registry.register([record('a'), record('b')])
    expect(await count()).toBe(8)
  })
})
