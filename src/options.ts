import { EventStreamError, quote } from './core/errors.js'
import { checkChoice, checkFunction, checkNames, checkWhole } from './core/options.js'
import type { EventLog } from './log/event-log.js'
import { memoryEventLog } from './log/memory.js'
import type { RedisClient } from './log/redis/connect.js'
import { redisEventLog } from './log/redis/redis-event-log.js'
import type { ConnectionKey } from './middleware/admission.js'

/**
 * A GRIP proxy's configuration. This version serves clients directly, which works through such a
 * proxy too; it refuses anything but null.
 */
export type GripSpec = null

/** Options of an {@link EventStream}. */
export interface EventStreamOptions {
  /**
   * Where events are kept for clients that come back. It is closed with the event stream only when
   * it was made by it.
   * @defaultValue memoryEventLog()
   */
  readonly log?: EventLog | undefined
  /**
   * Keeps events in Redis, for several processes: a URL, or a client of `ioredis` or `redis`. The
   * same as `log: redisEventLog({ redis })` of `headwater/redis`, which has more options.
   */
  readonly redis?: string | RedisClient | undefined
  /**
   * Milliseconds: no stream is silent for longer.
   * @defaultValue 15_000
   */
  readonly keepAliveMs?: number | undefined
  /**
   * What breaks the silence: a comment, which listeners never see, or an event named `keep-alive`
   * with empty data, as `@fanoutio/eventstream` sends it.
   * @defaultValue 'comment'
   */
  readonly keepAlive?: 'comment' | 'event' | undefined
  /**
   * Bytes that may wait in memory for one slow client. Past this it reads on from the log.
   * @defaultValue 1_048_576
   */
  readonly maxQueueBytes?: number | undefined
  /**
   * Milliseconds after which a client that takes none of what waits for it is closed.
   * @defaultValue 60_000
   */
  readonly stallTimeoutMs?: number | undefined
  /**
   * Bytes of one event's data.
   * @defaultValue 1_048_576
   */
  readonly maxEventBytes?: number | undefined
  /**
   * Channels of one connection. A request for more is answered 400.
   * @defaultValue 20
   */
  readonly maxChannelsPerConnection?: number | undefined
  /**
   * Connections of this process. A client above it is sent away and comes back later.
   * @defaultValue 50_000
   */
  readonly maxConnections?: number | undefined
  /** Who a request belongs to, such as its user or address, for `maxConnectionsPerKey`. */
  readonly connectionKey?: ConnectionKey | undefined
  /**
   * Connections of one key. A client above it is sent away and comes back later.
   * @defaultValue 20
   */
  readonly maxConnectionsPerKey?: number | undefined
  /**
   * How a client is answered while it cannot be served (over a limit, closing, the log away):
   * `'retry'`, an event stream that says when to come back and ends, since a browser's `EventSource`
   * never returns after an error; or `'reject'`, status 503 with `Retry-After`.
   * @defaultValue 'retry'
   */
  readonly whenUnavailable?: 'retry' | 'reject' | undefined
  /**
   * Gets what went wrong where no caller waits for it: the log, a callback that threw.
   * @defaultValue process.emitWarning
   */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Not supported by this version; null means no proxy. */
  readonly grip?: GripSpec | undefined
  /**
   * Put before channel names at the proxy; without a proxy it has no effect.
   * @defaultValue 'events-'
   */
  readonly gripPrefix?: string | undefined
}

/** Options with their defaults. */
export type ResolvedOptions = {
  readonly [name in Exclude<
    keyof EventStreamOptions,
    'connectionKey' | 'grip' | 'gripPrefix' | 'redis'
  >]-?: NonNullable<EventStreamOptions[name]>
} & Pick<EventStreamOptions, 'connectionKey'> & { readonly ownsLog: boolean }

/** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
export function resolveOptions(options: EventStreamOptions | null | undefined): ResolvedOptions {
  const given = options ?? {}
  const {
    log,
    redis,
    keepAliveMs = 15_000,
    keepAlive = 'comment',
    maxQueueBytes = 1_048_576,
    stallTimeoutMs = 60_000,
    maxEventBytes = 1_048_576,
    maxChannelsPerConnection = 20,
    maxConnections = 50_000,
    connectionKey,
    maxConnectionsPerKey = 20,
    whenUnavailable = 'retry',
    onError = warn,
    grip,
    gripPrefix = 'events-',
  } = given
  const numbers = {
    keepAliveMs,
    maxQueueBytes,
    stallTimeoutMs,
    maxEventBytes,
    maxChannelsPerConnection,
    maxConnections,
    maxConnectionsPerKey,
  }
  const choices = { keepAlive, whenUnavailable }
  const functions = { connectionKey, onError }
  checkNames('EventStream', given, [
    'log',
    'redis',
    ...Object.keys({ ...numbers, ...choices, ...functions }),
    'grip',
    'gripPrefix',
  ])
  // Node's timers turn a longer delay into one millisecond.
  for (const [name, value] of Object.entries(numbers)) checkWhole(name, value, 1, 2 ** 31 - 1)
  for (const [name, value] of Object.entries(functions)) checkFunction(name, value)
  checkChoice('keepAlive', keepAlive, ['comment', 'event'])
  checkChoice('whenUnavailable', whenUnavailable, ['retry', 'reject'])
  checkLog(log, redis)
  checkGrip(grip, gripPrefix)
  return {
    ...numbers,
    ...choices,
    ...functions,
    log: log ?? (redis === undefined ? memoryEventLog() : redisEventLog({ redis })),
    ownsLog: log === undefined,
  }
}

function checkLog(log: unknown, redis: unknown): void {
  if (log === undefined) return
  if (redis !== undefined) {
    throw new EventStreamError(
      'ERR_OPTION',
      'log and redis are both given; give one, such as log: redisEventLog({ redis, maxEvents: 5000 }).',
    )
  }
  const methods = ['append', 'read', 'heads', 'follow', 'close']
  if (methods.every((name) => typeof Object(log)[name] === 'function')) return
  throw new EventStreamError(
    'ERR_OPTION',
    `log is ${quote(log)}; give an EventLog such as memoryEventLog({ maxEvents: 1000 }).`,
  )
}

function checkGrip(grip: unknown, gripPrefix: unknown): void {
  if (grip !== undefined && grip !== null) {
    throw new EventStreamError(
      'ERR_OPTION',
      'grip is not supported by this version; leave it out and streams are served directly, ' +
        'also through a GRIP proxy.',
    )
  }
  if (typeof gripPrefix !== 'string') {
    throw new EventStreamError('ERR_OPTION', `gripPrefix is ${quote(gripPrefix)}; give a string.`)
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}
