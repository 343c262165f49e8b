import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { freePort } from './free-port.js'
import { isRunning } from './is-running.js'
import { OwnProcess } from './own-process.js'
import { pathOf } from './services.js'
import { until } from './until.js'

export interface PostgresServerOptions {
  /** Whether what was committed survives a crash of the machine. By default only one of the server. */
  readonly fsync?: boolean | undefined
  /** Further settings: `{ log_statement: 'all' }`. */
  readonly settings?: Readonly<Record<string, string | number>> | undefined
}

type Row = Readonly<Record<string, unknown>>

const startTimeoutMs = 20_000

/** A real Postgres on a port of 127.0.0.1 and in a folder that are its own. End it by `stop`. */
export class PostgresServer {
  readonly port: number
  readonly #options: PostgresServerOptions
  readonly #folder: string
  readonly #user: { readonly uid: number; readonly gid: number } | undefined
  #process: OwnProcess | undefined
  #frozen: readonly number[] = []

  private constructor(options: PostgresServerOptions, folder: string, port: number) {
    this.#options = options
    this.#folder = folder
    this.#user = process.getuid?.() === 0 ? unprivileged() : undefined
    this.port = port
  }

  /** @returns Once the server answers. */
  static start(options: PostgresServerOptions = {}): Promise<PostgresServer> {
    return PostgresServer.#begin(options, (server) => server.#create())
  }

  /**
   * A standby, which answers what is only read, until `promote`.
   *
   * @param primary - URL of the server that it follows.
   */
  static standbyOf(primary: string): Promise<PostgresServer> {
    const settings = { primary_conninfo: primary, wal_retrieve_retry_interval: '100ms' }
    return PostgresServer.#begin({ settings }, (server) => server.#copy(primary))
  }

  static async #begin(
    options: PostgresServerOptions,
    create: (server: PostgresServer) => Promise<void>,
  ): Promise<PostgresServer> {
    for (;;) {
      const folder = await mkdtemp(join(tmpdir(), 'postgres-'))
      const server = new PostgresServer(options, folder, await freePort())
      try {
        await create(server)
        await server.#start()
        return server
      } catch (error) {
        await server.stop()
        if (!String(error).includes('Address already in use')) throw error
      }
    }
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`
  }

  /** What the server has logged since its last start. */
  get output(): string {
    return this.#running.output
  }

  /**
   * Runs one statement over a connection of its own.
   *
   * @throws Error What the server answered, or when it is down or silent for 5 seconds.
   */
  async query(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const client = new Client({
      connectionString: this.url,
      connectionTimeoutMillis: 5000,
      query_timeout: 5000,
      application_name: 'test',
    })
    // The promises below tell the same.
    client.on('error', () => undefined)
    try {
      await client.connect()
      const { rows } = await client.query(text, [...values])
      return rows as Row[]
    } finally {
      await client.end().catch(() => undefined)
    }
  }

  /** Ends connections as an administrator would, but for those of `query`. */
  async terminate(where = 'true'): Promise<number> {
    const rows = await this.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND ${where}`,
    )
    return rows.length
  }

  /** Connections from clients, but for those of `query`. */
  async connections(where = 'true'): Promise<number> {
    const [row] = await this.query(
      `SELECT count(*)::int AS count FROM pg_stat_activity
       WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND ${where}`,
    )
    return row?.count as number
  }

  /** Ends all of its processes as a crash would, and waits until they have ended. */
  async kill(): Promise<void> {
    const running = this.#process
    if (running === undefined || running.hasExited) return
    const children = childrenOf(running.pid)
    await running.kill()
    // Those that it has forked see that it is gone, unless they are stopped.
    for (const pid of children) signal(pid, 'SIGKILL')
    await until(() => !children.some(isRunning))
    this.#frozen = []
  }

  /** Starts it again at the same port, after a `kill` if it runs. */
  async restart(): Promise<void> {
    await this.kill()
    await this.#start()
  }

  /** Lets a standby take the place of its primary, whatever of it has not come. */
  async promote(): Promise<void> {
    await this.query('SELECT pg_promote(true, 30)')
  }

  /** Ends the server and removes its folder. May be called twice. */
  async stop(): Promise<void> {
    const running = this.#process
    if (running !== undefined && !running.hasExited) {
      this.thaw()
      // At once, and tidily: what it shares with its processes is not left in the system.
      running.signal('SIGQUIT')
      await running.end()
    }
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** Keeps its connections open, and does nothing, until `thaw`. */
  freeze(): void {
    const { pid } = this.#running
    signal(pid, 'SIGSTOP')
    this.#frozen = [pid, ...childrenOf(pid)]
    for (const child of this.#frozen) signal(child, 'SIGSTOP')
  }

  thaw(): void {
    for (const pid of this.#frozen) signal(pid, 'SIGCONT')
    this.#frozen = []
  }

  get #running(): OwnProcess {
    if (this.#process === undefined) throw new Error('The server has not been started.')
    return this.#process
  }

  get #dataFolder(): string {
    return join(this.#folder, 'data')
  }

  #create(): Promise<void> {
    const args = ['--no-sync', '--no-locale', '--encoding=UTF8', '--auth=trust']
    return this.#make('initdb', [...args, '--username=postgres', this.#dataFolder])
  }

  #copy(primary: string): Promise<void> {
    const args = ['--no-sync', '--checkpoint=fast', '--write-recovery-conf', '--dbname', primary]
    return this.#make('pg_basebackup', [...args, '--pgdata', this.#dataFolder])
  }

  /** Makes the folder by one of Postgres' own programs. */
  async #make(program: string, args: readonly string[]): Promise<void> {
    if (this.#user !== undefined) await chown(this.#folder, this.#user.uid, this.#user.gid)
    await chmod(this.#folder, 0o700)
    const path = join(dirname(pathOf('postgresql')), program)
    await promisify(execFile)(path, args, { cwd: this.#folder, ...this.#user })
  }

  async #start(): Promise<void> {
    const settings = {
      listen_addresses: '127.0.0.1',
      port: this.port,
      unix_socket_directories: this.#folder,
      fsync: this.#options.fsync ? 'on' : 'off',
      // Files of its own folder: nothing is left of a server that is killed.
      dynamic_shared_memory_type: 'mmap',
      max_connections: 200,
      ...this.#options.settings,
    }
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const { url } = this
    const running = await OwnProcess.start(
      pathOf('postgresql'),
      ['-D', this.#dataFolder, ...args],
      this.#folder,
      { user: this.#user },
    )
    this.#process = running
    await until(async () => {
      if (running.hasExited) throw new Error(`postgres has ended:\n${running.output}`)
      try {
        await this.query('SELECT 1')
        return true
      } catch {
        // It does not listen yet, or reads what was written before a crash.
        return false
      }
    }, startTimeoutMs).catch((error) => {
      throw new Error(`${url} does not answer:\n${running.output}`, { cause: error })
    })
  }
}

/** Somebody who may own a database: Postgres is not run by root. */
export function unprivileged(): { readonly uid: number; readonly gid: number } {
  const users = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? []
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error('There is no user postgres or nobody to run the server.')
}

/** None where there is no `/proc`. */
export function childrenOf(pid: number): readonly number[] {
  if (!existsSync('/proc')) return []
  const others = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return others.filter((other) => parentOf(other) === pid).map(Number)
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    // It has ended.
    return undefined
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended.
  }
}
