// A Postgres for the benchmark alone, on a port and in a folder of its own.

import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
// The one that the package is developed with.
import pg from 'pg'
import { findProgram } from './find-program.mjs'
import { freePort } from './free-port.mjs'
import { startProgram } from './processes.mjs'

const { path: program, version } = findProgram('postgresql', /(\d+(?:\.\d+)+)/)

/** Such as `15.18`; undefined where it is not installed. */
export const postgresVersion = version

const readyTimeoutMs = 20_000

/** Somebody who may own a database: Postgres is not run by root. */
function unprivileged() {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? []
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error('There is no user postgres or nobody to run Postgres.')
}

/** It does not wait for the disk: what is compared is the way to it and back. */
function settingsFor(folder, port) {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: folder,
    fsync: 'off',
    // Files of its own folder: nothing is left of it.
    dynamic_shared_memory_type: 'mmap',
  }
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

export async function startPostgres() {
  const folder = mkdtempSync(join(tmpdir(), 'bench-postgres-'))
  // It is told to end in the same moment, and still writes.
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
  process.on('exit', remove)
  const user = unprivileged()
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  chmodSync(folder, 0o700)
  const data = join(folder, 'data')
  const how = ['--no-sync', '--no-locale', '--encoding=UTF8', '--auth=trust', '--username=postgres']
  const made = spawnSync(join(dirname(program), 'initdb'), [...how, data], { cwd: folder, ...user })
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
  const port = await freePort()
  const args = ['-D', data, ...settingsFor(folder, port)]
  const server = startProgram(program, args, undefined, { cwd: folder, ...user })
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  await isReady(url)
  return {
    url,
    async stop() {
      await server.stop()
      remove()
      process.off('exit', remove)
    },
  }
}

async function isReady(url) {
  const deadline = performance.now() + readyTimeoutMs
  for (;;) {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.end()
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
      await delay(50)
    }
  }
}
