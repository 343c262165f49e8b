import type { Cluster, Redis, RedisOptions } from 'ioredis'
import { EventStreamError } from '../../core/errors.js'
import {
  type DriverEvents,
  messageOf,
  type RedisDriver,
  reconnectDelayMs,
  runScript,
  ScriptRunner,
} from './driver.js'
import type { ClientPlace } from './model.js'
import type { Script } from './scripts.js'

/** What a connection must have for its answers to be understood, whatever the application's own client has. */
const wireOptions = {
  // Keys have it already, and so have pub/sub channels, where it would be left out.
  keyPrefix: '',
  stringNumbers: false,
  replyMapping: 'legacy',
  // Connections for reading only, or for watching others.
  readOnly: false,
  monitor: false,
  // Timeouts are the log's own: one that is quiet is not dead, and a command that is late may have been run.
  commandTimeout: undefined,
  socketTimeout: undefined,
  // It may repeat commands.
  reconnectOnError: null,
  himportFieldsets: undefined,
  keepAlive: 10_000,
  // After a close: its timer would keep the process.
  disconnectTimeout: 200,
} satisfies RedisOptions

/** What both connections have beyond that. */
const connectionOptions: RedisOptions = {
  ...wireOptions,
  lazyConnect: true,
  // It would hold back the answers of all that is sent at once until the last one is there.
  enableAutoPipelining: false,
  // Waiting and repeating are the log's own: it knows what may be repeated.
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  retryStrategy: reconnectDelayMs,
}

/** Whom a connection is made to, and as whom. */
const renewed = [
  'host',
  'port',
  'path',
  'family',
  'tls',
  'username',
  'password',
  'sentinels',
  'name',
  'sentinelUsername',
  'sentinelPassword',
] as const

/** Has a connection look up, each time it is made, what the application's client would use now. */
function renew(
  options: object | undefined,
  names: readonly (typeof renewed)[number][],
  now: () => object | undefined,
): void {
  if (options === undefined) return
  for (const name of names) {
    const get = () => (now() as RedisOptions | undefined)?.[name]
    Object.defineProperty(options, name, { get, enumerable: true, configurable: true })
  }
}

/**
 * Where data of a client goes.
 *
 * @throws EventStreamError `ERR_OPTION` for one that goes to replicas.
 */
export function ioredisPlace(client: Redis | Cluster): ClientPlace {
  const { isCluster } = client
  const options = client.options as RedisOptions
  if (options.role === 'slave') {
    throw new EventStreamError(
      'ERR_OPTION',
      "redis is a client of replicas (role: 'slave'), which take no events; give one of the master.",
    )
  }
  return { keyPrefix: options.keyPrefix, database: isCluster ? 0 : options.db, isCluster }
}

/** Connections made like those of an `ioredis` client, which itself is left alone. */
export function ioredisDriver(template: Redis | Cluster): RedisDriver {
  return template.isCluster
    ? new ClusterDriver(template as Cluster)
    : new SingleDriver(template as Redis)
}

/** As they are not called elsewhere: an application may have set functions that change the answers of `evalsha`. */
const scriptNames = { eval: 'EVAL', evalsha: 'EVALSHA' } as const

/** Commands of one write, if there are more. */
const writeSize = 16

class SingleDriver implements RedisDriver {
  readonly isCluster = false
  readonly #commands: Redis
  readonly #subscriber: Redis
  readonly #scripts = new ScriptRunner()
  #corked = 0

  constructor(template: Redis) {
    const make = () => {
      const client = template.duplicate(connectionOptions)
      renew(client.options, renewed, () => template.options)
      return client
    }
    this.#commands = make()
    this.#subscriber = make()
  }

  open(events: DriverEvents): void {
    watch(this.#commands, (isUp, error) => events.commands(isUp, error))
    watch(this.#subscriber, (isUp, error) => events.subscriber(isUp, error))
    this.#subscriber.on('message', (live: string, text: string) => events.message(live, text))
  }

  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#scripts.run(script, (command, text) => {
      this.#cork()
      return this.#commands.call(scriptNames[command], text, keys.length, ...keys, ...args)
    })
  }

  command(name: string, ...args: readonly string[]): Promise<unknown> {
    return this.#commands.call(name.toUpperCase(), ...args)
  }

  subscribe(live: readonly string[]): Promise<unknown> {
    return this.#subscriber.subscribe(...live)
  }

  unsubscribe(live: readonly string[]): Promise<unknown> {
    return this.#subscriber.unsubscribe(...live)
  }

  reconnect(): void {
    this.reconnectCommands()
    this.#subscriber.disconnect(true)
  }

  reconnectCommands(): void {
    this.#commands.disconnect(true)
  }

  close(): void {
    this.#commands.disconnect()
    this.#subscriber.disconnect()
  }

  /**
   * What is published at once goes out in few writes, so that Redis has something to do while the
   * rest is made ready.
   */
  #cork(): void {
    const { stream } = this.#commands
    // There is none before the first connection.
    if (stream === undefined) return
    if (stream.writableCorked === 0) {
      stream.cork()
      this.#corked = 0
      process.nextTick(() => stream.uncork())
    } else if (++this.#corked % writeSize === 0) {
      stream.uncork()
      stream.cork()
    }
  }
}

/** Says when a connection is up or down, and connects it. */
function watch(client: Redis, tell: (isUp: boolean, error?: Error) => void): void {
  let lastError: Error | undefined
  client.on('ready', () => {
    lastError = undefined
    tell(true)
  })
  client.on('error', (error: Error) => {
    forgetCommand(error)
    lastError = error
    if (client.status !== 'ready') tell(false, error)
  })
  client.on('close', () => tell(false, lastError))
  // The events tell, again and again.
  client.connect().catch((error: Error) => {
    forgetCommand(error)
    tell(false, lastError ?? error)
  })
}

/** Its words, which are the password where that was refused, would be printed with the error. */
function forgetCommand(error: Error): void {
  delete (error as { command?: unknown }).command
}

/** Sharded pub/sub: a message stays on the node of its channel. */
class ClusterDriver implements RedisDriver {
  readonly isCluster = true
  readonly #cluster: Cluster

  constructor(template: Cluster) {
    this.#cluster = template.duplicate([], {
      lazyConnect: true,
      enableOfflineQueue: false,
      shardedSubscribers: true,
      keyPrefix: '',
      scaleReads: 'master',
      enableAutoPipelining: false,
      // A command whose connection broke may have been run: whether it is sent again is for the log.
      retryDelayOnFailover: 0,
      slotsRefreshInterval: 5000,
      clusterRetryStrategy: reconnectDelayMs,
      redisOptions: { ...wireOptions },
    })
    // Made from a copy of these options, which it keeps.
    const { connectionPool } = this.#cluster as unknown as {
      connectionPool?: { redisOptions?: object }
    }
    for (const options of [this.#cluster.options.redisOptions, connectionPool?.redisOptions]) {
      renew(options, ['username', 'password'], () => template.options.redisOptions)
    }
  }

  open(events: DriverEvents): void {
    const cluster = this.#cluster
    let lastError: Error | undefined
    cluster.on('ready', () => {
      lastError = undefined
      events.commands(true)
    })
    cluster.on('subscribersReady', () => events.subscriber(true))
    cluster.on('error', (error: Error) => {
      forgetCommand(error)
      lastError = error
      if (cluster.status !== 'ready') events.commands(false, error)
    })
    cluster.on('node error', (error: Error) => {
      forgetCommand(error)
      lastError = error
    })
    for (const event of ['close', 'end']) {
      cluster.on(event, () => {
        events.commands(false, lastError)
        events.subscriber(false, lastError)
      })
    }
    cluster.on('smessage', (live: string, text: string) => events.message(live, text))
    cluster.connect().catch((error: Error) => events.commands(false, lastError ?? error))
  }

  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await runScript(script, (command, text) =>
        this.#cluster.call(scriptNames[command], text, keys.length, ...keys, ...args),
      )
    } catch (error) {
      // A node has gone: who has its slots now?
      if (/closed/i.test(messageOf(error))) this.#cluster.refreshSlotsCache()
      throw error
    }
  }

  command(name: string, ...args: readonly string[]): Promise<unknown> {
    return this.#cluster.call(name, ...args)
  }

  subscribe(live: readonly string[]): Promise<unknown> {
    // One call for one slot.
    return Promise.all(live.map((name) => this.#cluster.ssubscribe(name)))
  }

  unsubscribe(live: readonly string[]): Promise<unknown> {
    return Promise.all(live.map((name) => this.#cluster.sunsubscribe(name)))
  }

  reconnect(): void {
    this.#cluster.disconnect(true)
  }

  reconnectCommands(): void {
    this.reconnect()
  }

  close(): void {
    this.#cluster.disconnect()
  }
}
