import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { type Client, Pool, Client as PostgresClient } from 'pg'
import type { NewEntry } from '../../../src/index.js'
import { packEntries } from '../../../src/log/postgres/format.js'
import { postgresEventLog, setUpPostgres } from '../../../src/postgres.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

const all = { maxEvents: 100_000, maxLength: 100_000_000 }

interface Try {
  readonly batch: number
  readonly attempt?: number
  readonly nonces: readonly number[]
  readonly producer?: number
  readonly keys?: readonly (string | undefined)[]
  readonly maxEvents?: number
}

describeWithPostgres('the function append', () => {
  let server: PostgresServer
  let client: Client

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    client = new PostgresClient({ connectionString: server.url })
    await client.connect()
  })

  beforeEach(() => client.query('TRUNCATE headwater.channel, headwater.entry, headwater.producer'))

  afterAll(async () => {
    await client.end()
    await server.stop()
  })

  /** One try of one batch, as a producer makes it. */
  async function append(
    { batch, attempt = 1, nonces, producer = 1, keys = [], maxEvents = 1000 }: Try,
    by: Client = client,
  ): Promise<Record<string, unknown>> {
    const entries: NewEntry[] = nonces.map((n, i) => ({ data: String(n), idempotencyKey: keys[i] }))
    const { at, flags, payload } = packEntries(entries)
    const { rows } = await by.query(
      `SELECT * FROM headwater.append('a', 7, $1, $2, $3, 5000, $4, $5, $6, $7, $8, 1000000, '1 hour')`,
      [producer, batch, attempt, nonces, at, flags, payload, maxEvents],
    )
    return rows[0] as Record<string, unknown>
  }

  async function kept(): Promise<readonly unknown[]> {
    const { rows } = await client.query(
      `SELECT seq || '-' || nonce AS id, data FROM headwater.entry ORDER BY seq`,
    )
    return rows.map(({ id, data }) => `${id} ${data}`)
  }

  test('finds a batch that had arrived, with the nonces of the try that did', async () => {
    const first = await append({ batch: 1, nonces: [11, 12] })
    await append({ batch: 1, producer: 2, nonces: [13] })
    expect(first).toMatchObject({ status: 'appended', attempt: 1, first_seq: '1', prev_nonce: '7' })
    const found = await append({ batch: 1, attempt: 2, nonces: [21, 22] })
    expect(found).toEqual({ ...first, status: 'found' })
    expect(await kept()).toEqual(['1-11 11', '2-12 12', '3-13 13'])
  })

  test('appends once what arrives after it was sent again', async () => {
    await append({ batch: 1, attempt: 2, nonces: [21] })
    expect(await append({ batch: 1, attempt: 1, nonces: [11] })).toMatchObject({ attempt: 2 })
    expect(await kept()).toEqual(['1-21 21'])
  })

  test('refuses what its producer has given up, once a later batch is there', async () => {
    await append({ batch: 2, nonces: [12] })
    expect(await append({ batch: 1, nonces: [11] })).toMatchObject({ status: 'late' })
    expect(await kept()).toEqual(['1-12 12'])
  })

  test('finds a batch also when the channel was closed since, and appends nothing else', async () => {
    const first = await append({ batch: 1, nonces: [11] })
    await client.query(`SELECT headwater.close('a', 7, 5000, '1 hour')`)
    expect(await append({ batch: 1, attempt: 2, nonces: [21] })).toEqual({
      ...first,
      status: 'found',
    })
    expect(await append({ batch: 2, nonces: [12] })).toMatchObject({ status: 'closed' })
    expect(await append({ batch: 2, attempt: 2, nonces: [22] })).toMatchObject({ status: 'closed' })
  })

  test('finds a batch also when its entries were dropped since', async () => {
    const first = await append({ batch: 1, nonces: [11], maxEvents: 1 })
    for (let n = 1; n <= 300; n++) {
      await append({ batch: n, producer: 2, nonces: [1000 + n], maxEvents: 1 })
    }
    expect(await append({ batch: 1, attempt: 2, nonces: [21] })).toEqual({
      ...first,
      status: 'found',
    })
    expect(await kept()).not.toContain('1-11 11')
  })

  test('gives known keys again when the batch is sent again', async () => {
    await append({ batch: 1, nonces: [11], keys: ['k'] })
    const second = await append({ batch: 2, nonces: [12, 13, 14], keys: ['new', 'k', undefined] })
    expect(second).toMatchObject({ first_seq: '2', known: ['2 1-11 0-7'] })
    expect(await append({ batch: 2, attempt: 2, nonces: [22, 23, 24] })).toEqual({
      ...second,
      status: 'found',
    })
    expect(await kept()).toEqual(['1-11 11', '2-12 12', '3-14 14'])
  })

  test('appends once a try that is still running while it is sent again', async () => {
    await append({ batch: 1, nonces: [10] })
    const clients = [1, 2, 3].map(() => new PostgresClient({ connectionString: server.url }))
    for (const one of clients) await one.connect()
    const [holder, first, second] = clients as [Client, Client, Client]
    try {
      await holder.query(`BEGIN; SELECT FROM headwater.channel WHERE name = 'a' FOR UPDATE`)
      const tries = [
        append({ batch: 2, attempt: 1, nonces: [11] }, first),
        append({ batch: 2, attempt: 2, nonces: [21] }, second),
      ]
      await until(async () => (await server.connections("wait_event_type = 'Lock'")) === 2)
      await holder.query('COMMIT')
      const [a, b] = await Promise.all(tries)
      expect([a?.status, b?.status].sort()).toEqual(['appended', 'found'])
      expect({ ...a, status: '' }).toEqual({ ...b, status: '' })
      expect(await kept()).toHaveLength(2)
    } finally {
      for (const one of clients) await one.end()
    }
  })

  test('gives up a lock that somebody holds for too long', async () => {
    await append({ batch: 1, nonces: [10] })
    const holder = new PostgresClient({ connectionString: server.url })
    await holder.connect()
    const pool = new Pool({ connectionString: server.url })
    const log = postgresEventLog({ pool, timeoutMs: 300 })
    try {
      await log.ready()
      await holder.query(`BEGIN; SELECT FROM headwater.channel WHERE name = 'a' FOR UPDATE`)
      await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
        code: 'ERR_LOG_UNAVAILABLE',
      })
      await until(async () => (await server.connections("wait_event_type = 'Lock'")) === 0)
      await holder.query('COMMIT')
      expect(await kept()).toEqual(['1-10 10'])
      expect(await log.append('a', [{ data: '2' }])).toHaveLength(1)
    } finally {
      await holder.end()
      await log.close()
      await pool.end()
    }
  })
})

describeWithPostgres('postgresEventLog, whose connections break,', () => {
  let server: PostgresServer
  let proxy: TcpProxy

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
  })

  beforeEach(async () => {
    await server.query('TRUNCATE headwater.channel, headwater.entry, headwater.producer')
    proxy = await TcpProxy.start(server.url)
  })

  afterEach(() => proxy.close())

  afterAll(() => server.stop())

  /** What cuts a connection: in the proxy, or in the server in the middle of whatever it does. */
  const cuts: Record<string, () => Promise<unknown>> = {
    'by resets': async () => {
      proxy.cut()
      proxy.heal()
    },
    'by the server': () => server.terminate("query LIKE '%append(%'"),
  }

  test.each(Object.keys(cuts))(
    '%s at any moment, appends once, in order, and knows the ids',
    async (name) => {
      const cut = cuts[name] as () => Promise<unknown>
      const pool = new Pool({ connectionString: proxy.url, max: 8 })
      const log = postgresEventLog({
        pool,
        maxEvents: 100_000,
        timeoutMs: 20_000,
        onHealth: () => undefined,
      })
      const channels = ['a', 'b', 'c']
      const acknowledged = new Map<string, string[]>(channels.map((channel) => [channel, []]))
      let isOver = false
      const cutting = (async () => {
        // So many that a machine which is busy comes to an end as well.
        for (let n = 0; n < 300 && !isOver; n++) {
          await cut()
          await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 60))
        }
      })()
      const appending = Promise.all(
        channels.map(async (channel) => {
          const own = acknowledged.get(channel) as string[]
          for (let n = 0; n < 2500; ) {
            const count = 1 + Math.floor(Math.random() * 12)
            const entries = Array.from({ length: count }, (_, i) => ({
              data: `${channel}${n + i}`,
            }))
            n += count
            const halves = [entries.slice(0, count >> 1), entries.slice(count >> 1)]
            const given = await Promise.all(
              halves.filter(({ length }) => length > 0).map((half) => log.append(channel, half)),
            )
            for (const { id, duplicate } of given.flat()) own.push(`${id} ${duplicate}`)
          }
        }),
      )
      await appending.finally(async () => {
        isOver = true
        await cutting
        await log.close()
        await pool.end()
      })
      const reader = postgresEventLog({ pool: server.url, maxEvents: 100_000 })
      for (const channel of channels) {
        const { entries } = await reader.read(channel, 'earliest', all)
        expect(entries.map(({ data }) => data)).toEqual(
          entries.map((_entry, n) => `${channel}${n}`),
        )
        expect(entries.map(({ id }) => `${id} false`)).toEqual(acknowledged.get(channel))
        expect(entries.map(({ prevId }) => prevId).slice(1)).toEqual(
          entries.map(({ id }) => id).slice(0, -1),
        )
      }
      await reader.close()
    },
  )
})
