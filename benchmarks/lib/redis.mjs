// A Redis for the benchmark alone, on a port and in a folder of its own.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// The one that the package is developed with, and that it uses itself.
import { Redis } from 'ioredis'
import { findProgram } from './find-program.mjs'
import { freePort } from './free-port.mjs'
import { startProgram } from './processes.mjs'

const { path: program, version } = findProgram('redis-server', /v=(\S+)/)

/** Such as `7.0.15`; undefined where it is not installed. */
export const redisVersion = version

export async function startRedis() {
  const folder = mkdtempSync(join(tmpdir(), 'bench-redis-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`])
  const server = startProgram(program, args)
  const url = `redis://127.0.0.1:${port}`
  const redis = new Redis(url)
  // It is tried again until it listens.
  redis.on('error', () => undefined)
  await redis.ping()

  return {
    url,
    /** Calls of scripts so far, and what they took. */
    async scripts() {
      const stats = await redis.info('commandstats')
      const [, calls = 0, usec = 0] = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(stats) ?? []
      return { calls: Number(calls), us: Number(usec) }
    },
    /**
     * Counts commands while something is done, by name. MONITOR tells what clients send from what
     * scripts call; the statistics count both alike.
     */
    async countCommands(action) {
      const monitor = await redis.monitor()
      const counts = {}
      const mark = `end-${Math.random()}`
      const isSeen = new Promise((resolve) => {
        monitor.on('monitor', (_time, [name, argument], source) => {
          if (argument === mark) resolve()
          else if (source !== 'lua') counts[name] = (counts[name] ?? 0) + 1
        })
      })
      const result = await action()
      await redis.echo(mark)
      await isSeen
      monitor.disconnect()
      return { counts, result }
    },
    async stop() {
      redis.disconnect()
      await server.stop()
    },
  }
}
