import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { postgresEventLog, setUpPostgres } from '../../src/postgres.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { hostileTexts } from '../support/hostile-values.js'
import { PostgresServer } from '../support/postgres-server.js'
import type { SseClient } from '../support/sse-client.js'
import { StoreApp } from '../support/store-app-process.js'
import { until } from '../support/until.js'

const page = { maxEvents: 100, maxLength: 100_000 }

describeWithPostgres('rows of others in Postgres', () => {
  let server: PostgresServer
  let pool: pg.Pool
  let log: ReturnType<typeof postgresEventLog>
  let app: StoreApp
  let tests = 0
  let channel = ''

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    pool = new pg.Pool({ connectionString: server.url })
    log = postgresEventLog({ pool: server.url })
    app = await StoreApp.start('pg', server.url)
  })

  beforeEach(() => {
    tests += 1
    channel = `a${tests}`
  })

  afterAll(async () => {
    app.kill()
    await log.close()
    await pool.end()
    await server.stop()
  })

  const publish = async (...numbers: number[]) => {
    for (const n of numbers) await log.append(channel, [{ data: String(n) }])
  }

  const kindsOf = ({ control }: SseClient) => control.map(({ event }) => event)

  /** Something else adds a row behind the last one, and says so or not. */
  async function insert(row: {
    seq?: string
    nonce?: string
    escaped?: boolean
    event?: string | null
    data: string
  }) {
    const { seq = 'c.head_seq + 1', nonce = '77', escaped = false, event = null, data } = row
    await pool.query(
      `INSERT INTO headwater.entry (channel, seq, nonce, prev_nonce, at, start, escaped, event, data)
       SELECT c.id, ${seq}, ${nonce}, c.head_nonce, now(), c.bytes, $2, $3, $4 FROM headwater.channel c WHERE c.name = $1`,
      [channel, escaped, event, data],
    )
  }

  async function moveHead() {
    await pool.query(
      'UPDATE headwater.channel SET head_seq = head_seq + 1, head_nonce = 77 WHERE name = $1',
      [channel],
    )
    const head = '(SELECT head_seq FROM headwater.channel WHERE name = $1)'
    await pool.query(`SELECT pg_notify('headwater', $1 || ':' || ${head})`, [channel])
  }

  test.each([1, 1000])(
    'of producers that are ahead by %i make one append fail aloud, and no other one',
    async (batches) => {
      await publish(1)
      await pool.query('UPDATE headwater.producer SET batch = batch + $1', [batches])
      await expect(publish(2)).rejects.toMatchObject({
        code: 'ERR_LOG_REFUSED',
        message: expect.stringMatching(/headwater\.producer\. Nothing was done; try again/),
      })
      await publish(3)
      const { entries } = await log.read(channel, 'earliest', { maxEvents: 9, maxLength: 999 })
      expect(entries.map(({ data }) => data)).toEqual(['1', '3'])
    },
  )

  test.each([
    ['no JSON', { escaped: true, data: '{bad' }],
    ['no text', { escaped: true, data: '[1]' }],
    ['a name that is no text', { escaped: true, event: 'null', data: '"a"' }],
    ['a name that no stream can hold', { event: 'a\rb', data: '1' }],
    ['the name of an end', { event: 'stream-end', data: '{"state":"completed"}' }],
    ['the name of a reset', { event: 'stream-reset', data: '{"channels":["b"]}' }],
    ['the name of a failure', { event: 'stream-error', data: '{}' }],
    ['the name of an opening', { event: 'stream-open', data: '{}' }],
  ])('in the place of ours, with %s, are told of, and end nothing', async (_name, row) => {
    const live = await app.follow(channel)
    await publish(1)
    await live.received(1)
    await insert(row)
    await moveHead()
    await publish(3)
    await live.received(2)
    const late = await app.follow(channel, live.control[0]?.id)
    await late.received(2)
    for (const client of [live, late]) {
      expect(client.data).toEqual([1, 3])
      expect(kindsOf(client)).toEqual(['stream-open', 'stream-reset'])
      expect(client.control[1]).toMatchObject({
        id: '2-77',
        data: JSON.stringify({ channels: [channel], reason: 'invalid' }),
      })
      expect(client.ended).toBe(false)
    }
    await app.expectWell()
    expect(app.errors.filter(({ message }) => message.includes(`"${channel}"`))).toHaveLength(1)
  })

  test.each([
    ['the next place', {}],
    ['a place further on', { seq: 'c.head_seq + 5' }],
    ['the looks of an end', { nonce: '0' }],
    ['a nonce that no id of ours has', { nonce: '4294967295' }],
  ])('behind the last one, at %s, are left out, and appends go on', async (_name, row) => {
    const live = await app.follow(channel)
    await publish(1)
    await live.received(1)
    await insert({ data: '"foreign"', ...row })
    await pool.query(`SELECT pg_notify('headwater', '*')`)
    await publish(2, 3)
    await live.received(3)
    const opening = live.control[0]?.id
    const { entries, gap } = await log.read(channel, String(opening), page)
    expect([entries.map(({ data }) => data), gap]).toEqual([['1', '2', '3'], undefined])
    await publish(4, 5, 6, 7)
    await live.received(7)
    expect([live.data, kindsOf(live)]).toEqual([[1, 2, 3, 4, 5, 6, 7], ['stream-open']])
    await app.expectWell()
  })

  test('that are missing are told of at their place, and what is behind them is had', async () => {
    const [first] = await log.append(channel, [{ data: '1' }])
    const ids = await log.append(
      channel,
      ['2', '3', '4', '5'].map((data) => ({ data })),
    )
    const drop = (seq: number) =>
      pool.query(
        'DELETE FROM headwater.entry e USING headwater.channel c WHERE e.channel = c.id AND c.name = $1 AND e.seq = $2',
        [channel, seq],
      )
    await drop(3)
    const client = await app.follow(channel, first?.id)
    await client.received(3)
    expect([client.data, kindsOf(client)]).toEqual([
      [2, 4, 5],
      ['stream-open', 'stream-reset'],
    ])
    expect(client.control[1]?.id).toBe(ids[1]?.id)
    // A channel in use serves what it has read before it was dropped.
    await app.leave(channel, client)
    await drop(5)
    const late = await app.follow(channel, ids[2]?.id)
    await publish(6)
    await late.received(1)
    expect([late.data, kindsOf(late), late.control[1]?.id]).toEqual([
      [6],
      ['stream-open', 'stream-reset'],
      ids.at(-1)?.id,
    ])
  })

  test('and notifications of others neither end the process nor take anything from anybody', async () => {
    const [attacked, other] = [await app.follow(channel), await app.follow(`${channel}b`)]
    const texts = hostileTexts.filter((text) => !text.includes('\0') && text.length < 8000)
    const more = [
      ':',
      ': :',
      `${channel}:x`,
      `${channel}:-5`,
      `${channel}:-1`,
      `${channel}:9007199254740991`,
    ]
    const all = [...texts, ...more].map((text) => text.toWellFormed())
    for (const [n, text] of all.entries()) {
      await pool.query('SELECT pg_notify($1, $2)', ['headwater', text])
      for (const name of [channel, `${channel}b`]) await log.append(name, [{ data: String(n) }])
    }
    const numbers = all.map((_text, n) => n)
    await until(() => app.hasEnded || other.data.length + attacked.data.length >= 2 * all.length)
    expect([other.data, attacked.data]).toEqual([numbers, numbers])
    expect([kindsOf(attacked), kindsOf(other)]).toEqual([['stream-open'], ['stream-open']])
    await app.expectWell()
  })
})
