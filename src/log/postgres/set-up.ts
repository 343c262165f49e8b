import { EventStreamError } from '../../core/errors.js'
import { checkNames } from '../../core/options.js'
import { ask } from './answers.js'
import { messageOf, refused, sqlStateOf } from './failure.js'
import { type Migration, migrations } from './migrations.js'
import { type PostgresClient, type PostgresPool, poolSource } from './pool.js'
import {
  checkSchema,
  checkServer,
  greeting,
  migrationSql,
  migrationTable,
  purgeText,
  tooNew,
} from './schema.js'

/** Where a log is in a database. */
export interface PostgresSchemaOptions {
  /**
   * The schema that its tables are in.
   * @defaultValue 'headwater'
   */
  readonly schema?: string | undefined
}

/** Versions of a schema: 0 when there was none. */
export interface SetUp {
  readonly from: number
  readonly to: number
}

/**
 * Makes the schema of an event log, or brings it up to date. May be called by several processes at
 * once, and again: what is there already is left alone.
 *
 * @param pool - A `Pool` of `pg`, or a URL. Its user may create schemas, or tables in the schema.
 * @throws EventStreamError `ERR_OPTION`; `ERR_LOG_REFUSED` when Postgres does not let it, or the schema is newer than
 *   this package; `ERR_LOG_UNAVAILABLE` when there is no connection.
 */
export function setUpPostgres(
  pool: string | PostgresPool,
  options: PostgresSchemaOptions = {},
): Promise<SetUp> {
  return migrate(pool, schemaOf('setUpPostgres', options), migrations)
}

function schemaOf(owner: string, options: PostgresSchemaOptions): string {
  checkNames(owner, options, ['schema'])
  return checkSchema(options.schema ?? 'headwater')
}

export async function migrate(
  pool: string | PostgresPool,
  schema: string,
  wanted: readonly Migration[],
): Promise<SetUp> {
  const what = `The set-up of the schema ${schema}`
  return withClient(pool, schema, what, async (client) => {
    await ask(client, 'BEGIN')
    try {
      const setUp = await applyMigrations(client, schema, wanted)
      await ask(client, 'COMMIT')
      return setUp
    } catch (error) {
      // Where the connection is gone, so is what it has begun.
      await ask(client, 'ROLLBACK').catch(() => undefined)
      throw error
    }
  })
}

async function applyMigrations(
  client: PostgresClient,
  schema: string,
  wanted: readonly Migration[],
): Promise<SetUp> {
  checkServer((await ask(client, greeting))[0])
  const lock = 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))'
  await ask(client, lock, [`headwater set-up of ${schema}`])
  const exists = 'SELECT to_regnamespace($1) IS NOT NULL AS exists'
  const [found] = await ask(client, exists, [schema])
  // To create it, even where it exists, takes a right that not everybody has who may create tables in it.
  if (!found?.exists) await ask(client, `CREATE SCHEMA ${schema}`)
  await ask(client, migrationTable(schema))
  const current = `SELECT coalesce(max(version), 0) AS version FROM ${schema}.migration`
  const from = Number((await ask(client, current))[0]?.version)
  const last = Math.max(...wanted.map(({ version }) => version))
  if (from > last) throw tooNew(schema, from)
  for (const migration of wanted) {
    if (migration.version <= from) continue
    await ask(client, migrationSql(migration, schema))
    const insert = `INSERT INTO ${schema}.migration (version) VALUES ($1)`
    await ask(client, insert, [migration.version])
  }
  return { from, to: last }
}

/** What a purge has deleted. */
export interface Purged {
  /** Channels that were looked at. */
  readonly channels: number
  /** Entries that were deleted. */
  readonly entries: number
  /** Records of streams and connections that were looked at. */
  readonly records: number
}

/**
 * Deletes entries past their age, channels that nobody has used for theirs, and records that are forgotten, as
 * logs do by themselves now and then: for those who would rather have it done at a time of their choice.
 *
 * @throws EventStreamError `ERR_OPTION`, `ERR_LOG_REFUSED` or `ERR_LOG_UNAVAILABLE`.
 */
export function purgePostgres(
  pool: string | PostgresPool,
  options: PostgresSchemaOptions = {},
): Promise<Purged> {
  const schema = schemaOf('purgePostgres', options)
  return withClient(pool, schema, `The purge of the schema ${schema}`, async (client) => {
    const total = { channels: 0, entries: 0, records: 0 }
    for (;;) {
      const [row] = await ask(client, purgeText(schema))
      const [channels, records] = [Number(row?.channels), Number(row?.records)]
      total.channels += channels
      total.entries += Number(row?.entries)
      total.records += records
      if (channels + records === 0) return total
    }
  })
}

/** Does something over one connection, and says in our terms why not. */
async function withClient<Result>(
  given: string | PostgresPool,
  schema: string,
  what: string,
  body: (client: PostgresClient) => Promise<Result>,
): Promise<Result> {
  const { pool, end } = await poolSource('pool', given)()
  // An idle connection that breaks would end the process.
  const ignore = () => undefined
  pool.on('error', ignore)
  try {
    const client = await pool.connect()
    client.on('error', ignore)
    try {
      const result = await body(client)
      client.release()
      return result
    } catch (error) {
      client.release(true)
      throw error
    } finally {
      client.removeListener('error', ignore)
    }
  } catch (error) {
    if (error instanceof EventStreamError) throw error
    if (sqlStateOf(error) !== undefined) throw refused(what, schema, error)
    throw new EventStreamError(
      'ERR_LOG_UNAVAILABLE',
      `${what} failed: ${messageOf(error)}. Check the URL, and that Postgres runs there.`,
      { cause: error },
    )
  } finally {
    await end()
    pool.removeListener('error', ignore)
  }
}
