import { EventStreamError } from '../../core/errors.js'
import { checkFunction, checkNames, checkWhole } from '../../core/options.js'
import type { LogHealth } from '../event-log.js'
import { maxOf, type PoolInUse, type PostgresPool, poolSource } from './pool.js'
import { checkSchema } from './schema.js'

/** Where a log is in Postgres, and its limits. Processes that share it give the same. */
export interface PostgresEventLogOptions {
  /**
   * A `Pool` of `pg`, which is used and never ended; the log takes half of its connections at most. Or a
   * URL, `postgres://user:password@host:5432/database`, for a small pool of the log's own.
   */
  readonly pool: string | PostgresPool
  /**
   * Where the connection comes from that is kept for `LISTEN`, where `pool` goes through a pooler that
   * gives connections to others after each transaction: one that goes to Postgres directly.
   * @defaultValue pool
   */
  readonly listenPool?: string | PostgresPool | undefined
  /**
   * The schema that its tables are in, so that applications can share a database.
   * @defaultValue 'headwater'
   */
  readonly schema?: string | undefined
  /**
   * Entries kept per channel.
   * @defaultValue 1000
   */
  readonly maxEvents?: number | undefined
  /**
   * Bytes of payload kept per channel, in UTF-8.
   * @defaultValue 4_194_304
   */
  readonly maxBytes?: number | undefined
  /**
   * Milliseconds an entry is kept. Nothing is left of a channel that nobody follows, reads or
   * appends to for this long, once it was purged.
   * @defaultValue 300_000
   */
  readonly maxAgeMs?: number | undefined
  /**
   * Milliseconds that an append or a read waits for Postgres, also while it is away.
   * @defaultValue 5000
   */
  readonly timeoutMs?: number | undefined
  /**
   * Appends and reads that may wait for Postgres at once. Those above it fail at once.
   * @defaultValue 10_000
   */
  readonly maxPending?: number | undefined
  /**
   * Bytes that appends which wait for Postgres may take in memory. An append above it fails at once.
   * @defaultValue 67_108_864
   */
  readonly maxPendingBytes?: number | undefined
  /**
   * Milliseconds after which an entry is noticed at the latest whose notification was lost. Each process
   * asks for the heads of all channels that it follows, by one query, so often at least.
   * @defaultValue 10_000
   */
  readonly pollIntervalMs?: number | undefined
  /**
   * Milliseconds between two times that this process deletes what is past its age, while it uses the log;
   * 0 for never.
   * @defaultValue 60_000
   */
  readonly purgeIntervalMs?: number | undefined
  /**
   * Called when Postgres is out of reach, and when it is back.
   * @defaultValue process.emitWarning, one line each
   */
  readonly onHealth?: ((health: LogHealth) => void) | undefined
}

type Given = Omit<PostgresEventLogOptions, 'pool' | 'listenPool'>

export type ResolvedPostgresOptions = {
  readonly [name in keyof Given]-?: NonNullable<Given[name]>
} & {
  readonly pool: () => Promise<PoolInUse>
  readonly listenPool: (() => Promise<PoolInUse>) | undefined
}

/** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
export function resolvePostgresOptions(options: PostgresEventLogOptions): ResolvedPostgresOptions {
  const {
    pool,
    listenPool,
    schema = 'headwater',
    maxEvents = 1000,
    maxBytes = 4_194_304,
    maxAgeMs = 300_000,
    timeoutMs = 5000,
    maxPending = 10_000,
    maxPendingBytes = 67_108_864,
    pollIntervalMs = 10_000,
    purgeIntervalMs = 60_000,
    onHealth = warn,
  } = Object(options) as PostgresEventLogOptions
  const waiting = { maxPending, maxPendingBytes }
  const numbers = { maxEvents, maxBytes, maxAgeMs, timeoutMs, ...waiting, pollIntervalMs }
  checkNames(
    'postgresEventLog',
    options,
    ['pool', 'listenPool', 'schema', ...Object.keys(numbers), 'purgeIntervalMs', 'onHealth'],
    'pool',
  )
  const most = 2 ** 31 - 1
  for (const [name, value] of Object.entries(numbers)) checkWhole(name, value, 1, most)
  if (listenPool === undefined && maxOf(pool) === 1) {
    throw new EventStreamError(
      'ERR_OPTION',
      'pool has one connection, and one is kept to listen: give it 2 or more, or a listenPool.',
    )
  }
  checkWhole('purgeIntervalMs', purgeIntervalMs, 0, most)
  checkFunction('onHealth', onHealth)
  return {
    pool: poolSource('pool', pool),
    listenPool: listenPool === undefined ? undefined : poolSource('listenPool', listenPool),
    schema: checkSchema(schema),
    ...numbers,
    purgeIntervalMs,
    onHealth,
  }
}

function warn({ state, error }: LogHealth): void {
  process.emitWarning(
    state === 'up'
      ? 'The event log in Postgres is back.'
      : `The event log in Postgres is out of reach: ${error?.message ?? 'connection lost'}. ` +
          'Streams stay open, and go on when it is back.',
    'EventStreamWarning',
  )
}
