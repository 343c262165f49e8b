import { withoutSecrets } from './core/connection-url.js'
import { EventStreamError, quote } from './core/errors.js'
import { defaultMaxEventBytes } from './core/event.js'
import { checkChoice, checkFunction, checkNames, checkWhole } from './core/options.js'
import type { AnyChannels, SchemasOf } from './core/typed-channels.js'
import {
  defaultKeepAliveMs,
  type GripSettings,
  gripOptionNames,
  resolveGripOptions,
} from './grip-options.js'
import type { EventLog } from './log/event-log.js'
import { memoryEventLog } from './log/memory.js'
import type { RedisClient } from './log/redis/connect.js'
import { redisEventLog } from './log/redis/redis-event-log.js'
import type { ConnectionKey } from './middleware/admission.js'
import { ChannelSchemas } from './publishers/channel-schemas.js'
import type { GripSpec } from './publishers/grip/config.js'
import {
  type RegistryOptions,
  type ResolvedRegistryOptions,
  resolveRegistryOptions,
} from './resilience/options.js'
import {
  type ResolvedStreamsOptions,
  resolveStreamsOptions,
  type StreamsOptions,
} from './resumable/options.js'
import { warnOnce } from './warn-once.js'

/** Options of an {@link EventStream}. */
export interface EventStreamOptions<Channels = AnyChannels> {
  /**
   * Where events are kept for clients that come back. It is closed with the event stream only when
   * it was made by it. If it is given and undefined, a process warning says so.
   * @defaultValue memoryEventLog()
   */
  readonly log?: EventLog | undefined
  /**
   * Keeps events in Redis, for several processes: a URL, or a client of `ioredis` or `redis`. The
   * same as `log: redisEventLog({ redis })` of `headwater/redis`, which has more options. False means the memory of
   * this process. So does undefined, as of a variable that is not set, but a process warning says so.
   */
  readonly redis?: string | RedisClient | false | undefined
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
   * Bytes of one event on the wire: its name, its data, and what each line of them begins and ends with.
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
  /**
   * Who a request belongs to, such as its user or address, for `maxConnectionsPerKey` and
   * `streams.maxRunningPerKey`. Web requests have an option of their own.
   */
  readonly connectionKey?: ConnectionKey | undefined
  /**
   * Connections of one key. A client above it is sent away and comes back later.
   * @defaultValue 20
   */
  readonly maxConnectionsPerKey?: number | undefined
  /**
   * Streams of one HTTP/2 session. A request above it is sent away and comes back later. Over HTTP/1.1, a TCP
   * connection has one.
   * @defaultValue 1000
   */
  readonly maxStreamsPerSession?: number | undefined
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
  /**
   * What data must be to be published: a schema of zod, valibot, arktype or any other library with the Standard
   * Schema interface, for each event of a channel: `{ 'room-{id}': { message: schema } }`. What schemas make of the
   * data is published. Such a channel has no other events; other channels take anything.
   */
  readonly schemas?: SchemasOf<Channels> | undefined
  /** Streams that outlive their readers: {@link EventStream.streams}. */
  readonly streams?: StreamsOptions | undefined
  /** Who streams what, and how it ended: `headwater/resilience`, and `track` of routes. */
  readonly registry?: RegistryOptions | undefined
  /**
   * GRIP proxies, such as Pushpin or Fanout, which hold the connections of clients that come through
   * them: `http://127.0.0.1:5561/?iss=pushpin&key=changeme`. Other clients are served directly.
   */
  readonly grip?: GripSpec | undefined
  /**
   * Put before channel names at the proxy: letters, digits and `._~:/-`.
   * @defaultValue 'events-'
   */
  readonly gripPrefix?: string | undefined
  /**
   * Whether requests that did not come through a proxy are refused, with status 501.
   * @defaultValue false
   */
  readonly gripRequired?: boolean | undefined
  /**
   * Whether a `Grip-Sig` must say until when it is good (`exp`). Those of Pushpin and Fanout do. One that does
   * not is refused with 403.
   * @defaultValue true
   */
  readonly gripRequireExpiry?: boolean | undefined
  /**
   * Signs what proxies may ask for, when their clients missed something: any text, the same for all
   * processes. By default it is made from the keys in `grip`; where there are none, a random one, so
   * that clients reconnect after a restart.
   */
  readonly gripSecret?: string | undefined
  /**
   * Path of {@link EventStream.linkHandler}, where proxies ask for what their clients missed. By default they ask at
   * the path of each client's own request, without its query and cookies; then no more than `gripMaxLinks` different
   * paths are held.
   */
  readonly gripLinkPath?: string | undefined
  /**
   * How many different links, of path and host, clients may be held with at once. Clients with others are served
   * through the proxy, and not held by it. Pushpin follows ten different links per second, and delivers nothing to a
   * client that waits for its turn.
   * @defaultValue 10
   */
  readonly gripMaxLinks?: number | undefined
  /**
   * What the proxy takes away from the beginning of paths before it sends them on: `/api`.
   * @defaultValue ''
   */
  readonly gripBasePath?: string | undefined
  /**
   * Milliseconds, in whole seconds: how often a proxy asks at least, once for all clients of the same channels, whether
   * they missed something. It is the longest that an event takes when the process ended between storing and publishing
   * it; and what keeps the positions of idle channels in the log, so it must be less than the log's `maxAgeMs`.
   *
   * When it is not more than `keepAliveMs`, the answers are the keep-alives of held streams, so that one which the proxy
   * asks no more for is silent, and its client comes back. Pushpin asks for about 1000 clients per second, and delivers
   * nothing to a client that waits for its turn: with more than 10,000 clients at one Pushpin, give 60_000 or more.
   * @defaultValue keepAliveMs
   */
  readonly gripPollMs?: number | undefined
}

/** Options with their defaults. */
export type ResolvedOptions = {
  readonly [name in Exclude<
    keyof EventStreamOptions,
    'connectionKey' | 'redis' | 'schemas' | 'streams' | 'registry' | `grip${string}`
  >]-?: NonNullable<EventStreamOptions[name]>
} & Pick<EventStreamOptions, 'connectionKey'> & {
    readonly ownsLog: boolean
    readonly schemas: ChannelSchemas | undefined
    readonly streams: ResolvedStreamsOptions
    readonly registry: ResolvedRegistryOptions
    readonly grip: GripSettings | undefined
  }

/** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
export function resolveOptions(options: EventStreamOptions | null | undefined): ResolvedOptions {
  const given = options ?? {}
  const {
    log,
    redis,
    keepAliveMs = defaultKeepAliveMs,
    keepAlive = 'comment',
    maxQueueBytes = 1_048_576,
    stallTimeoutMs = 60_000,
    maxEventBytes = defaultMaxEventBytes,
    maxChannelsPerConnection = 20,
    maxConnections = 50_000,
    connectionKey,
    maxConnectionsPerKey = 20,
    maxStreamsPerSession = 1000,
    whenUnavailable = 'retry',
    onError = warn,
  } = given
  const numbers = {
    keepAliveMs,
    maxQueueBytes,
    stallTimeoutMs,
    maxEventBytes,
    maxChannelsPerConnection,
    maxConnections,
    maxConnectionsPerKey,
    maxStreamsPerSession,
  }
  const choices = { keepAlive, whenUnavailable }
  const functions = { connectionKey, onError }
  checkNames(
    'EventStream',
    given,
    [
      'log',
      'redis',
      'streams',
      'registry',
      'schemas',
      ...Object.keys({ ...numbers, ...choices, ...functions }),
      ...gripOptionNames,
    ],
    'redis',
  )
  // Node's timers turn a longer delay into one millisecond.
  for (const [name, value] of Object.entries(numbers)) checkWhole(name, value, 1, 2 ** 31 - 1)
  for (const [name, value] of Object.entries(functions)) checkFunction(name, value)
  checkChoice('keepAlive', keepAlive, ['comment', 'event'])
  checkChoice('whenUnavailable', whenUnavailable, ['retry', 'reject'])
  checkLog(log, redis)
  const missing = (['redis', 'log'] as const).find((name) => name in given)
  if (log === undefined && redis === undefined && missing !== undefined) warnOfMemory(missing)
  return {
    ...numbers,
    ...choices,
    ...functions,
    log:
      log ?? (redis === undefined || redis === false ? memoryEventLog() : redisEventLog({ redis })),
    ownsLog: log === undefined,
    schemas: given.schemas === undefined ? undefined : new ChannelSchemas(given.schemas),
    streams: resolveStreamsOptions(given.streams),
    registry: resolveRegistryOptions(given.registry),
    grip: resolveGripOptions(given),
  }
}

function checkLog(log: unknown, redis: unknown): void {
  if (log === undefined) return
  if (redis !== undefined && redis !== false) {
    throw new EventStreamError(
      'ERR_OPTION',
      'log and redis are both given; give one, such as log: redisEventLog({ redis, maxEvents: 5000 }).',
    )
  }
  const methods = ['append', 'read', 'heads', 'follow', 'close']
  if (methods.every((name) => typeof Object(log)[name] === 'function')) return
  throw new EventStreamError(
    'ERR_OPTION',
    `log is ${quote(typeof log === 'string' ? withoutSecrets(log) : log)}; give an EventLog such as memoryEventLog({ maxEvents: 1000 }).`,
  )
}

/** No error: builds evaluate modules without the variables of the place where they are to run. */
function warnOfMemory(name: string): void {
  warnOnce(
    'HEADWATER_MEMORY_LOG',
    `"${name}" is undefined, so events are kept in the memory of this process: other processes do not get them, and ` +
      'they are lost when it ends. Is a variable such as REDIS_URL not set? If memory is meant, give redis: false.',
  )
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}
