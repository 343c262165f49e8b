import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { setUpPostgres } from '../../src/postgres.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { freePort } from '../support/free-port.js'
import { buildNextApp, copyNextApp } from '../support/next-process.js'
import { installHeadwater } from '../support/own-project.js'
import { PostgresServer } from '../support/postgres-server.js'
import { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { withAll, withoutPostgres } from './outcomes.js'

let redis: RedisServer
let postgres: PostgresServer

function environment(): NodeJS.ProcessEnv {
  return { REDIS_URL: redis.url, POSTGRES_URL: postgres.url }
}

/** What was built, in a folder from which no packages are found but those that came along. */
class Standalone {
  readonly url: string
  readonly #folder: string
  readonly #server: ChildProcess

  private constructor(folder: string, server: ChildProcess, port: number) {
    this.#folder = folder
    this.#server = server
    this.url = `http://127.0.0.1:${port}`
  }

  static async start(app: string): Promise<Standalone> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-standalone-'))
    await cp(join(app, '.next/standalone'), folder, { recursive: true, verbatimSymlinks: true })
    const port = await freePort()
    const script = join(folder, 'test/package', basename(app), 'server.js')
    const address = { PORT: String(port), HOSTNAME: '127.0.0.1' }
    const server = spawn(process.execPath, [script], {
      env: { ...process.env, ...environment(), ...address },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    server.stdout.on('data', (text) => {
      output += text
    })
    await until(() => output.includes('Ready in'), 20_000)
    return new Standalone(folder, server, port)
  }

  async outcomes(router: string): Promise<unknown> {
    return (await fetch(`${this.url}/api/${router}`)).json()
  }

  async stop(): Promise<void> {
    this.#server.kill('SIGKILL')
    if (this.#server.exitCode === null) await once(this.#server, 'exit')
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Builds a copy of the application, and starts it elsewhere. */
async function standalone(bundler: string, missing: readonly string[]): Promise<Standalone> {
  const app = await copyNextApp(join(__dirname, 'next-standalone'))
  try {
    await cp(join(__dirname, 'bundled/uses.mjs'), join(app, 'lib/uses.mjs'))
    const headwater = await installHeadwater(app)
    // All are installed in this repository, so what is to be missing is asked for by a name that nobody has.
    for (const file of ['log/redis/packages.js', 'log/postgres/pool.js']) {
      const path = join(headwater, 'dist', file)
      const text = await readFile(path, 'utf8')
      const names = new RegExp(`'(${missing.join('|') || 'none'})'`, 'g')
      await writeFile(path, text.replace(names, "'$1-that-nobody-has'"))
    }
    await buildNextApp(app, { args: [`--${bundler}`], env: environment() })
    return await Standalone.start(app)
  } finally {
    await rm(app, { recursive: true, force: true })
  }
}

async function connectionsEver(): Promise<readonly unknown[]> {
  const client = new Redis(redis.url)
  const [, ofRedis] = /total_connections_received:(\d+)/.exec(await client.info('stats')) ?? []
  client.disconnect()
  return [Number(ofRedis), postgres.output.match(/connection received/g)?.length]
}

describeWithRedis('a Next.js application', () => {
  describeWithPostgres('of which the standalone output was moved', () => {
    jest.setTimeout(300_000)

    beforeAll(async () => {
      redis = await RedisServer.start()
      postgres = await PostgresServer.start({ settings: { log_connections: 'on' } })
      await setUpPostgres(postgres.url)
    })

    afterAll(async () => {
      await redis?.stop()
      await postgres?.stop()
    })

    describe.each(['turbopack', 'webpack'])('built by %s', (bundler) => {
      test('has the packages that are installed, in both routers, and connects when it is used', async () => {
        const [redisBefore, postgresBefore] = await connectionsEver()
        const server = await standalone(bundler, [])
        try {
          // One more for the look itself.
          expect(await connectionsEver()).toEqual([Number(redisBefore) + 1, postgresBefore])
          expect(await server.outcomes('app')).toEqual(withAll)
          expect(await server.outcomes('pages')).toEqual(withAll)
        } finally {
          await server.stop()
        }
      })

      test('is built where some are not installed, and says so when they are wanted', async () => {
        const server = await standalone(bundler, ['ioredis', 'pg'])
        try {
          const some = { ...withAll, ...withoutPostgres }
          expect(await server.outcomes('app')).toEqual(some)
          expect(await server.outcomes('pages')).toEqual(some)
        } finally {
          await server.stop()
        }
      })
    })
  })
})
