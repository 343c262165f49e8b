import { afterEach, describe, expect, test } from '@jest/globals'
import { EventStream, type EventStreamOptions } from '../../src/index.js'
import type { EventLog, RemoteLog } from '../../src/log/event-log.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { postgresEventLog, setUpPostgres } from '../../src/postgres.js'
import { redisEventLog } from '../../src/redis.js'
import { setUp } from '../support/app.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { setUpBehindProxy } from '../support/played-proxy.js'
import { PostgresServer } from '../support/postgres-server.js'
import { RedisServer } from '../support/redis-server.js'
import type { SseClient } from '../support/sse-client.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

/** What a busy machine may add to all that is measured, in milliseconds. */
const slackMs = 1000

/** Round trips to the log after which a client has its head, and its reset. */
const trips = 3

const closers: (() => Promise<unknown> | undefined)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** Publishes from another process's log, at a rate, without a pause, until the test is over. */
async function publishForEver(log: EventLog & RemoteLog, channel: string, perSecond: number) {
  await log.ready()
  const startedAt = performance.now()
  let published = 0
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1000) * perSecond
    for (; published < due; published++) {
      log.append(channel, [{ data: String(published) }]).catch(() => undefined)
    }
  }, 1)
  closers.push(async () => {
    clearInterval(timer)
    await log.close()
  })
  await until(() => published > perSecond / 4)
}

/** An application whose log is so many milliseconds away, each way. */
async function serveFrom(log: EventLog & RemoteLog, options: EventStreamOptions = {}) {
  const { eventStream, app, serve } = setUp({ log, ...options })
  app.get('/:id', eventStream('{id}'))
  await eventStream.ready()
  closers.push(() => log.close())
  return { eventStream, request: await serve() }
}

/** Milliseconds until a condition holds for each of them, from now on. */
async function timesOf(
  clients: readonly Promise<SseClient>[],
  isThere: (client: SseClient) => boolean,
): Promise<readonly number[]> {
  const startedAt = performance.now()
  return Promise.all(
    clients.map(async (connecting) => {
      const client = await connecting
      closers.push(async () => client.destroy())
      await until(() => isThere(client))
      return performance.now() - startedAt
    }),
  )
}

function hasReset({ control }: SseClient): boolean {
  return control.some(({ event }) => event === 'stream-reset')
}

/** Whether it is live: no event is missing, and they go on. */
async function isLive(client: SseClient): Promise<void> {
  const before = client.events.length
  await client.received(before + 20)
  const numbers = client.data.map(Number)
  expect(numbers).toEqual(numbers.map((_, i) => (numbers[0] as number) + i))
}

describeWithRedis('with a channel that never pauses, in Redis', () => {
  async function setUpFar(delayMs: number) {
    const server = await RedisServer.start()
    closers.push(() => server.stop())
    const proxy = await TcpProxy.start(server.url, delayMs)
    closers.push(() => proxy.close())
    const near = redisEventLog({ redis: server.url })
    const served = await serveFrom(redisEventLog({ redis: proxy.url }))
    return { near, ...served }
  }

  test.each([
    { delayMs: 25, perSecond: 60 },
    { delayMs: 10, perSecond: 200 },
  ])(
    'a client whose position is unknown is told within three round trips of $delayMs ms each way, at $perSecond events/s',
    async ({ delayMs, perSecond }) => {
      const { near, request } = await setUpFar(delayMs)
      await publishForEver(near, 'busy', perSecond)
      for (const lastEventId of ['7-7', '99999999-7', 'nonsense']) {
        const client = request('/busy', { lastEventId })
        const [ms] = await timesOf([client], hasReset)
        expect(ms).toBeLessThan(trips * 2 * delayMs + slackMs)
        await isLive(await client)
      }
    },
  )

  test('the first ten clients of a process have their heads within three round trips of 40 ms, at 400 events/s', async () => {
    const { near, request } = await setUpFar(20)
    await publishForEver(near, 'busy', 400)
    const clients = Array.from({ length: 10 }, () => request('/busy'))
    const times = await timesOf(clients, ({ control }) => control.length > 0)
    expect(Math.max(...times)).toBeLessThan(trips * 2 * 20 + slackMs)
    await Promise.all(clients.map(async (client) => isLive(await client)))
  })
})

describeWithPostgres('with a channel that never pauses, in Postgres', () => {
  test('heads and resets come within three round trips of 40 ms, at 200 events/s', async () => {
    const server = await PostgresServer.start()
    closers.push(() => server.stop())
    await setUpPostgres(server.url)
    const proxy = await TcpProxy.start(server.url, 20)
    closers.push(() => proxy.close())
    const { request } = await serveFrom(postgresEventLog({ pool: proxy.url }))
    await publishForEver(postgresEventLog({ pool: server.url }), 'busy', 200)
    const first = Array.from({ length: 10 }, () => request('/busy'))
    const heads = await timesOf(first, ({ control }) => control.length > 0)
    const lost = ['7-7', '99999999-7', 'nonsense'].map((lastEventId) =>
      request('/busy', { lastEventId }),
    )
    const resets = await timesOf(lost, hasReset)
    expect(Math.max(...heads, ...resets)).toBeLessThan(trips * 2 * 20 + slackMs)
    await Promise.all([...first, ...lost].map(async (client) => isLive(await client)))
  })

  test('first clients of channels have their heads within three round trips of 400 ms, at 60 events/s', async () => {
    const server = await PostgresServer.start()
    closers.push(() => server.stop())
    await setUpPostgres(server.url)
    const proxy = await TcpProxy.start(server.url, 200)
    closers.push(() => proxy.close())
    const { request } = await serveFrom(postgresEventLog({ pool: proxy.url }))
    const names = ['first', 'second', 'third', 'fourth']
    for (const name of names) await publishForEver(postgresEventLog({ pool: server.url }), name, 60)
    const [first, second, ...others] = names
    const headsOf = (...channels: readonly unknown[]) =>
      timesOf(
        channels.map((name) => request(`/${name}`)),
        ({ control }) => control.length > 0,
      )
    const times = [await headsOf(first), await headsOf(second), await headsOf(...others)].flat()
    expect(Math.max(...times)).toBeLessThan(trips * 2 * 200 + slackMs)
  })
})

describe('a client that gives up', () => {
  /** A log that answers nothing about some channels. */
  function stuckLog(...methods: readonly ('follow' | 'heads' | 'read')[]): EventLog {
    const log = memoryEventLog()
    const never = new Promise<never>(() => undefined)
    const isStuck = (channels: string | readonly string[]) => [channels].flat().includes('stuck')
    const own = methods.map((name) => {
      const method = log[name].bind(log) as (...args: unknown[]) => Promise<unknown>
      const stuck = (channels: string | readonly string[], ...rest: unknown[]) =>
        isStuck(channels) ? never : method(channels, ...rest)
      return [name, stuck]
    })
    return wrapLog(log, Object.fromEntries(own))
  }

  const connectionKey = () => 'somebody'

  test.each([['follow', 'now'] as const, ['heads', 'now'] as const, ['read', 'earliest'] as const])(
    'gives its place back at once, while %s of the log does not answer',
    async (method, startFrom) => {
      const { eventStream, app, serve } = setUp({ log: stuckLog(method), connectionKey })
      app.get('/:id', eventStream('{id}', { startFrom }))
      const request = await serve()
      for (let n = 0; n < 40; n++) {
        const leaving = new AbortController()
        const gone = request('/stuck', { signal: leaving.signal }).catch(() => 'gone')
        await until(() => eventStream.health().channels === 1)
        leaving.abort()
        expect(await gone).toBe('gone')
        await until(() => eventStream.health().channels === 0)
      }
      const client = await (await request('/other')).opened()
      expect(client.control[0]?.event).toBe('stream-open')
    },
  )

  test('gives its place back at once, while its stream is being claimed', async () => {
    const log = memoryEventLog()
    const claiming: unknown[] = []
    log.claim = (channel) => {
      claiming.push(channel)
      return new Promise(() => undefined)
    }
    const { eventStream, app, serve } = setUp({ log, connectionKey, maxConnectionsPerKey: 1 })
    app.get(
      '/answers/:id',
      eventStream.streams.handler('{id}', async function* () {
        yield 'never'
      }),
    )
    app.get('/:id', eventStream('{id}'))
    const request = await serve()
    const leaving = new AbortController()
    const gone = request('/answers/1', { signal: leaving.signal }).catch(() => 'gone')
    await until(() => claiming.length === 1)
    leaving.abort()
    await gone
    await until(async () => {
      const client = await request('/other')
      await until(() => client.control.length > 0 || client.ended)
      return client.control.length > 0
    })
    expect(eventStream.connections()).toHaveLength(1)
  })

  test('is not waited for any more, behind a GRIP proxy', async () => {
    const { eventStream, app, serve } = setUpBehindProxy({ log: stuckLog('read'), connectionKey })
    const handler = eventStream('{id}', { startFrom: 'earliest' })
    const handled: Promise<void>[] = []
    app.get('/:id', (req, res, next) => void handled.push(handler(req, res, next)))
    const { open } = await serve()
    const leaving = new AbortController()
    const gone = open('/stuck', { signal: leaving.signal }).catch(() => 'gone')
    await until(() => handled.length === 1)
    leaving.abort()
    expect(await gone).toBe('gone')
    await handled[0]
    expect((await open('/other')).headers['grip-hold']).toBe('stream')
  })

  test('gives its place back at once, by a Web request', async () => {
    const eventStream = new EventStream({ log: stuckLog('follow') })
    for (let n = 0; n < 40; n++) {
      const leaving = new AbortController()
      const request = new Request('http://localhost/', { signal: leaving.signal })
      const answered = eventStream.fetch(request, 'stuck', { connectionKey })
      await until(() => eventStream.health().channels === 1)
      leaving.abort()
      expect((await answered).status).toBe(499)
      expect(eventStream.health().channels).toBe(0)
    }
    const response = await eventStream.fetch(new Request('http://localhost/'), 'other', {
      connectionKey,
    })
    const { value } = (await response.body?.getReader().read()) ?? {}
    expect(new TextDecoder().decode(value)).toContain('stream-open')
    await eventStream.close({ graceMs: 0 })
  })
})
