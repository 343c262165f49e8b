import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { Client, Pool } from 'pg'
import type { EventLog, LogListener, StoredEvent } from '../../../src/index.js'
import {
  type PostgresEventLogOptions,
  postgresEventLog,
  setUpPostgres,
} from '../../../src/postgres.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { spawnTypeScript } from '../../support/spawn-typescript.js'
import { until } from '../../support/until.js'

const all = { maxEvents: 100_000, maxLength: 100_000_000 }

/** Keeps what it is told, and reads from the log what it may have missed, as any listener does. */
class Reader implements LogListener {
  readonly seen: StoredEvent[] = []
  suspected = 0
  /** How often what came was not what comes next. */
  breaks = 0

  append(entries: readonly StoredEvent[]): void {
    for (const entry of entries) {
      const last = this.seen.at(-1)
      if (last !== undefined && entry.prevId !== last.id) this.breaks += 1
      this.seen.push(entry)
    }
  }

  /** With a head, it is told where the log is, and misses nothing. */
  suspect(head?: string): void {
    if (head === undefined) this.suspected += 1
  }
}

/** What a pooler does that gives a connection to others after each transaction: it forgets the session. */
class PooledClient extends Client {
  // biome-ignore lint/suspicious/noExplicitAny: the overloads of pg are of no interest here.
  override query(...args: any[]): any {
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    const run = (...given: any[]) => (super.query as any)(...given)
    return run(...args).finally(() => run('DISCARD ALL').catch(() => undefined))
  }
}

describeWithPostgres('postgresEventLog, following,', () => {
  let server: PostgresServer
  const logs: EventLog[] = []
  const pools: Pool[] = []

  function logOf(options: Partial<PostgresEventLogOptions> = {}) {
    const log = postgresEventLog({ pool: server.url, onHealth: () => undefined, ...options })
    logs.push(log)
    return log
  }

  function poolOf(options: object): Pool {
    const pool = new Pool(options)
    pools.push(pool)
    return pool
  }

  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { log_statement: 'all' } })
    await setUpPostgres(server.url)
  })

  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close()
    for (const pool of pools.splice(0)) await pool.end()
  })

  afterAll(() => server.stop())

  const statements = (pattern: RegExp) => server.output.match(pattern)?.length ?? 0

  test('tells what other processes append, in one order, whoever appends', async () => {
    const script = `
      import { postgresEventLog } from '../../src/postgres.js'
      const [, , url, name] = process.argv
      const logs = [1, 2, 3, 4].map(() => postgresEventLog({ pool: url }))
      Promise.all(logs.map(async (log, i) => {
        for (let n = 0; n < 150; n++) await log.append('crowd', [{ data: JSON.stringify([name + i, n]) }])
      })).then(async () => {
        for (const log of logs) await log.close()
        console.log('done')
      })`
    const log = logOf()
    const reader = new Reader()
    await log.follow('crowd', reader)
    const writers = ['a', 'b'].map((name) => spawnTypeScript(script, 'writer', server.url, name))
    const ended = writers.map((writer) => once(writer, 'exit'))
    await until(() => reader.seen.length === 1200, 30_000)
    await Promise.all(ended)
    const { entries } = await log.read('crowd', 'earliest', all)
    expect([reader.breaks, reader.suspected]).toEqual([0, 0])
    // The log keeps the last thousand.
    expect(reader.seen.slice(-entries.length)).toEqual(entries)
    expect(reader.seen.map(({ id }) => Number(id.split('-')[0]))).toEqual(
      Array.from({ length: 1200 }, (_, i) => i + 1),
    )
    const next = new Map<string, number>()
    for (const { data } of reader.seen) {
      const [writer, n] = JSON.parse(data) as [string, number]
      expect(n).toBe(next.get(writer) ?? 0)
      next.set(writer, n + 1)
    }
    expect(next.size).toBe(8)
  })

  test('loses nothing when its connection for notifications is ended, again and again', async () => {
    const log = logOf({ pollIntervalMs: 60_000 })
    const reader = new Reader()
    await log.follow('ended', reader)
    const writer = logOf()
    for (let n = 0; n < 60; n++) {
      await writer.append('ended', [{ data: String(n) }])
      if (n % 10 === 5) await server.terminate("query LIKE '%pg_notify%' OR query LIKE 'LISTEN%'")
    }
    await until(() => reader.seen.length === 60)
    expect(reader.seen.map(({ data }) => data)).toEqual(
      Array.from({ length: 60 }, (_, n) => String(n)),
    )
    expect(reader.breaks).toBe(0)
  })

  test('loses nothing when the server is started anew', async () => {
    const log = logOf({ pollIntervalMs: 60_000, timeoutMs: 20_000 })
    const reader = new Reader()
    await log.follow('restart', reader)
    const writer = logOf({ timeoutMs: 20_000 })
    const appending = (async () => {
      for (let n = 0; n < 300; n++) await writer.append('restart', [{ data: String(n) }])
    })()
    await until(() => reader.seen.length > 20)
    await server.restart()
    await appending
    await until(() => reader.seen.length >= 300)
    expect(reader.seen.map(({ data }) => data)).toEqual(
      Array.from({ length: 300 }, (_, n) => String(n)),
    )
  })

  test('finds by looking what no notification told of', async () => {
    await server.query('CREATE DATABASE elsewhere')
    const elsewhere = server.url.replace(/postgres$/, 'elsewhere')
    const log = logOf({ listenPool: elsewhere, pollIntervalMs: 100 })
    const reader = new Reader()
    await log.follow('unheard', reader)
    const writer = logOf()
    for (let n = 0; n < 5; n++) {
      await writer.append('unheard', [{ data: String(n) }])
      await until(() => reader.seen.length === n + 1)
    }
    expect([reader.breaks, reader.suspected]).toEqual([0, 0])
  })

  test('says that notifications do not come through a pooler, and does without them', async () => {
    const pool = poolOf({ connectionString: server.url, Client: PooledClient })
    const log = logOf({ pool, pollIntervalMs: 100 })
    await expect(log.ready()).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/Notifications do not come .* Give listenPool a pool/),
    })
    const reader = new Reader()
    await log.follow('pooled', reader)
    await logOf().append('pooled', [{ data: '1' }])
    await until(() => reader.seen.length === 1)
    await logOf({ pool, listenPool: server.url }).ready()
  })

  test('asks for all heads by one query, however many channels are followed', async () => {
    const log = logOf({ pollIntervalMs: 400 })
    const none = new Reader()
    const follows = Array.from({ length: 1000 }, (_, i) => log.follow(`idle-${i}`, none))
    await Promise.all(follows)
    await until(() => statements(/headwater\.heads\(/g) > 1)
    const before = { all: statements(/LOG: {2}execute/g), heads: statements(/headwater\.heads\(/g) }
    const started = performance.now()
    await until(() => statements(/headwater\.heads\(/g) - before.heads >= 4)
    const intervals = (performance.now() - started) / 400
    const queries = statements(/LOG: {2}execute/g) - before.all
    expect(queries).toBe(4)
    expect(queries).toBeLessThanOrEqual(Math.ceil(intervals / 0.75))
  })

  test('reads what is new in many channels by few queries, and nothing that it appended itself', async () => {
    const [log, writer] = [logOf(), logOf()]
    const readers = Array.from({ length: 100 }, () => new Reader())
    await Promise.all(readers.map((reader, i) => log.follow(`many-${i}`, reader)))
    const before = statements(/headwater\.pages\(/g)
    await Promise.all(readers.map((_, i) => log.append(`many-${i}`, [{ data: 'own' }])))
    expect(statements(/headwater\.pages\(/g)).toBe(before)
    const batch = Array.from({ length: 5 }, () => ({ data: 'other' }))
    await Promise.all(readers.map((_, i) => writer.append(`many-${i}`, batch)))
    await until(() => readers.every(({ seen }) => seen.length === 6))
    expect(statements(/headwater\.pages\(/g) - before).toBeLessThan(60)
  })

  test('is told to look when the log was lost and written anew', async () => {
    const log = logOf({ pollIntervalMs: 100 })
    const [appended] = await log.append('anew', [{ data: '1' }, { data: '2' }])
    const reader = new Reader()
    await log.follow('anew', reader)
    await server.query("SELECT headwater.forget('anew')")
    const writer = logOf()
    await writer.append('anew', [{ data: '3' }])
    await until(() => reader.suspected > 0)
    expect((await log.read('anew', appended?.id as string, all)).gap).toBe('unknown')
    await writer.append('anew', [{ data: '4' }])
    await until(() => reader.seen.at(-1)?.data === '4')
    // The loss may have been noticed before anything was written anew.
    expect(['4', '3,4']).toContain(String(reader.seen.map(({ data }) => data)))
  })

  test('reads on page by page when there is more than a page', async () => {
    const [log, writer] = [logOf({ maxEvents: 5000 }), logOf({ maxEvents: 5000 })]
    const reader = new Reader()
    await log.follow('long', reader)
    const pad = 'x'.repeat(1000)
    await writer.append(
      'long',
      Array.from({ length: 1500 }, (_, n) => ({ data: `${n} ${pad}` })),
    )
    await until(() => reader.seen.length === 1500)
    expect([reader.breaks, reader.suspected]).toEqual([0, 0])
  })
})
