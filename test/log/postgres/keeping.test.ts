import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Pool } from 'pg'
import type { NewEntry } from '../../../src/index.js'
import {
  type PostgresEventLogOptions,
  type PostgresPool,
  postgresEventLog,
  purgePostgres,
  setUpPostgres,
} from '../../../src/postgres.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof postgresEventLog>

const all = { maxEvents: 10_000, maxLength: 100_000_000 }
const none = { append: () => undefined, suspect: () => undefined }

describeWithPostgres('postgresEventLog', () => {
  let server: PostgresServer
  let pool: Pool
  const open: Log[] = []

  function logOf(options: Partial<PostgresEventLogOptions> = {}): Log {
    const log = postgresEventLog({ pool, purgeIntervalMs: 0, ...options })
    open.push(log)
    return log
  }

  async function count(table: string): Promise<number> {
    const { rows } = await pool.query(`SELECT count(*)::int AS n FROM headwater.${table}`)
    return rows[0].n
  }

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    pool = new Pool({ connectionString: server.url })
  })

  beforeEach(async () => {
    await pool.query('TRUNCATE headwater.channel, headwater.entry, headwater.producer')
  })

  afterEach(async () => {
    for (const log of open.splice(0)) await log.close()
  })

  afterAll(async () => {
    await pool.end()
    await server.stop()
  })

  test('keeps any text to the letter, as it reads and as it tells', async () => {
    const [log, other] = [logOf(), logOf()]
    const texts = [
      '',
      '\0',
      'a\0b',
      '😀',
      '\ud800',
      'x\udc00y\ud83d',
      '"\\u0000"',
      '\\x00',
      "'; DROP TABLE headwater.entry; --",
      '{1,2,"3"}',
      'NULL',
      '\r\n\u2028\ufeff',
      'ü'.repeat(70_000),
      'z'.repeat(1_048_576),
    ]
    const entries: NewEntry[] = texts.flatMap((text) => [
      { event: undefined, data: text },
      { event: text.slice(0, 100), data: 'named' },
    ])
    const seen: NewEntry[] = []
    await other.follow('texts', {
      ...none,
      append: (told) => seen.push(...told.map(({ event, data }) => ({ event, data }))),
    })
    await log.append('texts', entries)
    const { entries: kept } = await log.read('texts', 'earliest', all)
    expect(kept.map(({ event, data }) => ({ event, data }))).toEqual(entries)
    await until(() => seen.length === entries.length)
    expect(seen).toEqual(entries)
  })

  test('keeps rows of what it drops for a while only', async () => {
    const log = logOf({ maxEvents: 50 })
    for (let n = 0; n < 40; n++) {
      await log.append(
        'many',
        Array.from({ length: 25 }, () => ({ data: '1' })),
      )
    }
    expect((await log.read('many', 'earliest', all)).entries).toHaveLength(50)
    expect(await count('entry')).toBeLessThan(50 + 128 + 25)
    const large = logOf({ maxBytes: 1_000_000 })
    for (let n = 0; n < 20; n++) await large.append('large', [{ data: 'x'.repeat(300_000) }])
    expect((await large.read('large', 'earliest', all)).entries).toHaveLength(3)
    const { rows } = await pool.query(
      "SELECT count(*)::int AS n FROM headwater.entry e JOIN headwater.channel c ON c.id = e.channel WHERE name = 'large'",
    )
    expect(rows[0].n).toBeLessThanOrEqual(7)
  })

  test('deletes what is past its age, and channels that nobody uses', async () => {
    const log = logOf({ maxAgeMs: 1500 })
    for (let n = 0; n < 30; n++) {
      await log.append(`c${n}`, [{ data: '1', idempotencyKey: 'k' }, { data: '2' }])
    }
    await log.heads(['only looked at'])
    await log.closeChannel('closed')
    expect(await purgePostgres(pool)).toEqual({ channels: 0, entries: 0, records: 0 })
    let entries = 0
    await until(async () => {
      entries += (await purgePostgres(pool)).entries
      return (await count('channel')) === 0
    })
    expect(entries).toBe(60)
    expect(await count('entry')).toBe(0)
    expect(await count('producer')).toBe(0)
  })

  test('purges by itself while it is used, and several at once do not disturb each other', async () => {
    const logs = [1, 2, 3, 4].map(() => logOf({ maxAgeMs: 200, purgeIntervalMs: 20 }))
    let number = 0
    const started = performance.now()
    while (performance.now() - started < 1500) {
      await Promise.all(
        logs.map((log, i) => log.append(`c${i % 2}-${number % 7}`, [{ data: '1' }])),
      )
      number += 1
    }
    const kept = await count('entry')
    expect(number).toBeGreaterThan(50)
    expect(kept).toBeLessThan(number * logs.length)
    // Also what was appended last, though the logs are not used any more.
    await until(async () => (await count('entry')) === 0)
  })

  test('purges what arrived long after it was given, though the log is not used any more', async () => {
    const log = logOf({ maxAgeMs: 200, purgeIntervalMs: 20 })
    await log.append('a', [{ data: '1' }])
    const holder = await pool.connect()
    await holder.query(`BEGIN; SELECT FROM headwater.channel WHERE name = 'a' FOR UPDATE`)
    const appending = log.append('a', [{ data: '2' }])
    await new Promise((resolve) => setTimeout(resolve, 1000))
    await holder.query('COMMIT')
    holder.release()
    await appending
    await until(async () => (await count('entry')) === 0)
  })

  test('deletes many rows in pieces', async () => {
    const log = logOf({ maxAgeMs: 60_000, maxEvents: 100_000 })
    for (let n = 0; n < 10; n++) {
      await log.append(
        'a',
        Array.from({ length: 2500 }, () => ({ data: '1' })),
      )
    }
    await pool.query(
      `UPDATE headwater.entry SET at = at - interval '1 hour' WHERE seq <= 24000;
       UPDATE headwater.channel SET purge_at = now()`,
    )
    const pieces: number[] = []
    for (;;) {
      const { rows } = await pool.query('SELECT * FROM headwater.purge()')
      if (rows[0].channels === 0) break
      pieces.push(Number(rows[0].entries))
    }
    expect(pieces).toEqual([10_000, 10_000, 4000])
    const { entries } = await log.read('a', 'earliest', { ...all, maxEvents: 5 })
    expect(entries[0]?.id).toMatch(/^24001-/)
  })

  test('keeps a channel that is followed, though nothing is appended for longer than its age', async () => {
    const log = logOf({ maxAgeMs: 300, purgeIntervalMs: 20 })
    const [appended] = await log.append('a', [{ data: '1' }])
    await log.follow('a', none)
    const started = performance.now()
    await until(async () => performance.now() - started > 1200 && (await count('entry')) === 0)
    const { rows } = await pool.query(
      `SELECT head_seq || '-' || head_nonce AS head FROM headwater.channel`,
    )
    expect(rows).toEqual([{ head: appended?.id }])
  })

  test('opens a closed channel anew once its age is over, purged or not', async () => {
    const log = logOf({ maxAgeMs: 100 })
    await log.append('a', [{ data: '1' }])
    await log.closeChannel('a')
    await until(() =>
      log.append('a', [{ data: '2' }]).then(
        () => true,
        () => false,
      ),
    )
    expect((await log.read('a', { last: 1 }, all)).entries.map(({ data }) => data)).toEqual(['2'])
  })

  test('counts from the server alone: a clock that goes back keeps the order', async () => {
    const log = logOf()
    await log.append('a', [{ data: '1' }])
    await pool.query(`UPDATE headwater.channel SET head_at = head_at + interval '1 minute'`)
    await log.append('a', [{ data: '2' }])
    const { rows } = await pool.query(
      "SELECT max(at) > now() + interval '50 s' AS ok FROM headwater.entry",
    )
    expect(rows).toEqual([{ ok: true }])
  })

  test('changes the rows of channels in place', async () => {
    await pool.query('SELECT pg_stat_reset()')
    const log = logOf()
    for (let n = 0; n < 500; n++) await log.append('hot', [{ data: '1' }])
    let stats: { updates: number; hot: number } = { updates: 0, hot: 0 }
    await until(async () => {
      const { rows } = await pool.query(
        `SELECT n_tup_upd::int AS updates, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'channel' AND schemaname = 'headwater'`,
      )
      stats = rows[0]
      return stats.updates >= 500
    })
    // None, if an append changed anything that is in an index; not all, while something else looks at the table.
    expect(stats.hot / stats.updates).toBeGreaterThan(0.5)
  })

  test.each([
    [{ pool: '' }, /pool is ""; give a Pool of pg, or a URL/],
    [{ pool: 'postgres://user:secret@' }, /pool is "postgres:\/\/…"/],
    [{ pool: 7 }, /pool is 7/],
    [{ pool: undefined }, /pool is undefined/],
    [{ listenPool: {} }, /listenPool is an object/],
    [{ schema: 'A' }, /schema is "A"; give a name of small letters/],
    [{ maxEvents: 0 }, /maxEvents is 0/],
    [{ purgeIntervalMs: -1 }, /purgeIntervalMs is -1/],
    [{ onHealth: 'warn' }, /onHealth is "warn"; give a function/],
    [{ maxevents: 5 }, /no option "maxevents"; it has pool, listenPool/],
  ])('refuses %j', (options, message) => {
    const make = () => postgresEventLog({ pool: pool as PostgresPool, ...(options as object) })
    expect(make).toThrow(message)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }))
  })
})
