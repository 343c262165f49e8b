import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals'
import { build } from 'esbuild'
import { EventStream, getEventStreamSingleton, memoryEventLog } from '../src/index.js'
import { healthHandler } from '../src/observe.js'
import { setUp } from './support/app.js'
import { startServer } from './support/server.js'

const open: EventStream[] = []

/** An event stream of this copy of the package, or of another one. */
function make(Class = EventStream, options = {}): EventStream {
  const eventStream = new Class(options)
  open.push(eventStream)
  return eventStream
}

async function anotherCopy(): Promise<typeof import('../src/index.js')> {
  jest.resetModules()
  return import('../src/index.js')
}

describe('two copies of the package that keep events in memory', () => {
  const warnings = jest.fn()

  beforeEach(() => {
    // What was told before is told again.
    delete (globalThis as Record<symbol, unknown>)[Symbol.for('headwater.warned')]
    jest.spyOn(process, 'emitWarning').mockImplementation(warnings as never)
  })

  afterEach(async () => {
    for (const eventStream of open.splice(0)) await eventStream.close()
    warnings.mockClear()
    jest.restoreAllMocks()
  })

  test('are told of once, with what to do, and in health() of both', async () => {
    const { EventStream: Another } = await anotherCopy()
    const one = make()
    expect(one.health().log).not.toHaveProperty('warning')
    const two = make(Another as typeof EventStream)
    make(Another as typeof EventStream)
    expect(warnings.mock.calls).toEqual([
      [
        expect.stringMatching(/each its own.*Use getEventStreamSingleton\(\).* or give redis/),
        { code: 'HEADWATER_MEMORY_COPIES' },
      ],
    ])
    for (const { log, isHealthy } of [one.health(), two.health()]) {
      expect([log.warning, isHealthy]).toEqual(['HEADWATER_MEMORY_COPIES', true])
    }
  })

  test('are told of by health checks', async () => {
    const { EventStream: Another } = await anotherCopy()
    make(Another as typeof EventStream)
    const { eventStream, app } = setUp()
    open.push(eventStream)
    app.get('/healthz', healthHandler(eventStream))
    const { url } = await startServer(app)
    const response = await fetch(`${url}/healthz`)
    expect([response.status, await response.json()]).toEqual([
      200,
      expect.objectContaining({
        log: expect.objectContaining({ warning: 'HEADWATER_MEMORY_COPIES' }),
      }),
    ])
  })

  test('are told of if the logs were given as well', async () => {
    const copy = await anotherCopy()
    make(EventStream, { log: memoryEventLog() })
    make(copy.EventStream as typeof EventStream, { log: copy.memoryEventLog() })
    expect(warnings).toHaveBeenCalledTimes(1)
  })

  test('are no more two when one has closed its event streams', async () => {
    const { EventStream: Another } = await anotherCopy()
    const before = make(Another as typeof EventStream)
    await before.close()
    const one = make()
    expect(warnings).not.toHaveBeenCalled()
    const other = make(Another as typeof EventStream)
    await other.close()
    expect(one.health().log).not.toHaveProperty('warning')
  })

  test('are no fault where both have the same event stream from getEventStreamSingleton', async () => {
    const copy = await anotherCopy()
    const one = getEventStreamSingleton({}, 'for-all-copies')
    expect(copy.getEventStreamSingleton({}, 'for-all-copies')).toBe(one)
    copy.getEventStreamSingleton({}, 'of-one-copy')
    make()
    expect(warnings).not.toHaveBeenCalled()
    expect(one.health().log).not.toHaveProperty('warning')
  })

  test('are no fault within one copy, or where only one of them has memory', async () => {
    const { EventStream: Another } = await anotherCopy()
    make()
    make()
    make(Another as typeof EventStream, { redis: 'redis://127.0.0.1:1' })
    expect(warnings).not.toHaveBeenCalled()
  })
})

describe('a process that keeps events in memory', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-memory-'))
    await build({
      stdin: { contents: script, loader: 'ts', resolveDir: __dirname },
      outfile: join(folder, 'app.cjs'),
      bundle: true,
      platform: 'node',
      logLevel: 'error',
    })
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** @returns What it tells, or the worker that it starts. */
  async function run(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Told> {
    const { stdout } = await promisify(execFile)(process.execPath, ['app.cjs', ...args], {
      cwd: folder,
      env: { ...process.env, ...env },
    })
    return JSON.parse(stdout) as Told
  }

  const oneOfSeveral: Told = {
    warnings: [
      [
        'HEADWATER_MEMORY_PROCESSES',
        expect.stringMatching(/one of several.*Give redis or another log/) as unknown as string,
      ],
    ],
    warning: 'HEADWATER_MEMORY_PROCESSES',
  }
  const onItsOwn: Told = { warnings: [] }

  // PM2 7.0.4 sets these: "instances" is "1" for a single process, forked or not.
  test.each<[string, NodeJS.ProcessEnv, string[], Told]>([
    ['a worker of node:cluster', {}, ['cluster'], oneOfSeveral],
    ['another instance of PM2', { NODE_APP_INSTANCE: '1' }, [], oneOfSeveral],
    ['the first of two of PM2', { NODE_APP_INSTANCE: '0', instances: '2' }, [], oneOfSeveral],
    ['the only one of PM2', { NODE_APP_INSTANCE: '0', instances: '1' }, [], onItsOwn],
    ['the only instance of another manager', { NODE_APP_INSTANCE: '0' }, [], onItsOwn],
    ['the only worker of PM2', { NODE_APP_INSTANCE: '0', instances: '1' }, ['cluster'], onItsOwn],
    ['no worker', {}, [], onItsOwn],
    ['a worker with Redis', { STORE: 'redis://127.0.0.1:1' }, ['cluster'], onItsOwn],
  ])('tells, once, whether others may miss them: %s', async (_name, env, args, told) => {
    expect(
      await run({ NODE_APP_INSTANCE: undefined, instances: undefined, ...env }, ...args),
    ).toEqual(told)
  })
})

interface Told {
  readonly warnings: readonly (readonly [string, string])[]
  readonly warning?: string
}

const script = `
  import cluster from 'node:cluster'
  import { EventStream } from '../src/index'

  if (cluster.isPrimary && process.argv[2] === 'cluster') cluster.fork()
  else {
    const warnings: unknown[] = []
    process.on('warning', ({ code, message }: Error & { code?: string }) => {
      if (code?.startsWith('HEADWATER_')) warnings.push([code, message])
    })
    const options = process.env.STORE ? { redis: process.env.STORE } : {}
    const [{ warning }] = [0, 1].map(() => new EventStream(options).health().log)
    setImmediate(() => {
      process.stdout.write(JSON.stringify({ warnings, warning }), () => process.exit())
    })
  }
`
