import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Client, type Pool } from 'pg'
import { encodeEnding } from '../../../src/core/stream-end.js'
import {
  type PostgresEventLogOptions,
  postgresEventLog,
  setUpPostgres,
} from '../../../src/postgres.js'
import { type CountedPool, countedPool } from '../../support/counted-pool.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { record, recordsOf } from '../../support/records.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof postgresEventLog>

function idsOf(records: readonly { readonly id: string }[]): readonly string[] {
  return records.map(({ id }) => id)
}

describeWithPostgres('the registry in Postgres', () => {
  let server: PostgresServer
  let proxy: TcpProxy
  const logs: Log[] = []
  const pools: Pool[] = []

  function logOf(options: Partial<PostgresEventLogOptions> = {}): Log {
    const log = postgresEventLog({
      pool: server.url,
      purgeIntervalMs: 0,
      timeoutMs: 20_000,
      onHealth: () => undefined,
      ...options,
    })
    logs.push(log)
    return log
  }

  function countStatements(): CountedPool {
    const counted = countedPool(server.url)
    pools.push(counted.pool)
    return counted
  }

  async function count(where = 'true'): Promise<number> {
    const [row] = await server.query(
      `SELECT count(*)::int AS n FROM headwater.record WHERE ${where}`,
    )
    return row?.n as number
  }

  /** Cuts the connection of a call once the server has done it, and before anybody hears of that. */
  async function withLostAnswer<Result>(
    call: () => Promise<Result>,
    isDone: () => Promise<boolean>,
  ): Promise<Result> {
    const holder = new Client({ connectionString: server.url })
    await holder.connect()
    try {
      await holder.query('BEGIN; LOCK TABLE headwater.record IN SHARE MODE')
      const result = call()
      await until(async () => (await server.connections("wait_event_type = 'Lock'")) === 1)
      proxy.freeze()
      await holder.query('COMMIT')
      await until(isDone)
      proxy.cut()
      proxy.heal()
      proxy.thaw()
      return await result
    } finally {
      await holder.end()
    }
  }

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
  })

  beforeEach(async () => {
    await server.query(
      'TRUNCATE headwater.channel, headwater.entry, headwater.producer, headwater.record',
    )
    proxy = await TcpProxy.start(server.url)
  })

  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close()
    for (const pool of pools.splice(0)) await pool.end()
    await proxy.close()
  })

  afterAll(() => server.stop())

  test('keeps any text to the letter, and no two as the same', async () => {
    const { registry } = logOf()
    const texts = [
      '',
      '\0',
      'a\0b',
      '😀',
      '\ud800',
      '\ud801',
      '\ufffd',
      '"',
      '"\\ud800"',
      '{1,"2"}',
    ]
    const long = 'ü'.repeat(100_000)
    const records = texts.map((text) =>
      record(text, { type: text, user: text, metadata: JSON.stringify(text) }),
    )
    records.push(record('raw', { metadata: '"\ud800"' }), record('long', { user: long }))
    expect(await registry.register(records)).toEqual(records.map(() => true))
    expect(await registry.heartbeat(idsOf(records))).toEqual(records.map(() => true))
    for (const { id, type, user, metadata } of records) {
      const kept = { id, type, user, metadata }
      expect(await registry.get(id)).toMatchObject(kept)
      if (id !== 'raw')
        expect(await registry.list({ user: user ?? '', limit: 9 })).toMatchObject([kept])
    }
    expect(await registry.remove(idsOf(records))).toEqual(records.map(() => true))
  })

  test('hears of a thousand by one statement, which changes their rows in place', async () => {
    const { pool, statements } = countStatements()
    const { registry } = logOf({ pool })
    const records = recordsOf(1000, () => ({
      metadata: JSON.stringify({ title: 'x'.repeat(200) }),
    }))
    await registry.register(records)
    await server.query('SELECT pg_stat_reset()')
    statements.length = 0
    for (let n = 0; n < 5; n++) {
      expect(await registry.heartbeat(idsOf(records))).toEqual(records.map(() => true))
    }
    expect(statements).toEqual(Array(5).fill(expect.stringContaining('.heartbeat(')))
    // What a connection has counted is told when it ends, at the latest.
    await server.terminate()
    let stats: { updates: number; hot: number } = { updates: 0, hot: 0 }
    await until(async () => {
      const [row] = await server.query(
        `SELECT n_tup_upd::int AS updates, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'record' AND schemaname = 'headwater'`,
      )
      stats = row as typeof stats
      return stats.updates >= 5000
    })
    // None, if a heartbeat changed anything that is in an index; not all, while something else looks at the table.
    expect(stats.hot / stats.updates).toBeGreaterThan(0.5)
  })

  test('never deadlocks, in whatever order several processes name the same records', async () => {
    const records = recordsOf(300)
    const ids = idsOf(records)
    const all = records.map(() => true)
    const processes = [1, 2, 3, 4].map(() => logOf().registry)
    await processes[0]?.register(records)
    await Promise.all(
      processes.map(async (registry, i) => {
        const own = i % 2 === 0 ? ids : ids.toReversed()
        const replacing = own.map((id) => record(id, { replaces: true }))
        const fresh = own.map((id) => record(`new ${id}`))
        for (let n = 0; n < 15; n++) {
          expect(await registry.heartbeat(own)).toEqual(all)
          expect(await registry.register(replacing)).toEqual(all)
          await registry.register(fresh)
          await registry.take({ silentMs: 0, holder: `h${i}`, holdMs: 1, limit: 50 })
          await registry.remove(idsOf(fresh))
        }
      }),
    )
    // What a connection has counted is told when it ends, at the latest.
    for (const log of logs.splice(0)) await log.close()
    await until(async () => (await server.connections()) === 0)
    const [row] = await server.query(
      'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
    )
    expect(row?.deadlocks).toBe(0)
  })

  test('gives each silent record to one of all processes that take at once', async () => {
    const records = recordsOf(400)
    await logOf().registry.register(records)
    const taken = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        logOf().registry.take({ silentMs: 0, holder: `h${i}`, holdMs: 60_000, limit: 100 }),
      ),
    )
    const ids = taken.flatMap(idsOf)
    expect(new Set(ids).size).toBe(ids.length)
    const rest = await logOf().registry.take({
      silentMs: 0,
      holder: 'rest',
      holdMs: 60_000,
      limit: 400,
    })
    expect([...ids, ...idsOf(rest)].sort()).toEqual([...idsOf(records)].sort())
  })

  test('gives a holder again what it holds, as its answer may have been lost', async () => {
    const { registry } = logOf()
    await registry.register(recordsOf(3))
    const take = { silentMs: 0, holder: 'mine', holdMs: 60_000, limit: 2 }
    const taken = await registry.take(take)
    expect(await registry.take(take)).toEqual(taken)
    expect(await registry.settle(taken[0]?.id as string, 'mine')).toBe(true)
    expect(await registry.take(take)).toEqual(taken)
  })

  test('answers each question about ten thousand records by one statement, along an index', async () => {
    const { pool, statements } = countStatements()
    const { registry } = logOf({ pool })
    const records = recordsOf(10_000, (i) => ({ user: i < 5000 ? 'bob' : `u${i % 100}` }))
    expect(await registry.register(records)).toEqual(records.map(() => true))
    await server.query(
      `UPDATE headwater.record SET state = 'completed', ended_at = heard_at WHERE id !~ '00$'`,
    )
    await server.query('ANALYZE headwater.record')
    await server.query('SELECT pg_stat_reset()')
    const lists = [
      await registry.list({ user: 'bob', limit: 100 }),
      await registry.list({ user: 'u7', limit: 100 }),
      await registry.list({ silentMs: 0, limit: 1000 }),
      await registry.take({ silentMs: 0, holder: 'h', holdMs: 1000, limit: 1000 }),
    ]
    expect(lists.map(({ length }) => length)).toEqual([100, 50, 99, 99])
    expect(await registry.count(60_000)).toMatchObject({ active: 99, silent: 0, completed: 9901 })
    expect(statements.map((text) => /\.(\w+)\(/.exec(text)?.[1])).toEqual([
      ...statements.slice(0, -6).map(() => undefined),
      'register',
      'records_of',
      'records_of',
      'silent_records',
      'take_records',
      'count_records',
    ])
    // What a connection has counted is told when it ends, at the latest.
    await server.terminate()
    let scans: Record<string, unknown> = {}
    await until(async () => {
      const rows = await server.query(
        `SELECT indexrelname AS name, idx_scan::int AS n FROM pg_stat_user_indexes WHERE relname = 'record'
         UNION ALL SELECT 'none', seq_scan::int FROM pg_stat_user_tables WHERE relname = 'record'`,
      )
      scans = Object.fromEntries(rows.map(({ name, n }) => [name, n]))
      return scans.none === 1
    })
    // To count them is to look at all of them.
    expect(scans).toMatchObject({ record_owner: 2, record_active: 2, none: 1 })
  })

  test('registers once when the answer is lost, also what was ended since', async () => {
    const { registry } = logOf({ pool: proxy.url })
    await registry.register([record('taken')])
    const other = logOf().registry
    const registered = await withLostAnswer(
      () => registry.register([record('a'), record('taken'), record('b', { replaces: true })]),
      async () => (await other.end('b', 'aborted')) === true,
    )
    expect(registered).toEqual([true, false, true])
    expect(await other.get('b')).toMatchObject({ state: 'aborted' })
  })

  test('is the one that has ended a record when the answer is lost', async () => {
    const { registry } = logOf({ pool: proxy.url })
    await registry.register([record('a')])
    const isEnded = async () => (await count('ended_at IS NOT NULL')) === 1
    expect(await withLostAnswer(() => registry.end('a', 'failed'), isEnded)).toBe(true)
    expect(await registry.end('a', 'failed')).toBe(false)
  })

  test('tells followers of a stream that was dropped that it is another one', async () => {
    const log = logOf()
    const limits = { maxEvents: 10, maxBytes: 1000, maxAgeMs: 60_000 }
    await log.claim('a', { token: 't', leaseMs: 60_000, limits })
    let suspected = 0
    const follower = logOf({ pollIntervalMs: 60_000 })
    await follower.follow('a', {
      append: () => undefined,
      suspect: () => {
        suspected += 1
      },
    })
    expect(await log.dropStream('a')).toBe(false)
    await log.endStream('a', encodeEnding({ state: 'completed' }))
    expect(await log.dropStream('a')).toBe(true)
    expect(await log.dropStream('a')).toBe(false)
    await until(() => suspected === 1)
    expect(await log.inspect('a')).toBeUndefined()
    expect(await server.query('SELECT FROM headwater.entry')).toEqual([])
  })
})
