import { EventStreamError } from '../../core/errors.js'
import {
  type DriverEvents,
  type RedisDriver,
  reconnectDelayMs,
  runScript,
  ScriptRunner,
  whyFailed,
} from './driver.js'
import type { ClientPlace } from './model.js'
import type { Script } from './scripts.js'

type Listener = (text: string, live: string) => void

interface Credentials {
  readonly username?: string | undefined
  readonly password?: string | undefined
}

interface Options extends Credentials {
  readonly socket?: object
  readonly database?: unknown
  readonly keyPrefix?: unknown
  readonly credentialsProvider?:
    | { readonly type: string; credentials?(): Promise<Credentials> }
    | undefined
}

/** What is used of a client of `redis`. */
interface Client {
  readonly isOpen: boolean
  readonly isReady: boolean
  readonly options?: Options
  duplicate(options: object): Client
  on(event: string, listener: (error: Error) => void): unknown
  connect(): Promise<unknown>
  sendCommand(args: readonly string[]): Promise<unknown>
  subscribe(live: readonly string[], listener: Listener): Promise<unknown>
  unsubscribe(live: readonly string[], listener: Listener): Promise<unknown>
  destroy(): void
}

/** What is used of a cluster of `redis`. */
interface Cluster {
  readonly isOpen: boolean
  readonly _options?: { readonly defaults?: Options; readonly keyPrefix?: unknown }
  duplicate(options: object): Cluster
  on(event: string, listener: (error: Error) => void): unknown
  connect(): Promise<unknown>
  sendCommand(
    key: string | undefined,
    isReadonly: boolean,
    args: readonly string[],
  ): Promise<unknown>
  sSubscribe(live: string, listener: Listener): Promise<unknown>
  sUnsubscribe(live: string, listener: Listener): Promise<unknown>
  destroy(): void
}

/** Whether it is a client, or a cluster, of the package `redis`. */
export function isNodeRedis(client: unknown): client is Client | Cluster {
  const { isOpen, duplicate, sendCommand } = Object(client) as Record<string, unknown>
  return (
    typeof isOpen === 'boolean' &&
    typeof duplicate === 'function' &&
    typeof sendCommand === 'function'
  )
}

/**
 * Connections made like those of a client of `redis`, which itself is left alone.
 *
 * @throws EventStreamError `ERR_OPTION` for its Sentinel, which cannot be told what to do with
 *   commands whose connection broke.
 */
export function nodeRedisDriver(template: Client | Cluster): RedisDriver {
  if (isCluster(template)) return new ClusterDriver(template)
  if ('subscribe' in template && 'options' in template && !('getMasterNode' in template)) {
    return new SingleDriver(template)
  }
  throw new EventStreamError(
    'ERR_OPTION',
    'redis is a Sentinel client of the package redis; give a URL redis+sentinel://host:26379/master or a client of ioredis.',
  )
}

/** Where data of a client goes. */
export function nodeRedisPlace(client: Client | Cluster): ClientPlace {
  if (isCluster(client)) {
    return { keyPrefix: client._options?.keyPrefix, database: 0, isCluster: true }
  }
  const { keyPrefix, database } = client.options ?? {}
  return { keyPrefix, database, isCluster: false }
}

/** What a connection must have for its answers to be understood, whatever the application's own client has. */
const wireOptions = {
  // Keys have it already, and so have pub/sub channels, where it would be left out.
  keyPrefix: undefined,
  // Types that answers are mapped to, and signals that abort.
  commandOptions: undefined,
  // What it keeps would be kept for others.
  clientSideCache: undefined,
  emitInvalidate: undefined,
  readonly: false,
  // Waiting and repeating are the log's own: it knows what may be repeated.
  disableOfflineQueue: true,
  // A limit of the application's own for what waits: the log has its own.
  commandsQueueMaxLength: undefined,
}

/** One that is quiet is not dead: timeouts are the log's own. */
const socketOptions = { reconnectStrategy: reconnectDelayMs, socketTimeout: undefined }

/**
 * Has each connection ask as whom the application's client would connect now. Its own provider tells by itself, unless
 * another password was set since.
 */
function credentialsOf(now: () => Options | undefined): Options['credentialsProvider'] {
  const { username, password, credentialsProvider } = now() ?? {}
  // It renews what it has given, and says so to each connection.
  if (credentialsProvider?.type === 'streaming-credentials-provider') return credentialsProvider
  return {
    type: 'async-credentials-provider',
    credentials: async () => {
      const options = now() ?? {}
      const isSet = options.username !== username || options.password !== password
      const told = isSet ? undefined : await options.credentialsProvider?.credentials?.()
      return told ?? { username: options.username, password: options.password }
    },
  }
}

function isCluster(client: object): client is Cluster {
  return 'slots' in client || 'getSlotRandomNode' in client
}

/** The words of a command that runs a script. */
function scriptCommand(
  command: string,
  script: string,
  keys: readonly string[],
  args: readonly string[],
): readonly string[] {
  return [command, script, String(keys.length), ...keys, ...args]
}

class SingleDriver implements RedisDriver {
  readonly isCluster = false
  readonly #make: () => Client
  readonly #scripts = new ScriptRunner()
  #commands: Client
  #subscriber: Client
  #events: DriverEvents | undefined
  readonly #onMessage: Listener = (text, live) => this.#events?.message(live, text)

  constructor(template: Client) {
    this.#make = () =>
      template.duplicate({
        ...wireOptions,
        // All of it is in the options already. Read again, it would take the place of those here.
        url: undefined,
        socket: { ...template.options?.socket, ...socketOptions },
        credentialsProvider: credentialsOf(() => template.options),
      })
    this.#commands = this.#make()
    this.#subscriber = this.#make()
  }

  open(events: DriverEvents): void {
    this.#events = events
    this.#connectCommands()
    this.#connectSubscriber()
  }

  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#scripts.run(script, (command, text) =>
      this.#commands.sendCommand(scriptCommand(command, text, keys, args)),
    )
  }

  command(name: string, ...args: readonly string[]): Promise<unknown> {
    return this.#commands.sendCommand([name, ...args])
  }

  subscribe(live: readonly string[]): Promise<unknown> {
    // What it takes for subscribed already it does not send: an answer shows that messages can come.
    const answered = this.#subscriber.sendCommand(['PING']).catch((error) => {
      if (whyFailed(error) !== 'refused') throw error
    })
    return Promise.all([this.#subscriber.subscribe(live, this.#onMessage), answered])
  }

  unsubscribe(live: readonly string[]): Promise<unknown> {
    return this.#subscriber.unsubscribe(live, this.#onMessage)
  }

  reconnect(): void {
    this.reconnectCommands()
    end(this.#subscriber)
    this.#subscriber = this.#make()
    this.#connectSubscriber()
  }

  reconnectCommands(): void {
    end(this.#commands)
    this.#commands = this.#make()
    this.#connectCommands()
  }

  close(): void {
    end(this.#commands)
    end(this.#subscriber)
  }

  #connectCommands(): void {
    const commands = this.#commands
    // A connection that was given up has nothing more to say.
    watch(commands, (isUp, error) => {
      if (commands === this.#commands) this.#events?.commands(isUp, error)
    })
  }

  #connectSubscriber(): void {
    const subscriber = this.#subscriber
    watch(subscriber, (isUp, error) => {
      if (subscriber === this.#subscriber) this.#events?.subscriber(isUp, error)
    })
  }
}

function end(client: Client): void {
  if (client.isOpen) client.destroy()
}

/** Says when a connection is up or down, and connects it. */
function watch(client: Client, tell: (isUp: boolean, error?: Error) => void): void {
  client.on('ready', () => tell(true))
  client.on('error', (error) => tell(false, error))
  client.on('end', () => tell(false))
  client.connect().catch((error: Error) => tell(false, error))
}

/** Sharded pub/sub: a message stays on the node of its channel. */
class ClusterDriver implements RedisDriver {
  readonly isCluster = true
  readonly #make: () => Cluster
  #cluster: Cluster
  #events: DriverEvents | undefined
  #retry: NodeJS.Timeout | undefined
  #attempts = 0
  #isClosed = false
  readonly #onMessage: Listener = (text, live) => this.#events?.message(live, text)

  constructor(template: Cluster) {
    const now = () => template._options?.defaults
    this.#make = () => {
      const { username, password, credentialsProvider } = now() ?? {}
      const hasCredentials = [username, password, credentialsProvider].some(
        (it) => it !== undefined,
      )
      return template.duplicate({
        defaults: {
          ...now(),
          ...wireOptions,
          socket: { ...now()?.socket, ...socketOptions },
          // Those of single nodes would not count any more.
          ...(hasCredentials ? { credentialsProvider: credentialsOf(now) } : {}),
        },
        keyPrefix: undefined,
        commandOptions: undefined,
        clientSideCache: undefined,
        useReplicas: false,
      })
    }
    this.#cluster = this.#make()
  }

  open(events: DriverEvents): void {
    this.#events = events
    this.#connect()
  }

  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return runScript(script, (command, text) =>
      this.#cluster.sendCommand(keys[0], false, scriptCommand(command, text, keys, args)),
    )
  }

  command(name: string, ...args: readonly string[]): Promise<unknown> {
    return this.#cluster.sendCommand(undefined, false, [name, ...args])
  }

  subscribe(live: readonly string[]): Promise<unknown> {
    return Promise.all(live.map((name) => this.#cluster.sSubscribe(name, this.#onMessage)))
  }

  unsubscribe(live: readonly string[]): Promise<unknown> {
    return Promise.all(live.map((name) => this.#cluster.sUnsubscribe(name, this.#onMessage)))
  }

  reconnect(): void {
    this.#end()
    this.#cluster = this.#make()
    this.#connect()
  }

  reconnectCommands(): void {
    this.reconnect()
  }

  close(): void {
    this.#isClosed = true
    this.#end()
  }

  #end(): void {
    clearTimeout(this.#retry)
    if (this.#cluster.isOpen) this.#cluster.destroy()
  }

  /** A cluster does not come back by itself when none of its nodes answers at first. */
  #connect(): void {
    const cluster = this.#cluster
    // A node that is away is the business of the commands that are for it.
    let lastError: Error | undefined
    cluster.on('error', (error) => {
      lastError = error
    })
    cluster.connect().then(
      () => {
        if (this.#isClosed || cluster !== this.#cluster) {
          // It went on to connect to nodes when it was given up meanwhile.
          cluster.destroy()
          return
        }
        this.#attempts = 0
        this.#events?.commands(true)
        this.#events?.subscriber(true)
      },
      (error: Error) => {
        if (this.#isClosed || cluster !== this.#cluster) return
        this.#events?.commands(false, lastError ?? error)
        this.#attempts += 1
        this.#retry = setTimeout(() => this.reconnect(), reconnectDelayMs(this.#attempts)).unref()
      },
    )
  }
}
