import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals'
import { Pool, type PoolClient } from 'pg'
import type { LogHealth } from '../../../src/index.js'
import { postgresEventLog, setUpPostgres } from '../../../src/postgres.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { FewConnections } from '../../support/few-connections.js'
import { PgBouncer } from '../../support/pgbouncer.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof postgresEventLog>

const none = { append: () => undefined, suspect: () => undefined }

describeWithPostgres('postgresEventLog, through a pooler,', () => {
  let server: PostgresServer
  const logs: Log[] = []
  const closers: (() => unknown)[] = []
  const warnings: unknown[] = []

  function logOf(options: object): Log & { healths: LogHealth[] } {
    const healths: LogHealth[] = []
    const onHealth = (health: LogHealth) => healths.push(health)
    const log = postgresEventLog({ pool: server.url, onHealth, ...options })
    logs.push(log)
    return Object.assign(log, { healths })
  }

  async function bouncerOf(mode: 'session' | 'transaction' | 'statement'): Promise<PgBouncer> {
    const bouncer = await PgBouncer.start(server, mode)
    closers.push(() => bouncer.stop())
    return bouncer
  }

  /** Its pool would have more connections than the server gives. */
  async function logWithFew(connections: number) {
    const few = await FewConnections.start(server, connections)
    closers.push(() => few.stop())
    const pool = new Pool({ connectionString: few.url, max: 20 })
    pool.on('error', () => undefined)
    closers.push(() => pool.end())
    const log = logOf({ pool, listenPool: server.url })
    await log.ready()
    return { few, pool, log }
  }

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
  })

  beforeEach(async () => {
    await server.query('TRUNCATE headwater.channel, headwater.entry, headwater.producer')
    warnings.length = 0
    jest.spyOn(process, 'emitWarning').mockImplementation((warning, options) => {
      if (Object(options).code === 'HEADWATER_POOLER') warnings.push(warning)
    })
  })

  afterEach(async () => {
    jest.restoreAllMocks()
    for (const log of logs.splice(0)) await log.close()
    for (const close of closers.splice(0).reverse()) await close()
  })

  afterAll(() => server.stop())

  test.each(['transaction', 'statement'] as const)(
    'ready() finds out that PgBouncer is in %s mode, and says what to do',
    async (mode) => {
      const { url } = await bouncerOf(mode)
      const deaf = {
        code: 'ERR_LOG_REFUSED',
        message: expect.stringMatching(/PgBouncer.*listenPool/s),
      }
      await expect(logOf({ pool: url }).ready()).rejects.toMatchObject(deaf)
      // It has been said.
      expect(warnings).toEqual([])
      const log = logOf({ pool: url, listenPool: server.url })
      await log.ready()
      const got: string[] = []
      await log.follow('a', { ...none, append: (all) => got.push(...all.map(({ data }) => data)) })
      await logOf({ pool: url, listenPool: server.url }).append('a', [{ data: '1' }])
      await until(() => got.length === 1)
    },
  )

  test('says once that PgBouncer is in transaction mode to those who do not ask, and looks often', async () => {
    const { url } = await bouncerOf('transaction')
    const log = logOf({ pool: url, pollIntervalMs: 60_000 })
    const got: string[] = []
    const take = {
      ...none,
      append: (all: readonly { data: string }[]) => got.push(...all.map(({ data }) => data)),
    }
    await log.follow('a', take)
    await log.follow('b', none)
    await until(() => warnings.length > 0)
    expect(warnings).toEqual([expect.stringMatching(/listenPool/)])
    const started = performance.now()
    await logOf({ pool: server.url }).append('a', [{ data: '1' }])
    await until(() => got.length === 1)
    expect(performance.now() - started).toBeLessThan(3000)
    await server.terminate()
    await log.append('a', [{ data: '2' }])
    await until(() => got.length === 2)
    expect(warnings).toHaveLength(1)
    expect(log.healths.filter(({ state }) => state === 'up').length).toBeLessThanOrEqual(1)
  })

  test('hears over PgBouncer in session mode', async () => {
    const { url } = await bouncerOf('session')
    const log = logOf({ pool: url, pollIntervalMs: 60_000 })
    await log.ready()
    const got: string[] = []
    await log.follow('a', { ...none, append: (all) => got.push(...all.map(({ data }) => data)) })
    await logOf({ pool: server.url }).append('a', [{ data: '1' }])
    await until(() => got.length === 1)
    expect(warnings).toEqual([])
  })

  test('a listenPool of another database is found out', async () => {
    await server.query('CREATE DATABASE elsewhere')
    const elsewhere = server.url.replace(/postgres$/, 'elsewhere')
    await expect(logOf({ listenPool: elsewhere }).ready()).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
    })
  })

  test('publishes with the connections that there are, where more are refused with XX000', async () => {
    const { few, log } = await logWithFew(3)
    const appends = Array.from({ length: 40 }, (_, i) => log.append(`c${i}`, [{ data: '1' }]))
    const results = await Promise.allSettled(appends)
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([])
    expect(few.refused).toBeGreaterThan(0)
    expect(log.healths).toEqual([])
  })

  test('waits for a connection where the application has all of them', async () => {
    const { few, pool, log } = await logWithFew(2)
    const own: PoolClient[] = []
    // The log may have one still.
    await until(async () => {
      const client = await pool.connect().catch(() => undefined)
      if (client !== undefined) own.push(client)
      return own.length === 2
    })
    const before = few.refused
    const appended = log.append('a', [{ data: '1' }])
    await until(() => few.refused > before)
    for (const client of own) client.release()
    expect(await appended).toMatchObject([{ id: expect.stringMatching(/^1-/) }])
  })
})
