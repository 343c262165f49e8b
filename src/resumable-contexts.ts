import { EventStreamError, quote } from './core/errors.js'
import { checkFunction, checkNames, checkWhole } from './core/options.js'
import { reporter } from './error-reporter.js'
import { intakeOf } from './log/intake.js'
import type { PostgresPool } from './log/postgres/pool.js'
import { postgresEventLog } from './log/postgres/postgres-event-log.js'
import { isRedisClient, type RedisClient } from './log/redis/connect.js'
import { redisEventLog } from './log/redis/redis-event-log.js'
import { parseRedisUrl } from './log/redis/url.js'
import {
  type ContextHost,
  createContext,
  type ResumableStreamContext,
  type WaitUntil,
} from './resumable/context.js'
import type { Publisher, Subscriber } from './resumable/generic/clients.js'
import { minimalStreamLog } from './resumable/generic/minimal-log.js'
import { ownClient } from './resumable/generic/own-client.js'
import { volatileStreamLog } from './resumable/generic/volatile-log.js'
import { resolveStreamsOptions, type StreamsOptions, streamsNames } from './resumable/options.js'

/** What all contexts have. */
interface ContextOptions extends Omit<StreamsOptions, 'maxAgeMs'> {
  /** Keeps a serverless function alive until a promise has settled; null where nothing has to. */
  readonly waitUntil: WaitUntil
  /**
   * What is put before the names of streams, so that applications can share a store.
   * @defaultValue 'resumable-stream'
   */
  readonly keyPrefix?: string | undefined
  /**
   * Seconds that a stream is kept after its end.
   * @defaultValue 86_400
   */
  readonly retentionSeconds?: number | undefined
  /**
   * Whether a stream that has ended is given as well, from its beginning, where `resumable-stream` gives null.
   * @defaultValue false
   */
  readonly serveEnded?: boolean | undefined
  /**
   * Gets what went wrong where no caller waits for it: sources that fail, a store that is away.
   * @defaultValue process.emitWarning
   */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Options of {@link createResumableStreamContext}. */
export interface CreateResumableStreamContextOptions extends ContextOptions {
  /**
   * A client of `redis` or `ioredis`, or any object with `connect`, `publish`, `set`, `get` and `incr`.
   * @defaultValue a client of its own, for `REDIS_URL` or `KV_URL`
   */
  readonly publisher?: Publisher | RedisClient | undefined
  /**
   * As the publisher, with `connect`, `subscribe` and `unsubscribe`. Of a publisher that is a client of `redis` or
   * `ioredis` and `durable`, none is needed.
   */
  readonly subscriber?: Subscriber | RedisClient | undefined
  /**
   * Whether what a source gives is kept in the store. Otherwise it stays in its process, until somebody asks:
   * fewer commands, and what a process had is gone with it.
   * @defaultValue true
   */
  readonly durable?: boolean | undefined
}

/** Options of {@link createPostgresResumableStreamContext}. */
export interface CreatePostgresResumableStreamContextOptions extends ContextOptions {
  /** A `Pool` of `pg`, or a URL. Its tables are made by `npx headwater postgres setup`. */
  readonly pool: PostgresPool | string
  /**
   * Where the connection that listens comes from.
   * @defaultValue pool
   */
  readonly listenerPool?: PostgresPool | string | undefined
  /**
   * The schema of the tables.
   * @defaultValue 'headwater'
   */
  readonly schema?: string | undefined
}

const contextNames = [
  'waitUntil',
  'keyPrefix',
  'retentionSeconds',
  'serveEnded',
  'onError',
  ...streamsNames,
]

/**
 * The context of `resumable-stream`, in Redis.
 *
 * @throws EventStreamError `ERR_OPTION` when an option cannot work, or there is neither a publisher nor a URL.
 */
export function createResumableStreamContext(
  options: CreateResumableStreamContextOptions,
): ResumableStreamContext {
  const own = ['publisher', 'subscriber', 'durable']
  checkNames('createResumableStreamContext', options, [...contextNames, ...own], 'publisher')
  return contextOf(options, (prefix, maxAgeMs) => redisStore(options, prefix, maxAgeMs))
}

/**
 * The same, where nothing is made that was not given.
 *
 * @throws EventStreamError `ERR_OPTION`, also when publisher or subscriber is missing.
 */
export function createGenericResumableStreamContext(
  options: CreateResumableStreamContextOptions,
): ResumableStreamContext {
  for (const name of ['publisher', 'subscriber'] as const) {
    if (Object(options)[name] === undefined) throw missing(name)
  }
  return createResumableStreamContext(options)
}

/**
 * The context of `resumable-stream`, in Postgres.
 *
 * @throws EventStreamError `ERR_OPTION` when an option cannot work.
 */
export function createPostgresResumableStreamContext(
  options: CreatePostgresResumableStreamContextOptions,
): ResumableStreamContext {
  const own = ['pool', 'listenerPool', 'schema']
  checkNames('createPostgresResumableStreamContext', options, [...contextNames, ...own], 'pool')
  const { pool, listenerPool, schema } = options
  return contextOf(options, () => ({
    log: postgresEventLog({ pool, listenPool: listenerPool, schema }),
  }))
}

function contextOf(
  options: ContextOptions,
  storeOf: (prefix: string, maxAgeMs: number) => ContextStore,
): ResumableStreamContext {
  const {
    waitUntil = null,
    keyPrefix = 'resumable-stream',
    retentionSeconds = 86_400,
    serveEnded = false,
    onError = warn,
  } = options
  if (waitUntil !== null) checkFunction('waitUntil', waitUntil)
  checkFunction('onError', onError)
  checkWhole('retentionSeconds', retentionSeconds, 1, 2_000_000)
  if (typeof keyPrefix !== 'string' || keyPrefix === '') {
    throw new EventStreamError('ERR_OPTION', `keyPrefix is ${quote(keyPrefix)}; give some text.`)
  }
  const maxAgeMs = retentionSeconds * 1000
  const given = Object.fromEntries(streamsNames.map((name) => [name, options[name]]))
  const streams = resolveStreamsOptions({ ...given, maxAgeMs })
  const store = storeOf(keyPrefix, maxAgeMs)
  const report = reporter(onError)
  // For as long as the log is there, which is the context's own.
  intakeOf(store.log)?.watch(report)
  const host = { ...store, options: streams, keyPrefix, waitUntil, serveEnded }
  return createContext({ ...host, onError: report })
}

type ContextStore = Pick<ContextHost, 'log' | 'nameOf'>

function redisStore(
  { publisher, subscriber, durable = true }: CreateResumableStreamContextOptions,
  prefix: string,
  maxAgeMs: number,
): ContextStore {
  if (durable && (publisher === undefined || isRedisClient(publisher))) {
    // Braces choose a cluster's slot.
    const safe = prefix.replace(/[{}]/g, (brace) => encodeURIComponent(brace))
    return { log: redisEventLog({ redis: publisher ?? urlOf(), prefix: safe }) }
  }
  const clients = {
    publisher: (publisher as Publisher | undefined) ?? ownClient(parseRedisUrl(urlOf()).url),
    subscriber: (subscriber as Subscriber | undefined) ?? ownClient(parseRedisUrl(urlOf()).url),
  }
  const make = durable ? minimalStreamLog : volatileStreamLog
  // Nothing else is there.
  return { log: make({ ...clients, prefix, maxAgeMs }), nameOf: (id) => id }
}

/** Where `resumable-stream` looks. */
function urlOf(): string {
  // One that is empty is not set.
  const url = process.env.REDIS_URL || process.env.KV_URL
  if (url) return url
  throw missing('publisher')
}

function missing(name: string): EventStreamError {
  return new EventStreamError(
    'ERR_OPTION',
    `There is no ${name}; give a client of redis or ioredis, or set REDIS_URL or KV_URL.`,
  )
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}
