import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Pool } from 'pg'
import type { LogHealth, StoredEvent } from '../../../src/index.js'
import { postgresEventLog, setUpPostgres } from '../../../src/postgres.js'
import { countTimers } from '../../support/count-timers.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { freePort } from '../../support/free-port.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { spawnTypeScript } from '../../support/spawn-typescript.js'
import { outages, TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof postgresEventLog>

const page = { maxEvents: 10, maxLength: 1000 }
const none = { append: () => undefined, suspect: () => undefined }

describeWithPostgres('postgresEventLog, with a Postgres that is away,', () => {
  let server: PostgresServer
  let proxy: TcpProxy
  const open: Log[] = []
  const pools: Pool[] = []

  function logOf(options: object = {}): Log & { healths: LogHealth[] } {
    const healths: LogHealth[] = []
    const onHealth = (health: LogHealth) => healths.push(health)
    const log = postgresEventLog({ pool: proxy.url, onHealth, ...options })
    open.push(log)
    return Object.assign(log, { healths })
  }

  function poolOf(options: object): Pool {
    const pool = new Pool({ connectionString: proxy.url, ...options })
    pools.push(pool)
    return pool
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
    for (const log of open.splice(0)) await log.close()
    for (const pool of pools.splice(0)) await pool.end().catch(() => undefined)
    await proxy.close()
  })

  afterAll(() => server.stop())

  test('appends wait, and fail in time; then at once', async () => {
    const log = logOf({ timeoutMs: 1000 })
    await log.ready()
    proxy.cut()
    const started = performance.now()
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/^The append to "a" failed: .*try again/),
      status: 503,
    })
    const waited = performance.now() - started
    await until(() => log.health().state === 'down')
    const tryAgain = () => log.append('a', [{ data: '1' }]).catch((error: unknown) => String(error))
    await until(async () => /out of reach/.test(String(await tryAgain())))
    const again = performance.now()
    expect(await tryAgain()).toMatch(/out of reach .*Nothing was done: try again later/)
    expect(waited).toBeGreaterThan(900)
    expect(performance.now() - again).toBeLessThan(100)
    proxy.heal()
    await until(() => log.health().state === 'up')
    expect(await log.append('a', [{ data: '2' }])).toMatchObject([
      { id: expect.stringMatching(/^1-/) },
    ])
    // One line when it went, one when it came.
    expect(log.healths.map(({ state }) => state)).toEqual(['down', 'up'])
  })

  test('errors name what is wrong now, and not what an earlier outage was', async () => {
    const log = logOf({ timeoutMs: 400 })
    await log.ready()
    for (const [leave, back, other] of outages(/no answer|in time/)) {
      proxy[leave]()
      const failed = log.append('a', [{ data: '1' }]).catch((error) => error)
      const { cause } = (await failed) as Error
      expect(String(cause)).not.toMatch(other)
      await until(() => log.health().state === 'down')
      expect(log.health().error?.message ?? '').not.toMatch(other)
      const later = (await log.append('a', [{ data: '1' }]).catch((error) => error)) as Error
      expect(String(later.cause)).not.toMatch(other)
      proxy[back]()
      await until(() => log.health().state === 'up')
    }
  })

  test('one that is frozen is given up, and used again when it goes on, without a loss', async () => {
    const log = logOf({ timeoutMs: 300, pollIntervalMs: 60_000 })
    await log.ready()
    const seen: StoredEvent[] = []
    await log.follow('a', { ...none, append: (entries) => seen.push(...entries) })
    const other = logOf({ timeoutMs: 20_000 })
    await other.append('a', [{ data: '1' }])
    server.freeze()
    const late = other.append('a', [{ data: '2' }])
    await expect(log.append('b', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/did not answer in time.*try again with an idempotency key/),
    })
    await expect(log.read('a', 'earliest', page)).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/Nothing was done/),
    })
    await until(() => log.health().state === 'down')
    server.thaw()
    await late
    await until(() => seen.length === 2 && log.health().state === 'up')
    await log.append('a', [{ data: '3' }])
    await until(() => seen.length === 3)
    expect(seen.map(({ data }) => data)).toEqual(['1', '2', '3'])
    expect(log.healths.map(({ state }) => state)).toEqual(['down', 'up'])
  })

  test('one that was never there is told by ready(), and so is a wrong name', async () => {
    const absent = logOf({
      pool: `postgres://postgres@127.0.0.1:${await freePort()}/postgres`,
      timeoutMs: 500,
    })
    await expect(absent.ready()).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(
        /cannot connect to Postgres: .*ECONNREFUSED.*check the address/,
      ),
    })
    await expect(
      logOf({ pool: server.url.replace(/postgres$/, 'nowhere') }).ready(),
    ).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/"nowhere" does not exist.*Give the name of a database/),
    })
    await expect(
      logOf({ pool: server.url.replace('postgres@', 'nobody@') }).ready(),
    ).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/role "nobody" does not exist.*right user and password/),
    })
  })

  test('a pool whose connections are all taken fails in time, and is used when one is free', async () => {
    const pool = poolOf({ max: 2 })
    const log = logOf({ pool, timeoutMs: 300 })
    await log.append('a', [{ data: '1' }])
    const clients = [await pool.connect(), await pool.connect()]
    await expect(log.append('a', [{ data: '2' }])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/the pool had no connection in time.*Nothing was done/),
    })
    await expect(log.follow('a', none)).rejects.toMatchObject({ code: 'ERR_LOG_UNAVAILABLE' })
    for (const client of clients) client.release()
    await until(() => log.health().state === 'up')
    await log.append('a', [{ data: '3' }])
    const { entries } = await log.read('a', 'earliest', page)
    expect(entries.map(({ data }) => data)).toEqual(['1', '3'])
  })

  test('a pool of one connection is refused, unless another one listens', async () => {
    const pool = poolOf({ max: 1 })
    expect(() => postgresEventLog({ pool })).toThrow(/pool has one connection, and one is kept/)
    await logOf({ pool, listenPool: proxy.url }).ready()
  })

  test('a pool that was ended is told of at once', async () => {
    const pool = poolOf({})
    const log = logOf({ pool })
    await log.append('a', [{ data: '1' }])
    await pool.end()
    for (const call of [() => log.append('a', [{ data: '2' }]), () => log.heads(['a'])]) {
      await expect(call()).rejects.toMatchObject({
        code: 'ERR_LOG_UNAVAILABLE',
        message: expect.stringMatching(/pool of the event log was ended; close the log first/),
      })
    }
  })

  test('no more wait than may', async () => {
    const log = logOf({ maxPending: 2 })
    await log.ready()
    proxy.freeze()
    const waiting = [1, 2].map((n) => log.append('a', [{ data: String(n) }]))
    await expect(log.append('a', [{ data: '3' }])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/2 others wait already/),
    })
    proxy.thaw()
    await Promise.all(waiting)
  })

  test('no more bytes wait than may', async () => {
    const log = logOf({ maxPendingBytes: 1_000_000 })
    await log.ready()
    proxy.freeze()
    const entry = { data: 'x'.repeat(300_000) }
    const waiting = ['a', 'b', 'c'].map((channel) => log.append(channel, [entry]))
    await expect(log.append('d', [entry])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/900768 bytes wait already.*raise maxPendingBytes/),
    })
    proxy.thaw()
    await Promise.all(waiting)
    // What is larger than all that may wait is let in alone.
    await log.append('d', [{ data: 'x'.repeat(1_200_000) }])
  })

  test('what waits when the log is closed is refused, and close does not wait for an answer', async () => {
    const log = logOf()
    await log.ready()
    proxy.freeze()
    const waiting = expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_CLOSED',
    })
    const started = performance.now()
    await log.close()
    await waiting
    expect(performance.now() - started).toBeLessThan(3000)
  })

  test('the connections of a pool that break while nobody uses them harm nobody', async () => {
    const pool = poolOf({ max: 4 })
    const log = logOf({ pool })
    await Promise.all([1, 2, 3, 4].map((n) => log.append(`a${n}`, [{ data: '1' }])))
    const open = pool.totalCount
    let broken = 0
    pool.on('remove', () => {
      broken += 1
    })
    await server.terminate()
    await until(() => broken === open)
    expect(await log.append('a1', [{ data: '2' }])).toMatchObject([
      { id: expect.stringMatching(/^2-/) },
    ])
  })

  test('a process whose pool has no listener for errors outlives its Postgres', async () => {
    const script = `
      import { Pool } from 'pg'
      import { postgresEventLog } from '../../src/postgres.js'
      const pool = new Pool({ connectionString: process.argv[2] })
      const onHealth = ({ state }) => state === 'up' && finish()
      const log = postgresEventLog({ pool, onHealth })
      const seen = []
      log.follow('outlives', { append: (entries) => seen.push(...entries), suspect: () => undefined })
        .then(() => Promise.all([1, 2, 3].map((n) => log.append('outlives' + n, [{ data: '1' }]))))
        .then(() => console.log('ready'))
      async function finish() {
        await log.append('outlives', [{ data: '1' }])
        await log.close()
        await pool.end()
        console.log('seen ' + seen.length)
      }`
    const child = spawnTypeScript(script, 'process', server.url)
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
    })
    const ended = once(child, 'close')
    await until(() => text.includes('ready'))
    await server.kill()
    await server.restart()
    expect(await ended).toEqual([0, null])
    expect(text).toBe('ready\nseen 1\n')
  })

  test('nothing is left of a log that is closed, and a pool that was given goes on', async () => {
    const pool = poolOf({ connectionString: server.url, idleTimeoutMillis: 0 })
    await pool.query('SELECT 1')
    const timers = countTimers()
    for (const given of [pool, server.url]) {
      const log = postgresEventLog({ pool: given })
      await log.ready()
      await Promise.all([1, 2, 3].map((n) => log.follow(`a${n}`, none)))
      await Promise.all([1, 2, 3].map((n) => log.append(`a${n}`, [{ data: '1' }])))
      await log.close()
    }
    await timers.fallsTo(0)
    const left = timers.alive
    timers.stop()
    expect(left).toBe(0)
    expect(pool.listenerCount('error')).toBe(0)
    expect(pool.waitingCount).toBe(0)
    expect(pool.idleCount).toBe(pool.totalCount)
    expect((await pool.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }])
    await pool.end()
    await until(async () => (await server.connections()) === 0)
  })
})
