import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { nodeFileTrace } from '@vercel/nft'
import { build } from 'esbuild'
import webpack from 'webpack'
import { setUpPostgres } from '../../src/postgres.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { OwnProject } from '../support/own-project.js'
import { PostgresServer } from '../support/postgres-server.js'
import { RedisServer } from '../support/redis-server.js'
import { overRedis, withAll, withNone } from './outcomes.js'

/** @returns The file to run, in a folder for all that was built. */
type Bundler = (entry: string, folder: string) => Promise<string>

const run = promisify(execFile)
const root = join(__dirname, '../..')
const ncc = join(root, 'node_modules/@vercel/ncc/dist/ncc/cli.js')
/** What esbuild's documents give for packages that are CommonJS, in an ES module. */
const banner = {
  js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
}

const bundlers: Readonly<Record<string, Bundler>> = {
  async esbuild(entry, folder) {
    const outfile = join(folder, 'app.cjs')
    await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node' })
    return outfile
  },
  async 'esbuild that splits ES modules'(entry, folder) {
    const options = { bundle: true, platform: 'node', format: 'esm', splitting: true } as const
    const outExtension = { '.js': '.mjs' }
    await build({ ...options, entryPoints: [entry], outdir: folder, outExtension, banner })
    return join(folder, 'app.mjs')
  },
  async webpack(entry, folder) {
    const compiler = webpack({
      mode: 'none',
      target: 'node',
      context: dirname(entry),
      entry,
      output: { path: folder, filename: 'app.cjs' },
    })
    const stats = await promisify(compiler.run.bind(compiler))()
    const { errors = [] } = stats?.toJson({ all: false, errors: true }) ?? {}
    if (errors.length > 0) throw new Error(errors.map(({ message }) => message).join('\n'))
    return join(folder, 'app.cjs')
  },
  async '@vercel/ncc'(entry, folder) {
    await run(process.execPath, [ncc, 'build', entry, '-o', folder, '--no-cache'])
    return join(folder, 'index.mjs')
  },
  async '@vercel/nft'(entry, folder) {
    const base = dirname(entry)
    const { fileList } = await nodeFileTrace([entry], { base })
    await Promise.all([...fileList].map((file) => cp(join(base, file), join(folder, file))))
    return join(folder, relative(base, entry))
  },
}

let redis: RedisServer
let postgres: PostgresServer

/** @returns What the application prints, in a folder from which no packages are found. */
async function buildAndRun(bundler: Bundler, project: OwnProject): Promise<unknown> {
  const built = await mkdtemp(join(project.folder, 'built-'))
  const file = await bundler(join(project.folder, 'app.mjs'), built)
  const moved = await mkdtemp(join(tmpdir(), 'headwater-moved-'))
  try {
    await cp(built, moved, { recursive: true })
    const env = { ...process.env, REDIS_URL: redis.url, POSTGRES_URL: postgres.url }
    const { stdout } = await project.away(() =>
      run(process.execPath, [join(moved, relative(built, file))], { env }),
    )
    return JSON.parse(stdout)
  } finally {
    await rm(moved, { recursive: true, force: true })
  }
}

async function createProject(packages: readonly string[]): Promise<OwnProject> {
  const project = await OwnProject.create(packages)
  for (const file of ['app.mjs', 'uses.mjs']) {
    await cp(join(__dirname, 'bundled', file), join(project.folder, file))
  }
  return project
}

describeWithRedis('a bundle', () => {
  describeWithPostgres('that was moved', () => {
    let all: OwnProject
    let none: OwnProject
    let second: OwnProject

    beforeAll(async () => {
      redis = await RedisServer.start()
      postgres = await PostgresServer.start()
      await setUpPostgres(postgres.url)
      all = await createProject(['ioredis', 'redis', 'pg', 'prom-client'])
      none = await createProject([])
      second = await createProject(['redis'])
    })

    afterAll(async () => {
      for (const project of [all, none, second]) await project?.remove()
      await redis?.stop()
      await postgres?.stop()
    })

    describe.each(Object.entries(bundlers))('by %s', (_name, bundler) => {
      test('has the packages that are installed, and uses them', async () => {
        expect(await buildAndRun(bundler, all)).toEqual(withAll)
      })

      test('can be built without them, and says at run time what is not installed', async () => {
        expect(await buildAndRun(bundler, none)).toEqual(withNone)
      })
    })

    test('has the second package for Redis where the first is not installed', async () => {
      const { esbuild } = bundlers
      expect(await buildAndRun(esbuild as Bundler, second)).toEqual({ ...withNone, ...overRedis })
    })
  })
})

test('esbuild bundles the first example of the README, with what it installs', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const [, code = ''] = /```js\n(import express[\s\S]*?)```/.exec(readme) ?? []
  const project = await OwnProject.create(['express'])
  try {
    const entry = await project.write('app.mjs', code)
    const options = { bundle: true, platform: 'node', write: false } as const
    const { outputFiles } = await build({ ...options, entryPoints: [entry] })
    expect(outputFiles[0]?.text).toContain('3000')
  } finally {
    await project.remove()
  }
}, 30_000)
