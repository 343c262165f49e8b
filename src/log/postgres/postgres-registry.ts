import { randomUUID } from 'node:crypto'
import { quote } from '../../core/errors.js'
import type { StreamEnd } from '../../core/stream-end.js'
import type { Intake } from '../intake.js'
import type {
  NewRecord,
  RecordQuery,
  RecordState,
  RegistryCounts,
  RegistryRecord,
  RegistryStore,
  Take,
} from '../registry-store.js'
import { parseText, storeText } from './format.js'
import { lockMs, type Task } from './link.js'
import type { Row } from './statements.js'

/** What the registry needs of the log. */
export interface RegistryHost {
  run(task: Task): Promise<readonly Row[]>
  /** Something is kept for so many milliseconds after it was last heard of. */
  keeps(ms: number): void
  readonly intake: Intake
}

/** The registry in Postgres. Whatever is lost on its way is sent again: rows say what was done by which call. */
export class PostgresRegistry implements RegistryStore {
  readonly #schema: string
  readonly #host: RegistryHost

  constructor(schema: string, host: RegistryHost) {
    this.#schema = schema
    this.#host = host
  }

  async register(records: readonly NewRecord[]): Promise<readonly boolean[]> {
    if (records.length === 0) return []
    const columns = [
      records.map(() => randomUUID()),
      records.map(({ id }) => storeText(id)),
      records.map(({ kind }) => kind),
      records.map(({ type }) => storeText(type)),
      records.map(({ user }) => (user === undefined ? null : storeText(user))),
      records.map(({ metadata }) => storeText(metadata)),
      records.map(({ lifetimeMs }) => interval(lifetimeMs)),
      records.map(({ pauseMs }) => interval(pauseMs)),
      records.map(({ replaces }) => replaces),
    ]
    this.#host.keeps(2 * Math.max(...records.map(({ lifetimeMs }) => lifetimeMs)))
    const rows = await this.#write(
      `The registration of ${countOf(records)}`,
      'SELECT i FROM {schema}.register($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) AS i',
      columns,
    )
    const registered = new Set(rows.map(({ i }) => Number(i) - 1))
    return records.map((_record, i) => registered.has(i))
  }

  async heartbeat(ids: readonly string[]): Promise<readonly boolean[]> {
    if (ids.length === 0) return []
    const stored = ids.map(storeText)
    const text = 'SELECT id FROM {schema}.heartbeat($1, $2) AS id'
    const rows = await this.#write(`The heartbeat of ${countOf(ids)}`, text, [stored])
    const heard = new Set(rows.map(({ id }) => id))
    return stored.map((id) => heard.has(id))
  }

  async remove(ids: readonly string[]): Promise<readonly boolean[]> {
    if (ids.length === 0) return []
    const stored = ids.map(storeText)
    const text = 'SELECT id FROM {schema}.remove($1, $2) AS id'
    const rows = await this.#write(`The removal of ${countOf(ids)}`, text, [stored])
    const removed = new Set(rows.map(({ id }) => id))
    // An id that comes twice is there once.
    return stored.map((id) => removed.delete(id))
  }

  async get(id: string): Promise<RegistryRecord | undefined> {
    const text = 'SELECT * FROM {schema}.record_of($1)'
    const [row] = await this.#read(`The look at the record ${quote(id)}`, text, [storeText(id)])
    return row && this.#records([row])[0]
  }

  async list(query: RecordQuery): Promise<readonly RegistryRecord[]> {
    const rows =
      'user' in query
        ? await this.#read(
            `The list of the records of ${quote(query.user)}`,
            'SELECT * FROM {schema}.records_of($1, $2)',
            [storeText(query.user), query.limit],
          )
        : await this.#read(
            'The list of silent records',
            'SELECT * FROM {schema}.silent_records($1, $2)',
            [interval(query.silentMs), query.limit],
          )
    return this.#records(rows)
  }

  async count(silentMs: number): Promise<RegistryCounts> {
    const text = 'SELECT * FROM {schema}.count_records($1)'
    const [row] = await this.#read('The count of records', text, [interval(silentMs)])
    return {
      active: Number(row?.active),
      silent: Number(row?.silent),
      completed: Number(row?.completed),
      failed: Number(row?.failed),
      aborted: Number(row?.aborted),
      orphaned: Number(row?.orphaned),
      longestSilenceMs: numberOf(row?.longest),
    }
  }

  async end(id: string, state: StreamEnd): Promise<boolean | undefined> {
    const [row] = await this.#write(
      `The end of the record ${quote(id)}`,
      'SELECT {schema}.end_record($1, $2, $3, $4) AS ended',
      [randomUUID(), storeText(id), state],
    )
    return (row?.ended as boolean | null) ?? undefined
  }

  async take({ silentMs, holder, holdMs, limit }: Take): Promise<readonly RegistryRecord[]> {
    const rows = await this.#run('The taking of silent records', true, {
      text: 'SELECT * FROM {schema}.take_records($1, $2, $3, $4)',
      values: () => [interval(silentMs), holder, interval(holdMs), limit],
    })
    return this.#records(rows)
  }

  async settle(id: string, holder: string): Promise<boolean> {
    const text = 'SELECT {schema}.settle_record($1, $2, $3) AS settled'
    const values = [storeText(id), holder]
    const [row] = await this.#write(`The settling of the record ${quote(id)}`, text, values)
    return row?.settled as boolean
  }

  #records(rows: readonly Row[]): readonly RegistryRecord[] {
    const records = rows.map(parseRecord).filter((record) => record !== undefined)
    if (records.length < rows.length) {
      this.#host.intake.drop('A record of the registry', 'it is left out')
    }
    return records
  }

  /** @param values - Follow the milliseconds that a lock may be waited for. */
  #write(what: string, text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#run(what, true, { text, values: (waitMs) => [waitMs, ...values] })
  }

  #read(what: string, text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#run(what, false, { text, values: () => [...values] })
  }

  #run(
    what: string,
    writes: boolean,
    { text, values }: { readonly text: string; values(waitMs: number): unknown[] },
  ): Promise<readonly Row[]> {
    return this.#host.run({
      what,
      writes,
      isRepeatable: true,
      text: text.replaceAll('{schema}', this.#schema),
      values: (_attempt, leftMs) => values(lockMs(leftMs)),
    })
  }
}

function countOf({ length }: readonly unknown[]): string {
  return length === 1 ? 'one record' : `${length} records`
}

function interval(ms: number): string {
  return `${ms} milliseconds`
}

function numberOf(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value)
}

/** @returns undefined for one that was registered by nobody. */
function parseRecord(row: Row): RegistryRecord | undefined {
  const [id, type, metadata] = [parseText(row.id), parseText(row.type), parseText(row.metadata)]
  const user = row.owner === null ? undefined : parseText(row.owner)
  const isWhole = id !== undefined && type !== undefined && metadata !== undefined
  if (!isWhole || (user === undefined) !== (row.owner === null)) return undefined
  return {
    id,
    kind: row.kind as RegistryRecord['kind'],
    type,
    user,
    metadata,
    startedAt: Number(row.started),
    lastHeartbeat: Number(row.heard),
    state: row.state as RecordState,
    endedAt: numberOf(row.ended),
  }
}
