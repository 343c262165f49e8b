import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { platform, tmpdir } from 'node:os'
import { join } from 'node:path'

/** A Redis for nobody else, on a free port of 127.0.0.1, that keeps nothing on disk. */
export interface PrivateRedis {
  readonly url: string
  /** Resolves when it has ended, by itself or by `stop`. */
  readonly ended: Promise<unknown>
  stop(): Promise<void>
}

/** @throws Error that says how to get `redis-server`, where there is none. */
export async function startRedis(): Promise<PrivateRedis> {
  const program = process.env.REDIS_SERVER_PATH || 'redis-server'
  if (spawnSync(program, ['--version']).error !== undefined) throw new Error(howToGet())
  const folder = await mkdtemp(join(tmpdir(), 'headwater-redis-'))
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  // In a group of its own: at Ctrl+C the servers end first.
  const redis = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
  guard(redis, folder)
  const ended = once(redis, 'exit').then(() => rm(folder, { recursive: true, force: true }))
  await ready(redis)
  return {
    url: `redis://127.0.0.1:${port}`,
    ended,
    async stop() {
      redis.kill('SIGTERM')
      await ended
    },
  }
}

async function ready({ stdout }: ChildProcess): Promise<void> {
  let output = ''
  for await (const chunk of stdout?.setEncoding('utf8').iterator({ destroyOnReturn: false }) ??
    []) {
    output += chunk
    if (output.includes('Ready to accept connections')) {
      stdout?.resume()
      return
    }
  }
  throw new Error(`redis-server has ended:\n${output}`)
}

/** Ends Redis when this process has gone in whatever way: the guard's input ends with it. */
function guard(redis: ChildProcess, folder: string): void {
  const script = 'read -r _; kill -9 "$1"; rm -rf "$2"'
  const watcher = spawn('sh', ['-c', script, 'guard', String(redis.pid), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // Before the id of the process may go to another one.
  redis.once('exit', () => watcher.kill('SIGKILL'))
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function howToGet(): string {
  const { REDIS_SERVER_PATH } = process.env
  if (REDIS_SERVER_PATH) {
    return `REDIS_SERVER_PATH is ${REDIS_SERVER_PATH}, where no program is. Correct it, or unset it.`
  }
  const elsewhere = existsSync('/etc/debian_version')
    ? 'apt-get install redis-server, as root'
    : 'your package manager'
  const command = platform() === 'darwin' ? 'brew install redis' : elsewhere
  return (
    'The cluster needs redis-server (6.2 or later), and there is none. ' +
    `Get it by: ${command}. One in another place is used when REDIS_SERVER_PATH names it, ` +
    'and a Redis that runs already when REDIS_URL is its URL.'
  )
}
