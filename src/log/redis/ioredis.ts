import type { Cluster, Redis, RedisOptions } from 'ioredis'
import {
  type DriverEvents,
  messageOf,
  type RedisDriver,
  reconnectDelayMs,
  runScript,
  ScriptRunner,
} from './driver.js'
import type { Script } from './scripts.js'

/** What both connections have, whatever the application's own client does. */
const connectionOptions: RedisOptions = {
  lazyConnect: true,
  keyPrefix: '',
  // It would hold back the answers of all that is sent at once until the last one is there.
  enableAutoPipelining: false,
  // Waiting and repeating are the log's own: it knows what may be repeated.
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  retryStrategy: reconnectDelayMs,
  keepAlive: 10_000,
  // After a close: its timer would keep the process.
  disconnectTimeout: 200,
}

/** Connections made like those of an `ioredis` client, which itself is left alone. */
export function ioredisDriver(template: Redis | Cluster): RedisDriver {
  return template.isCluster
    ? new ClusterDriver(template as Cluster)
    : new SingleDriver(template as Redis)
}

/** Commands of one write, if there are more. */
const writeSize = 16

class SingleDriver implements RedisDriver {
  readonly isCluster = false
  readonly #commands: Redis
  readonly #subscriber: Redis
  readonly #scripts = new ScriptRunner()
  #corked = 0

  constructor(template: Redis) {
    this.#commands = template.duplicate(connectionOptions)
    this.#subscriber = template.duplicate(connectionOptions)
  }

  open(events: DriverEvents): void {
    watch(this.#commands, (isUp, error) => events.commands(isUp, error))
    watch(this.#subscriber, (isUp, error) => events.subscriber(isUp, error))
    this.#subscriber.on('message', (live: string, text: string) => events.message(live, text))
  }

  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#scripts.run(script, (command, text) => {
      this.#cork()
      return this.#commands[command](text, keys.length, ...keys, ...args)
    })
  }

  command(name: string, ...args: readonly string[]): Promise<unknown> {
    return this.#commands.call(name, ...args)
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
      // A command whose connection broke may have been run: whether it is sent again is for the log.
      retryDelayOnFailover: 0,
      slotsRefreshInterval: 5000,
      clusterRetryStrategy: reconnectDelayMs,
      redisOptions: { keyPrefix: '', keepAlive: 10_000, disconnectTimeout: 200 },
    })
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
        this.#cluster[command](text, keys.length, ...keys, ...args),
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
