import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import pg from 'pg'
import type { StoredEvent } from '../../src/index.js'
import { setUpPostgres } from '../../src/postgres.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { damaged, hostileText } from '../support/hostile-values.js'
import { PostgresServer } from '../support/postgres-server.js'
import { openDriverLog } from '../support/store-app.js'
import { unlessRefused } from '../support/unless-refused.js'
import { until } from '../support/until.js'

const page = { maxEvents: 100, maxLength: 100_000 }
const limits = { maxEvents: 100, maxBytes: 100_000, maxAgeMs: 60_000 }

const text = fc
  .oneof(hostileText, damaged('"1"'))
  .map((it) => it.toWellFormed().replaceAll('\0', ''))

const number = fc.constantFrom(0, 1, 2, 5, -1, 4294967295, 2 ** 53 - 1)

const change = fc.oneof(
  fc.record({ table: fc.constant('entry'), column: fc.constantFrom('data', 'event'), value: text }),
  fc.record({ table: fc.constant('entry'), column: fc.constant('escaped'), value: fc.boolean() }),
  fc.record({
    table: fc.constant('entry'),
    column: fc.constantFrom('seq', 'nonce', 'prev_nonce', 'start'),
    value: number,
  }),
  fc.record({
    table: fc.constant('channel'),
    column: fc.constantFrom(
      'head_seq',
      'head_nonce',
      'bytes',
      'first_seq',
      'first_start',
      'kept_seq',
      'kept_start',
      'origin_seq',
      'origin_nonce',
    ),
    value: number,
  }),
  fc.record({
    table: fc.constant('channel'),
    column: fc.constant('lease_token'),
    value: fc.constantFrom('t', null),
  }),
)

describeWithPostgres('what others write into the rows of a channel', () => {
  let server: PostgresServer
  let pool: pg.Pool
  let log: ReturnType<typeof openDriverLog>

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    pool = new pg.Pool({ connectionString: server.url })
    log = openDriverLog('pg', server.url, { maxBytes: 2000, pollIntervalMs: 200 })
  })

  afterAll(async () => {
    await pool.end()
    await log.close()
    await server.stop()
  })

  test('costs the channel no more than what it had', async () => {
    let runs = 0
    const changes = fc.array(fc.tuple(change, fc.integer({ min: 0, max: 3 })), {
      minLength: 1,
      maxLength: 3,
    })
    const property = fc.asyncProperty(changes, fc.boolean(), async (all, isStream) => {
      runs += 1
      const name = `a${runs}`
      if (isStream) await log.claim(name, { token: 't', leaseMs: 60_000, limits })
      else
        await log.append(
          name,
          ['1', '2', '3'].map((data) => ({ data })),
        )
      const [before] = await log.heads([name])
      const live: StoredEvent[] = []
      let isSuspected = false
      const leave = await log.follow(name, {
        append: (entries) => void live.push(...entries),
        suspect: () => {
          isSuspected = true
        },
      })
      for (const [{ table, column, value }, seq] of all) {
        const key = table === 'entry' ? 'channel' : 'id'
        const which = table === 'entry' ? `AND t.seq = ${seq}` : ''
        const sql = `UPDATE headwater.${table} t SET ${column} = $1 FROM headwater.channel c
          WHERE t.${key} = c.id AND c.name = $2 ${which}`
        // What the tables themselves refuse is not there.
        await pool.query(sql, [value, name]).catch(() => undefined)
      }
      const looks = [
        log.read(name, String(before), page),
        log.read(name, 'earliest', page),
        log.read(name, { last: 2 }, page),
        log.heads([name]),
        log.inspect(name),
        log.renew([{ channel: name, token: 't', leaseMs: 60_000 }]),
        log.claim(name, { token: 'other', leaseMs: 60_000, limits }),
      ]
      for (const look of looks) await unlessRefused<unknown>(look)
      const [head] = await log.heads([name])
      const appended = await unlessRefused(log.append(name, [{ data: '4' }, { data: '5' }]))
      // A stream takes nothing, nor a channel that is at the last of all numbers.
      if (appended !== undefined) {
        const { entries, gap } = await log.read(name, String(head), page)
        // What is behind a head that was never there is told by a gap.
        const added = gap === undefined ? ['4', '5'] : ['5']
        expect(entries.slice(-added.length).map(({ data }) => data)).toEqual(added)
        if (gap === undefined) expect(entries).toHaveLength(2)
        const last = appended[1]?.id
        await until(() => isSuspected || live.at(-1)?.id === last)
      }
      leave()
    })
    await fc.assert(property, { numRuns: 200 })
  })
})
