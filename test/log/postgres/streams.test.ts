import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Client, type Pool } from 'pg'
import { formatEntryId, seqOf } from '../../../src/core/entry-id.js'
import { encodeEnding, endId, parseEnding } from '../../../src/core/stream-end.js'
import type { StoredEvent } from '../../../src/index.js'
import type { Claim, StreamInfo } from '../../../src/log/stream-log.js'
import {
  type PostgresEventLogOptions,
  postgresEventLog,
  purgePostgres,
  setUpPostgres,
} from '../../../src/postgres.js'
import { type CountedPool, countedPool } from '../../support/counted-pool.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof postgresEventLog>

const all = { maxEvents: 100_000, maxLength: 100_000_000 }
const none = { append: () => undefined, suspect: () => undefined }
const producer = {
  token: 'mine',
  leaseMs: 60_000,
  limits: { maxEvents: 100_000, maxBytes: 10_000_000, maxAgeMs: 60_000 },
}

/** The next entries behind one, as a producer makes them. */
function made(after: string, data: readonly string[]): StoredEvent[] {
  let prevId = after
  return data.map((text) => {
    const id = formatEntryId(seqOf(prevId) + 1, 1 + Math.floor(Math.random() * 2 ** 31))
    const entry = { id, prevId, event: undefined, data: text }
    prevId = id
    return entry
  })
}

describeWithPostgres('postgresEventLog, with streams,', () => {
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

  async function begin(log: Log, channel: string, own: Partial<Claim> = {}): Promise<StreamInfo> {
    return (await log.claim(channel, { ...producer, ...own })).info as StreamInfo
  }

  async function endOf(log: Log, channel: string) {
    const info = await log.inspect(channel)
    return info?.end && parseEnding(info.end)
  }

  async function count(table: string): Promise<number> {
    const [row] = await server.query(`SELECT count(*)::int AS n FROM headwater.${table}`)
    return row?.n as number
  }

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
  })

  beforeEach(async () => {
    await server.query('TRUNCATE headwater.channel, headwater.entry, headwater.producer')
    proxy = await TcpProxy.start(server.url)
  })

  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close()
    for (const pool of pools.splice(0)) await pool.end()
    await proxy.close()
  })

  afterAll(() => server.stop())

  test('appends once what is produced when the answer is lost', async () => {
    const log = logOf({ pool: proxy.url })
    const { origin } = await begin(log, 'a')
    const entries = made(origin, ['1', '2', '3'])
    const holder = new Client({ connectionString: server.url })
    await holder.connect()
    try {
      await holder.query(`BEGIN; SELECT FROM headwater.channel FOR UPDATE`)
      const produced = log.produce('a', { ...producer, entries })
      await until(async () => (await server.connections("wait_event_type = 'Lock'")) === 1)
      // What the server has taken in goes on there, and nobody hears of it.
      proxy.freeze()
      await holder.query('COMMIT')
      await until(async () => (await count('entry')) === 3)
      proxy.cut()
      proxy.heal()
      proxy.thaw()
      expect(await produced).toBe('appended')
    } finally {
      await holder.end()
    }
    expect((await log.read('a', origin, all)).entries).toEqual(entries)
  })

  test('says that what was produced may be there, and can be produced again as it is', async () => {
    const log = logOf({ pool: proxy.url, timeoutMs: 500 })
    const { origin } = await begin(log, 'a')
    const entries = made(origin, ['1'])
    proxy.freeze()
    await expect(log.produce('a', { ...producer, entries })).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(
        /^The append to the stream "a" failed: .* It may have been done all the same: try again\.$/,
      ),
    })
    proxy.thaw()
    await until(() => log.health().state === 'up')
    expect(await log.produce('a', { ...producer, entries })).toBe('appended')
    expect((await log.read('a', origin, all)).entries).toEqual(entries)
  })

  test('makes the one who claims the producer when the answer is lost', async () => {
    const log = logOf({ pool: proxy.url })
    await log.heads(['a'])
    const holder = new Client({ connectionString: server.url })
    await holder.connect()
    try {
      await holder.query(`BEGIN; SELECT FROM headwater.channel FOR UPDATE`)
      const claimed = log.claim('a', producer)
      await until(async () => (await server.connections("wait_event_type = 'Lock'")) === 1)
      proxy.freeze()
      await holder.query('COMMIT')
      await until(async () => (await logOf().inspect('a')) !== undefined)
      proxy.cut()
      proxy.heal()
      proxy.thaw()
      expect(await claimed).toEqual({ outcome: 'owned', info: await log.inspect('a') })
    } finally {
      await holder.end()
    }
  })

  test('loses and doubles nothing while the server is started anew', async () => {
    const log = logOf()
    const seen: StoredEvent[] = []
    await logOf().follow('a', { ...none, append: (entries) => seen.push(...entries) })
    const { origin } = await begin(log, 'a')
    const entries = made(
      origin,
      Array.from({ length: 1000 }, (_, n) => String(n)),
    )
    const producing = (async () => {
      for (let i = 0; i < 1000; i += 5) {
        const some = entries.slice(i, i + 5)
        expect(await log.produce('a', { ...producer, entries: some })).toBe('appended')
      }
      return log.endStream('a', encodeEnding({ state: 'completed' }))
    })()
    await until(() => seen.length > 50)
    await server.restart()
    const info = await producing
    expect((await log.read('a', origin, all)).entries).toEqual([...entries, info?.end])
    await until(() => seen.length >= 1001)
    expect(seen).toEqual([...entries, info?.end])
  })

  test('renews a hundred leases by one statement, which no locked stream holds up', async () => {
    const { pool, statements } = countStatements()
    const log = logOf({ pool })
    const leases = Array.from({ length: 100 }, (_, i) => ({
      channel: `c${i}`,
      token: 'mine',
      leaseMs: 3_600_000,
    }))
    await Promise.all(leases.map(({ channel }) => begin(log, channel)))
    const holder = new Client({ connectionString: server.url })
    await holder.connect()
    try {
      await holder.query(`BEGIN; SELECT FROM headwater.channel WHERE name = 'c7' FOR UPDATE`)
      statements.length = 0
      expect(await log.renew(leases)).toEqual(leases.map(() => true))
      expect(statements).toEqual([expect.stringContaining('.renew(')])
    } finally {
      await holder.end()
    }
    const [row] = await server.query(
      `SELECT count(*)::int AS n FROM headwater.channel WHERE lease_until > now() + interval '50 minutes'`,
    )
    expect(row?.n).toBe(99)
  })

  test('looks after a thousand streams that it follows by one query per interval', async () => {
    const { pool, statements } = countStatements()
    const log = logOf({ pool, pollIntervalMs: 300 })
    const names = Array.from({ length: 1000 }, (_, i) => `c${i}`)
    await Promise.all(names.map((name) => begin(log, name)))
    await Promise.all(names.map((name) => log.follow(name, none)))
    await until(() => statements.at(-1)?.includes('.heads(') ?? false)
    statements.length = 0
    const since = performance.now()
    await until(() => statements.length >= 4)
    expect(statements).toEqual(Array(4).fill(expect.stringContaining('.heads(')))
    expect(performance.now() - since).toBeGreaterThan(3 * 300 * 0.75 - 50)
  })

  test('ends all streams of a producer that is gone, each once, however many look', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `c${i}`)
    const log = logOf()
    await Promise.all(names.map((name) => begin(log, name)))
    const seen = new Map<string, number>()
    const followers = [1, 2, 3].map(() => logOf({ pollIntervalMs: 100 }))
    for (const [i, follower] of followers.entries()) {
      const append = (name: string) => (entries: readonly StoredEvent[]) =>
        void seen.set(`${i} ${name}`, (seen.get(`${i} ${name}`) ?? 0) + entries.length)
      await Promise.all(
        names.map((name) => follower.follow(name, { ...none, append: append(name) })),
      )
    }
    await server.query('UPDATE headwater.channel SET lease_until = now()')
    await until(() => seen.size === 150)
    await Promise.all(names.map((name) => log.inspect(name)))
    expect(new Set(seen.values())).toEqual(new Set([1]))
    expect(await count('entry')).toBe(50)
    expect(await endOf(log, 'c7')).toEqual({ state: 'orphaned' })
  })

  test('tells followers who would not look for long that somebody else has found the end', async () => {
    const log = logOf()
    const { origin } = await begin(log, 'a', { leaseMs: 300 })
    const seen: StoredEvent[] = []
    const follower = logOf({ pollIntervalMs: 60_000 })
    await follower.follow('a', { ...none, append: (entries) => seen.push(...entries) })
    await until(async () => (await endOf(log, 'a')) !== undefined)
    await until(() => seen.length > 0)
    expect(seen.map(({ id }) => id)).toEqual([endId(origin)])
  })

  test('ends a stream as orphaned for whoever appends to it or closes it', async () => {
    const log = logOf()
    for (const [name, look] of [
      ['a', () => log.append('a', [{ data: '1' }])],
      ['b', () => log.closeChannel('b')],
      ['c', () => log.produce('c', { ...producer, entries: made('0-1', ['1']) })],
      ['d', () => log.renew([{ channel: 'd', token: 'mine', leaseMs: 1000 }])],
      ['e', () => log.endStream('e', encodeEnding({ state: 'aborted' }))],
    ] as const) {
      await begin(log, name)
      await server.query('UPDATE headwater.channel SET lease_until = now() WHERE name = $1', [name])
      await look().catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'ERR_CHANNEL_CLOSED' })
      })
      const [row] = await server.query(
        'SELECT head_seq::int FROM headwater.channel WHERE name = $1',
        [name],
      )
      expect([name, row?.head_seq]).toEqual([name, 1])
      expect(await endOf(log, name)).toEqual({ state: 'orphaned' })
    }
  })

  test('purges a stream that has ended after its age, and none whose lease is renewed', async () => {
    const log = logOf()
    const limits = { ...producer.limits, maxAgeMs: 200 }
    for (const name of ['ended', 'renewed', 'left']) {
      const { origin } = await begin(log, name, { limits, leaseMs: 400 })
      const entries = made(origin, ['1', '2'])
      await log.produce(name, { ...producer, limits, leaseMs: 400, entries })
      if (name === 'renewed') await log.renew([{ channel: name, token: 'mine', leaseMs: 60_000 }])
    }
    await log.endStream('ended', encodeEnding({ state: 'completed' }))
    await until(async () => {
      await purgePostgres(server.url)
      return (await count('channel')) === 1
    })
    expect(await server.query('SELECT name FROM headwater.channel')).toEqual([{ name: 'renewed' }])
    expect(await count('entry')).toBe(2)
    expect((await log.read('renewed', 'earliest', all)).entries).toHaveLength(2)
  })

  test('opens the name of a stream past its age to other publishers', async () => {
    const log = logOf()
    const limits = { ...producer.limits, maxAgeMs: 50 }
    const { origin } = await begin(log, 'a', { limits })
    const info = await log.endStream('a', encodeEnding({ state: 'completed' }))
    expect(info?.head).toBe(endId(origin))
    await until(async () => (await log.inspect('a')) === undefined)
    const [appended] = await log.append('a', [{ data: '1' }])
    expect(seqOf(appended?.id as string)).toBe(1)
    expect(appended?.prevId).not.toBe(origin)
    expect((await log.read('a', info?.head as string, all)).gap).toBe('unknown')
  })

  test('keeps any text that is produced to the letter, and any end', async () => {
    const log = logOf()
    const { origin } = await begin(log, 'a')
    const texts = ['', '\0', 'a\0b', '😀', '\ud800', 'x\udc00y\ud83d', '"\\u0000"', '\\x00', 'NULL']
    const entries = made(
      origin,
      texts.flatMap((text) => [text, text]),
    ).map((entry, i) => (i % 2 === 0 ? entry : { ...entry, event: texts[i >> 1] }))
    expect(await log.produce('a', { ...producer, entries })).toBe('appended')
    expect((await log.read('a', origin, all)).entries).toEqual(entries)
    const ending = { event: 'stream-end', data: '\0 \ud800 😀' }
    const info = await log.endStream('a', ending)
    expect(info?.end).toMatchObject(ending)
    expect(await log.inspect('a')).toEqual(info)
    const last = { ...ending, id: info?.head as string, prevId: entries.at(-1)?.id as string }
    expect(await log.produce('a', { ...producer, entries: [last] })).toBe('appended')
    const other = { ...last, ...encodeEnding({ state: 'completed' }) }
    expect(await log.produce('a', { ...producer, entries: [other] })).toBe('ended')
  })

  test('loses nothing by a claim that was overtaken by what came after it', async () => {
    const log = logOf()
    const { origin } = await begin(log, 'a')
    const entries = made(origin, ['1', '2', '3'])
    await log.produce('a', { ...producer, entries })
    const from = { origin, head: entries[0]?.id as string }
    expect(await log.claim('a', { ...producer, from })).toMatchObject({ outcome: 'owned' })
    expect((await log.read('a', origin, all)).entries).toEqual(entries)
  })
})
