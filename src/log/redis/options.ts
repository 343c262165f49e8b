import { EventStreamError, quote } from '../../core/errors.js'
import { checkFunction, checkNames, checkWhole } from '../../core/options.js'
import type { LogHealth } from '../event-log.js'
import { type RedisClient, redisModel } from './connect.js'
import { type KeyPrefix, wholePrefix } from './format.js'
import type { RedisModel } from './model.js'

/** Where a log is in Redis, and its limits. Processes that share it give the same. */
export interface RedisEventLogOptions {
  /**
   * `redis://`, `rediss://`, or `redis+sentinel://host:port,host:port/master/db`, with user and password percent-encoded
   * or as they are; or a client of
   * `ioredis` (also for Sentinel, or a `Cluster`) or `redis` (also a cluster). A client is a model
   * of two connections that the log makes and closes by itself: it is neither used nor closed. Its `keyPrefix` and
   * database are the log's too, and its credentials are read anew for each connection.
   */
  readonly redis: string | RedisClient
  /**
   * Name of this log in the keys and pub/sub channels, which begin with `{<prefix>:`, after the client's `keyPrefix`.
   * So applications can share a Redis.
   * @defaultValue 'headwater'
   */
  readonly prefix?: string | undefined
  /**
   * Entries kept per channel; a few more may be.
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
   * appends to for this long.
   * @defaultValue 300_000
   */
  readonly maxAgeMs?: number | undefined
  /**
   * Milliseconds that an append or a read waits for Redis, also while it is away.
   * @defaultValue 5000
   */
  readonly timeoutMs?: number | undefined
  /**
   * Appends and reads that may wait for Redis at once. Those above it fail at once.
   * @defaultValue 10_000
   */
  readonly maxPending?: number | undefined
  /**
   * Bytes that appends which wait for Redis may take in memory. An append above it fails at once.
   * @defaultValue 67_108_864
   */
  readonly maxPendingBytes?: number | undefined
  /**
   * Milliseconds between two looks, on average, for what this process was not told of: entries whose
   * message was lost, and streams whose producer is gone. It makes one for all that it follows.
   * @defaultValue 10_000
   */
  readonly pollIntervalMs?: number | undefined
  /**
   * Replicas that must have an entry before any reader gets it, and before its append resolves, by `WAIT`. Not for a
   * cluster.
   * @defaultValue 0
   */
  readonly waitReplicas?: number | undefined
  /**
   * Called when Redis is out of reach, and when it is back.
   * @defaultValue process.emitWarning, one line each
   */
  readonly onHealth?: ((health: LogHealth) => void) | undefined
}

type Given = Omit<RedisEventLogOptions, 'redis' | 'prefix'>

export type ResolvedRedisOptions = {
  readonly [name in keyof Given]-?: NonNullable<Given[name]>
} & {
  readonly redis: RedisModel
  /** With that of the client. */
  readonly prefix: KeyPrefix
}

/** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
export function resolveRedisOptions(options: RedisEventLogOptions): ResolvedRedisOptions {
  const {
    redis,
    prefix = 'headwater',
    maxEvents = 1000,
    maxBytes = 4_194_304,
    maxAgeMs = 300_000,
    timeoutMs = 5000,
    maxPending = 10_000,
    maxPendingBytes = 67_108_864,
    pollIntervalMs = 10_000,
    waitReplicas = 0,
    onHealth = warn,
  } = Object(options) as RedisEventLogOptions
  const waiting = { maxPending, maxPendingBytes }
  const numbers = { maxEvents, maxBytes, maxAgeMs, timeoutMs, ...waiting, pollIntervalMs }
  checkNames(
    'redisEventLog',
    options,
    ['redis', 'prefix', ...Object.keys(numbers), 'waitReplicas', 'onHealth'],
    'redis',
  )
  for (const [name, value] of Object.entries(numbers)) checkWhole(name, value, 1, 2 ** 31 - 1)
  checkWhole('waitReplicas', waitReplicas, 0, 100)
  checkFunction('onHealth', onHealth)
  if (typeof prefix !== 'string' || !/^[\w.:/-]{1,100}$/.test(prefix)) {
    throw new EventStreamError(
      'ERR_OPTION',
      `prefix is ${quote(prefix)}; give 1 to 100 letters, digits or . : / _ -`,
    )
  }
  const model = redisModel(redis)
  return {
    redis: model,
    prefix: wholePrefix(model.keyPrefix, prefix, model.database),
    ...numbers,
    waitReplicas,
    onHealth,
  }
}

function warn({ state, error }: LogHealth): void {
  process.emitWarning(
    state === 'up'
      ? 'The event log in Redis is back.'
      : `The event log in Redis is out of reach: ${error?.message ?? 'connection lost'}. ` +
          'Streams stay open, and go on when it is back.',
    'EventStreamWarning',
  )
}
