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
import {
  type EventLog,
  EventStream,
  type EventStreamOptions,
  getEventStreamSingleton,
  memoryEventLog,
} from '../src/index.js'
import { healthHandler, statusPage } from '../src/observe.js'
import { postgresEventLog, setUpPostgres } from '../src/postgres.js'
import { redisEventLog } from '../src/redis.js'
import { createResumableStreamContext } from '../src/resumable.js'
import { setUp } from './support/app.js'
import { describeWithPostgres } from './support/describe-with-postgres.js'
import { describeWithRedis } from './support/describe-with-redis.js'
import { PostgresServer } from './support/postgres-server.js'
import { RedisServer } from './support/redis-server.js'
import { startServer } from './support/server.js'
import { wrapLog } from './support/wrap-log.js'

describe('a log that was to be given, and is undefined', () => {
  const warnings = jest.fn<(message: string, options: object) => void>()

  beforeEach(() => {
    // What was told before is told again.
    delete (globalThis as Record<symbol, unknown>)[Symbol.for('headwater.warned')]
    jest.spyOn(process, 'emitWarning').mockImplementation(warnings as never)
  })

  afterEach(() => {
    warnings.mockClear()
    jest.restoreAllMocks()
  })

  test.each<[string, (options: object) => unknown]>([
    ['new EventStream', (options) => new EventStream(options)],
    ['getEventStreamSingleton', (options) => getEventStreamSingleton(options, `${Math.random()}`)],
  ])('is told by a process warning, once, and does no harm to builds: %s', (_name, make) => {
    for (const name of ['redis', 'log']) {
      make({ [name]: undefined })
      make({ [name]: process.env.NO_SUCH_VARIABLE, keepAliveMs: 5000 })
      expect(warnings).toHaveBeenCalledTimes(1)
      expect(warnings).toHaveBeenCalledWith(
        expect.stringMatching(
          new RegExp(`^"${name}" is undefined.*memory of this process.*give redis: false`),
        ),
        { code: 'HEADWATER_MEMORY_LOG' },
      )
      warnings.mockClear()
    }
  })

  test('is not told again when modules are loaded anew, as development servers do', async () => {
    new EventStream({ redis: undefined })
    jest.resetModules()
    const again = await import('../src/index.js')
    await new again.EventStream({ redis: undefined }).close()
    const told = warnings.mock.calls.filter(([message]) => /"redis" is undefined/.test(message))
    expect(told).toHaveLength(1)
  })

  test.each<[string, EventStreamOptions | null | undefined]>([
    ['nothing', undefined],
    ['null', null],
    ['no options', {}],
    ['redis: false', { redis: false }],
    ['redis: false, and an undefined log', { redis: false, log: undefined }],
    ['a log', { log: memoryEventLog() }],
    ['a log, and an undefined redis', { log: memoryEventLog(), redis: undefined }],
    ['a log, and redis: false', { log: memoryEventLog(), redis: false }],
  ])('is not meant by %s', async (_name, options) => {
    const eventStream = new EventStream(options)
    await eventStream.publishEvent('a', { data: 1 })
    expect(warnings).not.toHaveBeenCalled()
    expect(eventStream.health().log.kind).toBe('memory')
  })

  test('is an error to the contexts of resumable streams, which have no memory log', () => {
    const { REDIS_URL, KV_URL } = process.env
    try {
      delete process.env.REDIS_URL
      delete process.env.KV_URL
      const options = { waitUntil: null, publisher: undefined }
      expect(() => createResumableStreamContext(options)).toThrow(/set REDIS_URL/)
      process.env.REDIS_URL = ''
      expect(() => createResumableStreamContext(options)).toThrow(/set REDIS_URL or KV_URL/)
      process.env.KV_URL = 'none://'
      // It is that of KV_URL which is looked at.
      expect(() => createResumableStreamContext(options)).toThrow(/none:/)
    } finally {
      delete process.env.REDIS_URL
      delete process.env.KV_URL
      Object.assign(process.env, REDIS_URL && { REDIS_URL }, KV_URL && { KV_URL })
    }
  })

  test('may not be true, or anything else', () => {
    expect(() => new EventStream({ redis: true as never })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    )
  })
})

/** What tells which log it is. */
async function told(log: EventLog | undefined): Promise<unknown[]> {
  const { eventStream, app } = setUp({ log })
  app.get('/healthz', healthHandler(eventStream))
  app.use('/status', statusPage(eventStream))
  const { url } = await startServer(app)
  const ready = await eventStream.ready()
  const health = (await (await fetch(`${url}/healthz`)).json()) as { log: { kind: unknown } }
  const page = (await (await fetch(`${url}/status?data`)).json()) as { parts: { name: string }[] }
  return [eventStream.health().log.kind, ready.log.kind, health.log.kind, page.parts[0]?.name]
}

describe('health(), ready() and the pages for operators', () => {
  test('say that a log is in memory, or is one of the application', async () => {
    const inner = memoryEventLog()
    expect(await told(undefined)).toEqual(['memory', 'memory', 'memory', 'Log (memory)'])
    expect(await told(inner)).toEqual(['memory', 'memory', 'memory', 'Log (memory)'])
    expect(await told(wrapLog(inner, {}))).toEqual(['other', 'other', 'other', 'Log (other)'])
    const named = wrapLog(inner, { kind: 'sqlite' })
    expect(await told(named)).toEqual(['sqlite', 'sqlite', 'sqlite', 'Log (sqlite)'])
  })

  test('have all of health() when ready() resolves', async () => {
    const { eventStream } = setUp()
    expect(await eventStream.ready()).toEqual(eventStream.health())
  })
})

describeWithRedis('health(), ready() and the pages for operators', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.stop())

  test('say that a log is in Redis', async () => {
    const log = redisEventLog({ redis: server.url })
    expect(await told(log)).toEqual(['redis', 'redis', 'redis', 'Log (redis)'])
    await log.close()
  })
})

describeWithPostgres('health(), ready() and the pages for operators', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await PostgresServer.start()
    await setUpPostgres(server.url)
  })
  afterAll(() => server.stop())

  test('say that a log is in Postgres', async () => {
    const log = postgresEventLog({ pool: server.url })
    expect(await told(log)).toEqual(['postgres', 'postgres', 'postgres', 'Log (postgres)'])
    await log.close()
  })
})
