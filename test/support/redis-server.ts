import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './free-port.js'
import { OwnProcess } from './own-process.js'
import { pathOf } from './services.js'
import { until } from './until.js'

export interface RedisServerOptions {
  /** By default a free one. */
  readonly port?: number | undefined
  /** Write what is stored to disk, each command or each second. By default a restart loses all. */
  readonly appendOnly?: 'always' | 'everysec' | undefined
  /** Such as `8mb`. By default there is no limit. */
  readonly maxMemory?: string | undefined
  /** What goes when memory is full, such as `allkeys-lru`. By default nothing: writes are refused. */
  readonly policy?: string | undefined
  readonly password?: string | undefined
  /** The master, of the same password. The start waits until all that it has is copied. */
  readonly replicaOf?: RedisServer | undefined
  /** Makes it a node of a cluster, which has no slots and knows no other nodes yet. */
  readonly cluster?: boolean | undefined
  /** Further lines of its configuration file: `['hz 100']`. */
  readonly config?: readonly string[] | undefined
  /** Further arguments, which override the file at each start: `['--hz', '100']`. */
  readonly extra?: readonly string[] | undefined
}

/** What the server counted of one command since its start, or `resetStats`. */
export interface CommandCalls {
  readonly calls: number
  /** Microseconds of server time. */
  readonly usec: number
}

const startTimeoutMs = 10_000

/** A real Redis on a port of 127.0.0.1 and in a folder that are its own. End it by `stop`. */
export class RedisServer {
  readonly port: number
  readonly #options: RedisServerOptions
  readonly #folder: string
  readonly #busPort: number
  #process: OwnProcess | undefined

  private constructor(options: RedisServerOptions, folder: string, port: number, busPort: number) {
    this.#options = options
    this.#folder = folder
    this.port = port
    this.#busPort = busPort
  }

  /** @returns Once the server answers. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    for (;;) {
      const port = options.port ?? (await freePort())
      const folder = await mkdtemp(join(tmpdir(), 'redis-'))
      const server = new RedisServer(options, folder, port, await freePort())
      try {
        await server.#start()
        await until(() => server.#isCopying(), startTimeoutMs)
        return server
      } catch (error) {
        await server.stop()
        if (options.port !== undefined || !isPortTaken(error)) throw error
      }
    }
  }

  get url(): string {
    const { password } = this.#options
    const user = password === undefined ? '' : `:${encodeURIComponent(password)}@`
    return `redis://${user}127.0.0.1:${this.port}`
  }

  /** Of the process that runs now; another one after `restart`. */
  get pid(): number {
    return this.#running.pid
  }

  /** What the server has logged since its last start. */
  get output(): string {
    return this.#running.output
  }

  /** Ends the process as a crash would, and waits until it has ended. */
  async kill(): Promise<void> {
    await this.#process?.kill()
  }

  /**
   * Starts it again at the same port, after a `kill` if it runs.
   *
   * @param options - `empty` removes all that was on disk, as if the machine were a new one.
   */
  async restart(options: { readonly empty?: boolean } = {}): Promise<void> {
    await this.kill()
    if (options.empty) await rm(this.#dataFolder, { recursive: true, force: true })
    await this.#start()
  }

  /** Kills the process and removes its folder. May be called twice. */
  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** Keeps its connections open, and does nothing, until `thaw`. */
  freeze(): void {
    this.#running.signal('SIGSTOP')
  }

  thaw(): void {
    this.#running.signal('SIGCONT')
  }

  /**
   * Sends one command over a connection of its own.
   *
   * @throws Error What the server answered, or when it is down or silent for 5 seconds.
   */
  async cli(...args: readonly (string | number)[]): Promise<unknown> {
    const [command, ...rest] = args
    const redis = new Redis({
      port: this.port,
      host: '127.0.0.1',
      ...(this.#options.password === undefined ? {} : { password: this.#options.password }),
      lazyConnect: true,
      connectTimeout: 5000,
      commandTimeout: 5000,
      disconnectTimeout: 0,
      retryStrategy: () => null,
      // No command but the one that was asked for.
      protocol: 2,
      disableClientInfo: true,
      enableReadyCheck: false,
    })
    // The promises below tell the same.
    redis.on('error', () => undefined)
    try {
      await redis.connect()
      return await redis.call(String(command), ...rest)
    } finally {
      redis.disconnect()
    }
  }

  /** One section of INFO, such as `replication`: `{ role: 'master', connected_slaves: '1' }`. */
  async info(section: string): Promise<Readonly<Record<string, string>>> {
    return parseInfo(String(await this.cli('INFO', section)))
  }

  /** Makes a replica a master, which it is after a restart too. */
  async promote(): Promise<void> {
    await this.cli('REPLICAOF', 'NO', 'ONE')
    await this.cli('CONFIG', 'REWRITE')
  }

  /** By name, in lower case: `{ xadd: { calls: 2, usec: 31 } }`. Subcommands are `config|get`. */
  async commandCalls(): Promise<Readonly<Record<string, CommandCalls>>> {
    const stats = Object.entries(await this.info('commandstats')).map(([key, value]) => {
      const [, calls, usec] = /^calls=(\d+),usec=(\d+)/.exec(value) ?? []
      return [key.replace('cmdstat_', ''), { calls: Number(calls), usec: Number(usec) }]
    })
    return Object.fromEntries(stats)
  }

  async resetStats(): Promise<void> {
    await this.cli('CONFIG', 'RESETSTAT')
  }

  get #running(): OwnProcess {
    if (this.#process === undefined) throw new Error('The server has not been started.')
    return this.#process
  }

  get #dataFolder(): string {
    return join(this.#folder, 'data')
  }

  async #start(): Promise<void> {
    await mkdir(this.#dataFolder, { recursive: true })
    const args = [await this.#configFile(), ...(this.#options.extra ?? [])]
    const running = await OwnProcess.start(pathOf('redis-server'), args, this.#folder)
    this.#process = running
    await until(() => {
      if (running.hasExited) throw new Error(`redis-server has ended:\n${running.output}`)
      return this.#answers(running.pid)
    }, startTimeoutMs)
  }

  async #answers(pid: number): Promise<boolean> {
    try {
      await this.cli('PING')
      // Another server may have taken the port just before, and answer in the place of this one.
      return (await this.info('server')).process_id === String(pid)
    } catch {
      // It does not listen yet, or is loading what was stored.
      return false
    }
  }

  /** Whether the master, if there is one, has sent all that it has, and goes on with what is new. */
  async #isCopying(): Promise<boolean> {
    const replication = await this.#options.replicaOf?.info('replication')
    const own = `port=${this.port},state=online`
    return replication === undefined || Object.values(replication).some((it) => it.includes(own))
  }

  /** Writes it unless it is there: what the server made of it is what it starts with again. */
  async #configFile(): Promise<string> {
    const file = join(this.#dataFolder, 'redis.conf')
    const text = [...this.#settings(), ...(this.#options.config ?? []), ''].join('\n')
    try {
      await writeFile(file, text, { flag: 'wx' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    return file
  }

  #settings(): string[] {
    const { appendOnly, maxMemory, policy, password, replicaOf, cluster } = this.#options
    const settings = {
      port: this.port,
      bind: '127.0.0.1',
      dir: this.#dataFolder,
      save: '""',
      appendonly: appendOnly && 'yes',
      appendfsync: appendOnly,
      maxmemory: maxMemory,
      'maxmemory-policy': policy,
      requirepass: password && JSON.stringify(password),
      masterauth: password && JSON.stringify(password),
      replicaof: replicaOf && `127.0.0.1 ${replicaOf.port}`,
      // Otherwise a master waits 5 seconds for more replicas to come.
      'repl-diskless-sync-delay': 0,
      'cluster-enabled': cluster ? 'yes' : undefined,
      'cluster-port': cluster ? this.#busPort : undefined,
    }
    return Object.entries(settings)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name} ${value}`)
  }
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && error.message.includes('Address already in use')
}

function parseInfo(text: string): Record<string, string> {
  const fields = text
    .split('\r\n')
    .filter((line) => line.includes(':'))
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)])
  return Object.fromEntries(fields)
}
