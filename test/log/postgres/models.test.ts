import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Pool, types } from 'pg'
import type { LogHealth, StoredEvent } from '../../../src/index.js'
import { postgresEventLog, purgePostgres, setUpPostgres } from '../../../src/postgres.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { record } from '../../support/records.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof postgresEventLog>

const page = { maxEvents: 10, maxLength: 1000 }

/** Numbers of types: bool, bytea, name, int8, int2, int4, text, json, timestamptz, text[], numeric, jsonb. */
const allTypes = [16, 17, 19, 20, 21, 23, 25, 114, 1184, 1009, 1700, 3802]

const odd = () => ({ of: 'the application' })

describeWithPostgres('postgresEventLog, with a pool of an application that', () => {
  let server: PostgresServer
  const logs: Log[] = []
  const closers: (() => unknown)[] = []

  function logOf(options: object, user = 'postgres'): Log & { healths: LogHealth[] } {
    const healths: LogHealth[] = []
    const connectionString = server.url.replace('postgres@', `${user}@`)
    const pool = new Pool({ connectionString, ...options })
    pool.on('error', () => undefined)
    closers.push(() => pool.end())
    const log = postgresEventLog({ pool, onHealth: (health) => healths.push(health) })
    logs.push(log)
    return Object.assign(log, { healths })
  }

  /** All that a log can be asked, by which ids and answers are read. */
  async function callAll(log: Log): Promise<void> {
    await log.ready()
    const seen: StoredEvent[] = []
    await log.follow('a', {
      append: (entries) => seen.push(...entries),
      suspect: () => undefined,
    })
    const keyed = { data: '"ü \\" , {}"', idempotencyKey: 'k' }
    const [first] = await log.append('a', [keyed])
    expect(first).toMatchObject({ id: expect.stringMatching(/^1-\d+$/), duplicate: false })
    const again = await log.append('a', [{ data: '2', idempotencyKey: 'l' }, keyed])
    expect(again).toMatchObject([{ duplicate: false }, { id: first?.id, duplicate: true }])
    await until(() => seen.length === 2)
    const { entries, gap } = await log.read('a', 'earliest', page)
    expect([entries.map(({ data }) => data), gap]).toEqual([[keyed.data, '2'], undefined])
    expect(await log.heads(['a'])).toEqual([entries[1]?.id])
    await log.closeChannel('a')
    await expect(log.append('a', [{ data: '3' }])).rejects.toMatchObject({
      code: 'ERR_CHANNEL_CLOSED',
    })
    expect(await log.registry.register([record('job')])).toEqual([true])
    expect(await log.registry.register([record('job')])).toEqual([false])
    expect(await log.registry.list({ user: 'ann', limit: 5 } as never)).toMatchObject([
      { id: 'job' },
    ])
  }

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
  })

  beforeEach(async () => {
    await server.query(
      'TRUNCATE headwater.channel, headwater.entry, headwater.producer, headwater.record',
    )
  })

  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close()
    for (const close of closers.splice(0).reverse()) await close()
  })

  afterAll(() => server.stop())

  test('reads all types in a way of its own gets the same ids', async () => {
    await callAll(logOf({ types: { getTypeParser: () => odd } }))
  })

  test('has set parsers for all that use pg gets the same ids', async () => {
    for (const type of allTypes) {
      const before = types.getTypeParser(type)
      types.setTypeParser(type, odd)
      closers.push(() => types.setTypeParser(type, before as never))
    }
    await callAll(logOf({}))
    await setUpPostgres(server.url)
    expect(await purgePostgres(server.url)).toMatchObject({ channels: expect.any(Number) })
  })

  test.each([
    ['another search path', { options: '-c search_path=nowhere' }],
    ['a short timeout of its queries', { query_timeout: 1 }],
    ['a timeout of its statements', { statement_timeout: 500 }],
    ['connections that are used once', { maxUses: 1 }],
    ['a password that a function gives', { password: async () => 'token' }],
    [
      'a transaction that is read-only by default off',
      { options: '-c default_transaction_isolation=serializable' },
    ],
  ])('has %s works', async (_name, options) => {
    await callAll(logOf(options))
  })

  test('asks for bytes is refused', async () => {
    const log = logOf({ binary: true })
    await expect(log.ready()).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringMatching(/binary: true/),
    })
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({ code: 'ERR_OPTION' })
  })

  test('is closed by the server when it is quiet stays up, and gets what is published', async () => {
    const log = logOf({ options: '-c idle_session_timeout=300' })
    await log.ready()
    const seen: string[] = []
    await log.follow('a', {
      append: (entries) => seen.push(...entries.map(({ data }) => data)),
      suspect: () => undefined,
    })
    const listening = "query LIKE '%LISTEN%' OR query LIKE '%pg_notify%'"
    const pids = async () => {
      const rows = await server.query(
        `SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (${listening})`,
      )
      return rows.map(({ pid }) => pid)
    }
    const before = await pids()
    await until(async () => {
      const now = await pids()
      return now.length > 0 && !now.some((pid) => before.includes(pid))
    }, 10_000)
    await logOf({}).append('a', [{ data: '1' }])
    await until(() => seen.length === 1)
    expect(log.healths).toEqual([])
  })

  test('may not run functions is told which right is missing', async () => {
    await server.query('CREATE ROLE app LOGIN')
    await server.query('GRANT USAGE ON SCHEMA headwater TO app')
    await server.query(
      'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA headwater TO app',
    )
    await server.query('REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA headwater FROM PUBLIC')
    const refused = {
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/execute its functions \(EXECUTE\)/),
    }
    await expect(logOf({}, 'app').ready()).rejects.toMatchObject(refused)
    await server.query('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA headwater TO app')
    await callAll(logOf({}, 'app'))
  })

  test('sees no rows is told of row level security, and works with a policy', async () => {
    await server.query('CREATE ROLE limited LOGIN')
    await server.query('GRANT USAGE ON SCHEMA headwater TO limited')
    await server.query('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA headwater TO limited')
    await server.query(
      'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA headwater TO limited',
    )
    const tables = await server.query(
      "SELECT tablename FROM pg_tables WHERE schemaname = 'headwater'",
    )
    const secured = tables.map(({ tablename }) => `headwater.${tablename}`)
    for (const table of secured)
      await server.query(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`)
    closers.unshift(async () => {
      for (const table of secured)
        await server.query(`ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`)
    })
    const refused = {
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/row level security, disable it/),
    }
    await expect(logOf({}, 'limited').ready()).rejects.toMatchObject(refused)
    await server.query(
      'CREATE POLICY shown ON headwater.migration FOR SELECT TO limited USING (true)',
    )
    await expect(logOf({}, 'limited').ready()).rejects.toMatchObject(refused)
    for (const table of secured) {
      await server.query(
        `CREATE POLICY all_rows ON ${table} TO limited USING (true) WITH CHECK (true)`,
      )
    }
    await callAll(logOf({}, 'limited'))
  })
})
