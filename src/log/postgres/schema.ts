import { EventStreamError, quote } from '../../core/errors.js'
import { rightsAdvice, setUpAdvice } from './failure.js'
import { type Migration, migrations, schemaVersion } from './migrations.js'

/** The oldest Postgres that is supported, as it numbers itself. */
const minVersion = 13

/** @throws EventStreamError `ERR_OPTION` unless it can be used as it is, without quotes. */
export function checkSchema(schema: unknown): string {
  if (typeof schema === 'string' && /^[a-z_][a-z0-9_]{0,62}$/.test(schema)) return schema
  throw new EventStreamError(
    'ERR_OPTION',
    `schema is ${quote(schema)}; give a name of small letters, digits and _, 63 at most.`,
  )
}

/** @returns Its text for one schema. */
export function migrationSql({ sql }: Migration, schema: string): string {
  return sql.replaceAll('{schema}', schema)
}

/** All that makes a new schema, for those who apply it by other means. */
export function schemaSql(schema: string): string {
  checkSchema(schema)
  const parts = migrations.map(
    (migration) =>
      `${migrationSql(migration, schema)}\nINSERT INTO ${schema}.migration (version) VALUES (${migration.version});\n`,
  )
  return `BEGIN;\n\nCREATE SCHEMA IF NOT EXISTS ${schema};\n${migrationTable(schema)};\n${parts.join('')}\nCOMMIT;\n`
}

export function migrationTable(schema: string): string {
  return `CREATE TABLE IF NOT EXISTS ${schema}.migration (
  version integer PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT now()
)`
}

/** What a log needs to know of a server before it begins. */
export const greeting = `SELECT current_setting('server_version') AS version,
  current_setting('server_version_num') AS number, current_setting('server_encoding') AS encoding`

/** @throws EventStreamError `ERR_LOG_REFUSED` when the log cannot be in this database. */
export function checkServer(row: Readonly<Record<string, unknown>> | undefined): void {
  if (Number(row?.number) < minVersion * 10_000) {
    throw new EventStreamError(
      'ERR_LOG_REFUSED',
      `This is Postgres ${row?.version}, and the event log needs ${minVersion} or later; upgrade it.`,
    )
  }
  if (row?.encoding !== 'UTF8') {
    throw new EventStreamError(
      'ERR_LOG_REFUSED',
      `This database is encoded as ${row?.encoding}; the event log needs one that is UTF8.`,
    )
  }
}

export function versionText(schema: string): string {
  return `SELECT max(version) AS version, row_security_active('${schema}.migration') AS hides FROM ${schema}.migration`
}

/** @throws EventStreamError `ERR_LOG_REFUSED` unless it is the version that this code works with. */
export function checkVersion(
  row: Readonly<Record<string, unknown>> | undefined,
  schema: string,
): void {
  const version = Number(row?.version ?? 0)
  if (version > schemaVersion) throw tooNew(schema, version)
  if (version === schemaVersion) return
  if (version === 0 && row?.hides === true) {
    throw new EventStreamError(
      'ERR_LOG_REFUSED',
      `Row level security hides the tables of the schema ${schema}. ${rightsAdvice(schema)}`,
    )
  }
  throw new EventStreamError(
    'ERR_LOG_REFUSED',
    `The schema ${schema} is of version ${version}, and the event log needs ${schemaVersion}. ${setUpAdvice(schema)}.`,
  )
}

export function tooNew(schema: string, version: number): EventStreamError {
  return new EventStreamError(
    'ERR_LOG_REFUSED',
    `The schema ${schema} is of version ${version}, and this headwater knows ${schemaVersion}; upgrade the package.`,
  )
}

/** Looks at some of the channels and records that are due; at none when none is. */
export function purgeText(schema: string): string {
  return `SELECT channels, entries, records FROM ${schema}.purge()`
}
