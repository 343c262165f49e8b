import { encodingAdvice, readConnectionUrl, withoutSecrets } from '../../core/connection-url.js'
import { EventStreamError, quote } from '../../core/errors.js'
import { exportsOf, unlessMissing } from '../../core/optional-package.js'

/** What is used of a client of `pg`. */
export interface PostgresClient {
  query(query: {
    readonly text: string
    readonly values?: unknown[]
    readonly types?: object
    readonly query_timeout?: number
  }): Promise<{ readonly rows: Record<string, unknown>[] }>
  /** Whether it asks for numbers as bytes. */
  readonly binary?: unknown
  readonly connectionParameters?: { readonly query_timeout?: unknown } | undefined
  /** With an error, the connection is closed. */
  release(error?: Error | boolean): void
  on(event: 'notification', listener: (message: PostgresNotification) => void): unknown
  on(event: 'error' | 'end', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

export interface PostgresNotification {
  readonly channel: string
  readonly payload?: string | undefined
}

/** What is used of a `Pool` of `pg`. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

/** A pool to be used, and whether it is to be ended after use. */
export interface PoolInUse {
  readonly pool: PostgresPool
  /** At most so many connections at once, so that the application has some too. */
  readonly maxConnections: number
  /** Ends it if it was made here. */
  end(): Promise<void>
}

/** Connections of a pool that is made here. */
const ownMax = 6

/** Of these, how many stay open when they are idle: a new one takes several round trips. */
const ownMin = 3

/**
 * Takes a pool, or for a URL makes one when it is wanted.
 *
 * @throws EventStreamError `ERR_OPTION` when it is neither.
 */
export function poolSource(name: string, given: string | PostgresPool): () => Promise<PoolInUse> {
  if (typeof given === 'string') {
    const url = /^postgres(?:ql)?:\/\//.test(given)
      ? readConnectionUrl(given, isDatabase)
      : undefined
    if (url !== undefined) return () => ownPool(url)
  } else if (isPool(given)) {
    const maxConnections = Math.max(1, Math.floor((maxOf(given) ?? 10) / 2))
    const inUse = { pool: given, maxConnections, end: async () => undefined }
    return async () => inUse
  }
  const shown = typeof given === 'string' ? withoutSecrets(given) : given
  throw new EventStreamError(
    'ERR_OPTION',
    `${name} is ${quote(shown)}; give a Pool of pg, or a URL such as postgres://user:password@127.0.0.1:5432/database. ` +
      encodingAdvice,
  )
}

function isDatabase(path: string): boolean {
  return /^(?:\/[^/@]*)?$/.test(path)
}

/** How many connections a pool makes at most, where it tells. */
export function maxOf(pool: unknown): number | undefined {
  const { max } = Object(Object(pool).options) as { max?: unknown }
  return Number(max) || undefined
}

function isPool(pool: unknown): boolean {
  const { connect, query, on } = Object(pool) as Record<string, unknown>
  const { release } = Object(pool) as Record<string, unknown>
  return [connect, query, on].every((it) => typeof it === 'function') && release === undefined
}

async function ownPool(connectionString: string): Promise<PoolInUse> {
  const { Pool } = await loadPg()
  const pool = new Pool({
    connectionString,
    max: ownMax,
    min: ownMin,
    application_name: 'headwater',
  })
  return {
    // Its typed overloads are wider than what is used here.
    pool: pool as unknown as PostgresPool,
    maxConnections: ownMax - 1,
    end: () => pool.end(),
  }
}

async function loadPg(): Promise<typeof import('pg')> {
  try {
    return exportsOf(await import('pg'), 'Pool')
  } catch (error) {
    unlessMissing('pg', error)
    throw new EventStreamError(
      'ERR_OPTION',
      'The event log needs a package to talk to Postgres, and pg is not installed; run: npm install pg',
    )
  }
}
