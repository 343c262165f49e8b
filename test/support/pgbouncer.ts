import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { freePort } from './free-port.js'
import { OwnProcess } from './own-process.js'
import { type PostgresServer, unprivileged } from './postgres-server.js'
import { pathOf } from './services.js'
import { until } from './until.js'

/** A real PgBouncer before a server, on a port and in a folder of its own. End it by `stop`. */
export class PgBouncer {
  readonly port: number
  readonly #folder: string
  readonly #process: OwnProcess

  private constructor(port: number, folder: string, running: OwnProcess) {
    this.port = port
    this.#folder = folder
    this.#process = running
  }

  /** @returns Once it answers. */
  static async start(
    server: PostgresServer,
    poolMode: 'session' | 'transaction' | 'statement',
  ): Promise<PgBouncer> {
    const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-'))
    const port = await freePort()
    const file = join(folder, 'pgbouncer.ini')
    const lines = [
      '[databases]',
      `* = host=127.0.0.1 port=${server.port} user=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = any',
      `pool_mode = ${poolMode}`,
    ]
    await writeFile(file, `${lines.join('\n')}\n`)
    const user = process.getuid?.() === 0 ? unprivileged() : undefined
    await chmod(folder, 0o700)
    if (user !== undefined) {
      await chown(folder, user.uid, user.gid)
      await chown(file, user.uid, user.gid)
    }
    const running = await OwnProcess.start(pathOf('pgbouncer'), [file], folder, { user })
    const bouncer = new PgBouncer(port, folder, running)
    await until(() => {
      if (running.hasExited) throw new Error(`pgbouncer has ended:\n${running.output}`)
      return bouncer.#answers()
    }, 10_000)
    return bouncer
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    await this.#process.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #answers(): Promise<boolean> {
    const client = new Client({ connectionString: this.url })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('SELECT 1')
      return true
    } catch {
      // It does not listen yet.
      return false
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}
