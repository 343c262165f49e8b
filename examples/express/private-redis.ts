import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { findProgram, PrivateProgram } from './private-program.js'

/** A Redis for nobody else, on a free port of 127.0.0.1, that keeps nothing on disk. */
export interface PrivateRedis {
  readonly url: string
  /** Resolves when it has ended, by itself or by `stop`. */
  readonly ended: Promise<unknown>
  stop(): Promise<void>
}

/** @throws Error that says how to get `redis-server`, where there is none. */
export async function startRedis(): Promise<PrivateRedis> {
  const { path } = findProgram({
    name: 'redis-server',
    need: 'The cluster needs redis-server (6.2 or later)',
    variable: 'REDIS_SERVER_PATH',
    orElse: 'a Redis that runs already when REDIS_URL is its URL',
  })
  const folder = await mkdtemp(join(tmpdir(), 'headwater-redis-'))
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const redis = new PrivateProgram(path, args, folder)
  await redis.ready((output) => output.includes('Ready to accept connections'))
  return {
    url: `redis://127.0.0.1:${port}`,
    ended: redis.ended,
    stop: () => redis.stop(),
  }
}
