import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingHttpHeaders } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { context, trace } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import type { Request } from 'express'
import { Redis } from 'ioredis'
import pg from 'pg'
import type { EventStream, EventStreamOptions, RequestLike, RouteOptions } from '../../src/index.js'
import { memoryEventLog } from '../../src/index.js'
import { healthHandler, metricsHandler, statusPage } from '../../src/observe.js'
import { postgresEventLog, setUpPostgres } from '../../src/postgres.js'
import { redisEventLog } from '../../src/redis.js'
import { resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { PostgresServer } from '../support/postgres-server.js'
import { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { requestOf } from '../support/web-requests.js'

interface Store {
  readonly user: string
}

const storage = new AsyncLocalStorage<Store>()
const userNow = () => storage.getStore()?.user

/** An app whose requests each have a store, with the user that they name. */
function setUpUsers(options: EventStreamOptions = {}) {
  const scene = setUp({ onError: () => undefined, ...options })
  scene.app.use((req, _res, next) => {
    storage.run({ user: String(req.headers['x-user']) }, next)
  })
  return scene
}

const as = (user: string) => ({ headers: { 'x-user': user } })

describe('callbacks of a connection run in the context of its own request', () => {
  const ends: [string, (eventStream: EventStream) => unknown][] = [
    ['another request kicks it', (eventStream) => eventStream.kick('a')],
    ['another request kicks it by a function', (eventStream) => eventStream.kick(() => true)],
    ['another request ends it', (eventStream) => eventStream.connections()[0]?.end()],
    ['the event stream closes', (eventStream) => eventStream.close({ graceMs: 0 })],
  ]

  test.each(ends)('when %s', async (_how, end) => {
    const { eventStream, app, serve } = setUpUsers()
    const told: unknown[] = []
    const onOpen: RouteOptions['onOpen'] = ({ signal }) => {
      told.push(['open', userNow()])
      signal.addEventListener('abort', () => told.push(['abort', userNow()]))
    }
    app.get('/a', eventStream('a', { onOpen, onClose: () => told.push(['close', userNow()]) }))
    app.get('/end', async (_req, res) => {
      await end(eventStream)
      res.end()
    })
    const request = await serve()
    const client = await (await request('/a', as('ann'))).opened()
    await request('/end', as('bob'))
    await client.end()
    await until(() => told.length === 3)
    expect(told).toEqual([
      ['open', 'ann'],
      ['abort', 'ann'],
      ['close', 'ann'],
    ])
  })

  test('when a Web request opened it, and another one kicks it', async () => {
    const { eventStream } = setUp()
    const told: unknown[] = []
    const onClose = () => told.push(userNow())
    const response = await storage.run({ user: 'ann' }, () =>
      eventStream.fetch(requestOf(), 'a', { onClose }),
    )
    await storage.run({ user: 'bob' }, () => eventStream.kick('a'))
    await response.text()
    await until(() => told.length === 1)
    expect(told).toEqual(['ann'])
  })

  test('when its client leaves, on a connection that other requests have used', async () => {
    const { eventStream, app, serve } = setUpUsers()
    const told: unknown[] = []
    app.get('/a', eventStream('a', { onClose: () => told.push(userNow()) }))
    const request = await serve()
    const [ann, bob] = [await request('/a', as('ann')), await request('/a', as('bob'))]
    await Promise.all([ann.opened(), bob.opened()])
    bob.destroy()
    await until(() => told.length === 1)
    ann.destroy()
    await until(() => told.length === 2)
    expect(told).toEqual(['bob', 'ann'])
  })

  test('when it asks for its rights and channels, beside others that do', async () => {
    const told: [string, unknown, unknown][] = []
    const note = (what: string, { headers }: { headers: IncomingHttpHeaders }) => {
      told.push([what, headers['x-user'], userNow()])
    }
    const connectionKey = (req: RequestLike) => {
      note('key', req)
      return undefined
    }
    const { eventStream, app, serve } = setUpUsers({ connectionKey })
    const channels = async (req: Request) => {
      note('channels', req)
      return 'a'
    }
    const authorize = async (req: Request) => {
      await new Promise((resolve) => setImmediate(resolve))
      note('authorize', req)
      return true
    }
    const user = async (req: Request) => {
      note('track', req)
      return 'u'
    }
    app.get('/a', eventStream(channels, { authorize, track: { type: 't', user } }))
    app.get(
      '/s/:id',
      eventStream.streams.handler<Request>('{id}', async function* (req) {
        note('source', req)
        yield 'x'
        await new Promise((resolve) => setImmediate(resolve))
        note('source', req)
      }),
    )
    const request = await serve()
    await Promise.all(
      ['ann', 'bob'].map(async (name) => {
        await (await request('/a', as(name))).opened()
        await (await request(`/s/${name}`, as(name))).end()
      }),
    )
    expect(new Set(told.map(([what]) => what))).toEqual(
      new Set(['key', 'channels', 'authorize', 'track', 'source']),
    )
    expect(told.filter(([, own, seen]) => own !== seen)).toEqual([])
  })
})

test('work of no request has no context, though the first request has loaded the package', () => {
  const { inBackground } = storage.run({ user: 'ann' }, () => {
    let loaded: typeof import('../../src/background.js') | undefined
    jest.isolateModules(() => {
      loaded = require('../../src/background.js')
    })
    return loaded as typeof import('../../src/background.js')
  })
  expect(storage.run({ user: 'bob' }, () => inBackground(userNow))).toBeUndefined()
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Whether nothing holds the store of a request any more. */
async function isReleased(store: WeakRef<Store>): Promise<boolean> {
  collectGarbage()
  await new Promise((resolve) => setImmediate(resolve))
  return store.deref() === undefined
}

/** Has one request need all there is for the first time, and looks whether it is released while others go on. */
async function firstRequestIsReleased(options: EventStreamOptions): Promise<void> {
  const { eventStream, app, serve } = setUp({ onError: () => undefined, ...options })
  const { guardian } = resilience(eventStream)
  const stores: WeakRef<Store>[] = []
  app.use((_req, _res, next) => {
    const store = { user: 'somebody' }
    stores.push(new WeakRef(store))
    storage.run(store, next)
  })
  app.get('/events', eventStream('a', 'b', { track: { type: 't' }, onClose: () => undefined }))
  app.get(
    '/answers/:id',
    eventStream.streams.handler('{id}', () => ['x']),
  )
  app.get('/health', healthHandler(eventStream))
  app.get('/metrics', metricsHandler(eventStream))
  app.get('/status', statusPage(eventStream))
  app.get('/all', async (_req, res) => {
    guardian.start()
    await eventStream.ready()
    await eventStream.publishEvent('a', { data: 1 })
    await eventStream.publishEvent('other', { data: 1 })
    await (await eventStream.streams.create('s', ['x'], { track: { type: 't' } })).ended
    res.end()
  })
  const request = await serve()
  for (const path of ['/all', '/answers/a', '/health', '/metrics', '/status?data']) {
    await (await request(path)).end()
  }
  const first = await (await request('/events')).opened()
  await eventStream.publishEvent('b', { data: 1 })
  await first.received(1)
  first.destroy()
  await until(() => eventStream.connections().length === 0)
  const ofFirst = stores.splice(0)
  const second = await (await request('/events')).opened()
  await eventStream.publishEvent('b', { data: 2 })
  await second.received(1)
  for (const store of ofFirst) await until(() => isReleased(store), 5000)
  await guardian.stop()
}

describe('a log in memory', () => {
  test('holds nothing of the first request', () =>
    firstRequestIsReleased({ log: memoryEventLog() }))
})

/** A provider of OpenTelemetry, whose spans are those of commands, by the context that they are sent in. */
const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const tracer = provider.getTracer('test')

beforeAll(() => provider.register())
afterAll(() => provider.shutdown())

/** As the instrumentations of ioredis and pg do it. */
function traced<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
): () => void {
  const original = target[name] as (...args: unknown[]) => unknown
  target[name] = function (this: unknown, ...args: unknown[]) {
    tracer.startSpan('command').end()
    return Reflect.apply(original, this, args)
  } as Target[Name]
  return () => {
    target[name] = original as Target[Name]
  }
}

/** What is polled after the first request has ended is of no trace, and not of that of the request. */
async function pollsAreOfNoTrace(log: EventStreamOptions['log']): Promise<void> {
  const { eventStream, app, serve } = setUp({ log, onError: () => undefined })
  const ids: string[] = []
  app.use((_req, res, next) => {
    const span = tracer.startSpan('request')
    ids.push(span.spanContext().traceId)
    res.once('close', () => span.end())
    context.with(trace.setSpan(context.active(), span), next)
  })
  app.get('/events', eventStream('a'))
  const request = await serve()
  const first = await (await request('/events')).opened()
  await (await request('/events')).opened()
  first.destroy()
  await until(() => eventStream.connections().length === 1)
  exporter.reset()
  const commands = () => exporter.getFinishedSpans().filter(({ name }) => name === 'command')
  await until(() => commands().length > 4)
  const traces = commands().map((span) => span.spanContext().traceId)
  expect(traces.filter((id) => ids.includes(id))).toEqual([])
}

describeWithRedis('a log in Redis', () => {
  let server: RedisServer
  let restore: () => void

  beforeAll(async () => {
    server = await RedisServer.start()
    restore = traced(Redis.prototype as Redis & object, 'sendCommand')
  })

  afterAll(async () => {
    restore()
    await server.stop()
  })

  test('holds nothing of the first request', async () => {
    const log = redisEventLog({ redis: server.url, prefix: 'held' })
    await firstRequestIsReleased({ log })
    await log.close()
  })

  test('is polled in no request, so that no trace goes on for ever', async () => {
    const log = redisEventLog({ redis: server.url, prefix: 'traced', pollIntervalMs: 50 })
    await pollsAreOfNoTrace(log)
    await log.close()
  })
})

describeWithPostgres('a log in Postgres', () => {
  let server: PostgresServer
  let restore: () => void

  beforeAll(async () => {
    server = await PostgresServer.start()
    restore = traced(pg.Client.prototype as pg.Client & object, 'query')
  })

  afterAll(async () => {
    restore()
    await server.stop()
  })

  test('holds nothing of the first request', async () => {
    const pool = new pg.Pool({ connectionString: server.url })
    await setUpPostgres(pool, { schema: 'held' })
    const log = postgresEventLog({ pool, schema: 'held' })
    await firstRequestIsReleased({ log })
    await log.close()
    await pool.end()
  })

  test('is polled in no request, so that no trace goes on for ever', async () => {
    const pool = new pg.Pool({ connectionString: server.url })
    await setUpPostgres(pool, { schema: 'traced' })
    const log = postgresEventLog({ pool, schema: 'traced', pollIntervalMs: 50 })
    await pollsAreOfNoTrace(log)
    await log.close()
    await pool.end()
  })
})
