import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Client } from 'pg'
import { type EntryId, nonceOf, seqOf } from '../../../src/core/entry-id.js'
import { storedMark } from '../../../src/log/loss-marks.js'
import { setUpPostgres } from '../../../src/postgres.js'
import { describeWithPostgres } from '../../support/describe-with-postgres.js'
import { PostgresServer } from '../../support/postgres-server.js'
import { ReferenceStore } from '../../support/reference-store.js'

type Op =
  | { readonly do: 'append'; readonly count: number; readonly asks: number }
  | { readonly do: 'mark'; readonly which: number; readonly length: number }
  | { readonly do: 'save' | 'goBack' }

const ops = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('append'),
        count: fc.integer({ min: 1, max: 3 }),
        asks: fc.integer({ min: -1, max: 4 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('mark'),
        which: fc.nat(4),
        length: fc.integer({ min: 1, max: 8 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('save') }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('goBack') }) },
  ) as fc.Arbitrary<Op>,
  { minLength: 15, maxLength: 25, size: 'max' },
)

/** Entries that were the last ones at some time, and when, by the clocks of both. */
interface Known {
  readonly ids: readonly EntryId[]
  readonly inReference: number
  readonly inPostgres: unknown
}

/** How long ago, in milliseconds of the server. */
const age = (at: string) =>
  `round((extract(epoch FROM clock_timestamp())::numeric - ${at}::numeric) * 1000)::bigint`

/** One channel, in Postgres and as it must be. */
class Both {
  readonly reference = new ReferenceStore(1000)
  readonly known: Known[] = []
  marks = 0
  readonly #client: Client
  readonly #name: string
  #goBack: () => void = () => undefined
  #batch = 0

  constructor(client: Client, name: string) {
    this.#client = client
    this.#name = name
  }

  async begin(): Promise<void> {
    const origin = nonceOf(this.reference.head(this.#name))
    await this.#query(`SELECT headwater.heads(ARRAY[$1], ARRAY[${origin}::bigint], '1 hour')`)
    await this.save()
    await this.#learn()
  }

  async take(op: Op): Promise<void> {
    // So that no two things are at the same millisecond.
    await this.#client.query('SELECT pg_sleep(0.003)')
    if (op.do === 'append') await this.#append(op.count, this.known.at(-1 - op.asks), op.asks < 0)
    else if (op.do === 'mark') await this.#mark(this.#recent(op.which), op.length)
    else if (op.do === 'save') await this.save()
    else await this.#loseTail()
    await this.#learn()
  }

  async save(): Promise<void> {
    this.#goBack = this.reference.save()
    for (const [table, key] of [
      ['channel', 'id'],
      ['entry', 'channel'],
    ]) {
      await this.#client.query(`DROP TABLE IF EXISTS pg_temp.${table}`)
      await this.#client.query(
        `CREATE TEMP TABLE ${table} AS SELECT t.* FROM headwater.${table} t
         JOIN headwater.channel c ON t.${key} = c.id WHERE c.name = '${this.#name}'`,
      )
    }
  }

  /** What is there, but for times. */
  async inPostgres(): Promise<unknown> {
    const [channel] = await this.#query(
      `SELECT head_seq || '-' || head_nonce AS head, array_to_string(losses, E'\\n') AS losses
       FROM headwater.channel WHERE name = $1`,
    )
    const entries = await this.#query(
      `SELECT e.seq || '-' || e.nonce AS id, e.seq - 1 || '-' || prev_nonce AS prev, event, data
       FROM headwater.entry e JOIN headwater.channel c ON e.channel = c.id WHERE c.name = $1 ORDER BY seq`,
    )
    return {
      head: channel?.head,
      losses: untimed(channel?.losses ?? ''),
      entries: entries.map(({ id, prev, event, data }) => {
        return { id, prev, isMark: event === storedMark.event && data === storedMark.data }
      }),
    }
  }

  asItMustBe(): unknown {
    const { head, losses } = this.reference.read(this.#name, '999999-1', {
      maxEvents: 1,
      maxLength: 1,
    })
    const entries = this.reference.kept(this.#name).map(({ id, prevId, isLoss }) => {
      return { id, prev: prevId, isMark: isLoss === true }
    })
    return { head, losses: untimed(losses), entries }
  }

  #recent(which: number): Known {
    return this.known[Math.max(0, this.known.length - 1 - which)] as Known
  }

  async #append(count: number, asked: Known | undefined, isSilent: boolean): Promise<void> {
    const last = isSilent ? undefined : asked?.ids.at(-1)
    const since = (known: Known) => this.reference.now() - known.inReference
    const asks = last === undefined ? '' : `${last} ${since(asked as Known)}`
    const entries = Array.from({ length: count }, () => ({ data: 'x' }))
    const { appended, wasLost, told } = this.reference.append(this.#name, entries, asks)
    const mark = told.find(({ isLoss }) => isLoss)
    if (mark) this.marks += 1
    const nonces = appended.map(({ id }) => nonceOf(id))
    const at = Array.from({ length: count }, (_, i) => `${i},${i},${i}`)
    const must =
      last === undefined
        ? 'NULL'
        : `ARRAY[${seqOf(last)}, ${nonceOf(last)}, ${age(`'${asked?.inPostgres}'`)}]`
    this.#batch += 1
    const [row] = await this.#query(
      `SELECT * FROM headwater.append($1, ${mark ? nonceOf(mark.id) : 1}, 1, ${this.#batch}, 1, 5000,
        '{${nonces}}', '{${at},${count}}', '{${nonces.map(() => 0)}}', '${'x'.repeat(count)}', 1000, 1000000, '1 hour', ${must})`,
    )
    expect([row?.status, row?.lost === true]).toEqual(['appended', wasLost])
  }

  async #mark({ ids, inReference, inPostgres }: Known, length: number): Promise<void> {
    const some = ids.slice(-length)
    const first = seqOf(some[0] as EntryId)
    const nonces = some.map(nonceOf)
    const ageMs = () => this.reference.now() - inReference
    const { looked, told } = this.reference.mark({ channel: this.#name, first, nonces, ageMs })
    this.marks += told.length
    const own = told[0] === undefined ? 1 : nonceOf(told[0].id)
    const [row] = await this.#query(
      `SELECT * FROM headwater.mark($1, ${own}, 5000, ${first}, '{${nonces}}', ${age(`'${inPostgres}'`)})`,
    )
    expect(row?.fate === 'lost' ? { head: row.head } : row?.fate).toEqual(looked)
  }

  async #loseTail(): Promise<void> {
    this.#goBack()
    await this.#query(
      'DELETE FROM headwater.entry e USING headwater.channel c WHERE e.channel = c.id AND c.name = $1',
    )
    await this.#query('DELETE FROM headwater.channel WHERE name = $1')
    for (const table of ['channel', 'entry']) {
      await this.#client.query(
        `INSERT INTO headwater.${table} OVERRIDING SYSTEM VALUE SELECT * FROM pg_temp.${table}`,
      )
    }
  }

  /** What a process has that has read to the end now. */
  async #learn(): Promise<void> {
    const kept = this.reference.kept(this.#name).slice(-6)
    const ids = kept.length === 0 ? [this.reference.head(this.#name)] : kept.map(({ id }) => id)
    const inReference = this.reference.now()
    const text = 'SELECT extract(epoch FROM clock_timestamp())::text AS now FROM pg_sleep(0.003)'
    const { rows } = await this.#client.query(text)
    this.known.push({ ids, inReference, inPostgres: rows[0]?.now })
  }

  async #query(text: string): Promise<Record<string, unknown>[]> {
    return (await this.#client.query(text, text.includes('$1') ? [this.#name] : [])).rows
  }
}

function untimed(losses: unknown): string {
  return String(losses).replace(/^(\S+) \d+ /gm, '$1 ')
}

describeWithPostgres('the functions of Postgres for losses', () => {
  let server: PostgresServer
  let client: Client

  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
    client = new Client({ connectionString: server.url })
    await client.connect()
  })

  afterAll(async () => {
    await client.end()
    await server.stop()
  })

  test('do what the reference does, however often the channel goes back', async () => {
    let runs = 0
    let marks = 0
    await fc.assert(
      fc.asyncProperty(ops, async (all) => {
        runs += 1
        const both = new Both(client, `a${runs}`)
        await both.begin()
        for (const op of all) {
          await both.take(op)
          expect(await both.inPostgres()).toEqual(both.asItMustBe())
        }
        marks += both.marks
      }),
      { numRuns: 40, interruptAfterTimeLimit: 40_000 },
    )
    // The property says nothing unless enough was marked.
    expect(marks).toBeGreaterThan(runs / 2)
  })
})
