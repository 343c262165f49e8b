import { afterEach, describe, expect, test } from '@jest/globals'
import { fetchHandler } from '../../src/fetch.js'
import { EventStream } from '../../src/index.js'
import { healthHandler, metricsHandler, statusPage } from '../../src/observe.js'
import { ownerOnly, resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { until } from '../support/until.js'

/** What `next` of Express takes for success, and more that is no error. */
const noErrors = [undefined, null, 'route', 'router', '', 0, false, 'no', 7]

type Fail = (...args: unknown[]) => never

const source = async function* () {
  yield 'text'
}

/** Routes whose function fails; what they are answered. */
const routes: [string, number, (eventStream: EventStream, fail: Fail) => unknown][] = [
  ['authorize', 403, (on, authorize) => on('a', { authorize })],
  ['authorize of streams', 403, (on, authorize) => on.streams.handler('a', source, { authorize })],
  ['authorize of a recovery', 403, (on, authorize) => recovery(on, { authorize })],
  [
    'ownerOnly',
    403,
    (on, user) => on.streams.handler('job', undefined, { authorize: ownerOnly(on, user) }),
  ],
  ['user of a recovery', 500, (on, user) => recovery(on, { user })],
  ['channels', 500, (on, channels) => on(channels)],
  ['track.type', 500, (on, type) => on('a', { track: { type } })],
  ['track.user', 500, (on, user) => on('a', { track: { type: 'x', user } })],
  ['track.metadata', 500, (on, metadata) => on('a', { track: { type: 'x', metadata } })],
]

function recovery(eventStream: EventStream, options: object) {
  return resilience(eventStream).recoveryHandler({ id: 'job', ...options })
}

const codes: Record<number, string> = { 403: 'ERR_FORBIDDEN', 500: 'ERR_CALLBACK' }

describe.each(routes)('%s that throws what is no error', (_name, status, make) => {
  test.each(noErrors)(`is answered ${status}, and not by what comes next: %p`, async (thrown) => {
    const { eventStream, app, errors, serve } = setUp()
    await resilience(eventStream).registry.register({ streamId: 'job' })
    const fail = () => {
      throw thrown
    }
    const failLater = async () => fail()
    app.get('/now', make(eventStream, fail) as never, (_req, res) => res.send('let in'))
    app.get('/later', make(eventStream, failLater as never) as never)
    app.use((_req, res) => res.send('let in'))
    const request = await serve()
    for (const path of ['/now', '/later']) {
      const client = await request(path)
      await client.end()
      expect([client.status, client.text]).toEqual([status, expect.not.stringContaining('let in')])
    }
    const refused = { name: 'EventStreamError', code: codes[status], status, cause: thrown }
    expect(errors).toMatchObject([refused, refused])
    expect(eventStream.connections()).toEqual([])
  })
})

describe('a function of the application that throws what is no error', () => {
  test.each(noErrors)('is an error to onError, where nobody waits for it: %p', async (thrown) => {
    const told: unknown[] = []
    const { eventStream, app, serve } = setUp({ onError: (error) => told.push(error) })
    const fail = () => {
      throw thrown
    }
    app.get('/open', eventStream('a', { onOpen: fail }))
    app.get('/later', eventStream('a', { onOpen: (async () => fail()) as never }))
    app.get('/source', eventStream.streams.handler('one', fail))
    app.get(
      '/chunks',
      // biome-ignore lint/correctness/useYield: it fails before it gives anything.
      eventStream.streams.handler('two', async function* () {
        fail()
      }),
    )
    const request = await serve()
    for (const path of ['/open', '/later', '/source', '/chunks']) await request(path)
    await until(() => told.length === 4)
    const error = { name: 'EventStreamError', code: 'ERR_CALLBACK', cause: thrown }
    // That of a source names its stream.
    const ofSource = { name: 'EventStreamError', code: 'ERR_STREAM_SOURCE', cause: thrown }
    expect(told).toMatchObject([error, error, ofSource, ofSource])
  })

  test.each(noErrors)(
    'is an error of a connection key, and of run and fetch: %p',
    async (thrown) => {
      const fail = () => {
        throw thrown
      }
      const { eventStream, app, errors, serve } = setUp({ connectionKey: fail })
      app.get('/key', eventStream('a'))
      app.get('/run', (req, res, next) => {
        eventStream.run(req, res, 'a', { authorize: fail }).then(undefined, (error) => {
          errors.push(error)
          next(new Error('refused'))
        })
      })
      const request = await serve()
      expect([(await request('/key')).status, (await request('/run')).status]).toEqual([500, 500])
      const [key, run] = [{ code: 'ERR_CALLBACK' }, { code: 'ERR_FORBIDDEN', status: 403 }]
      expect(errors.slice(0, 2)).toMatchObject([key, run])

      const web = new Request('http://a/', { headers: { Accept: 'text/event-stream' } })
      await expect(eventStream.fetch(web, 'a', { authorize: fail })).rejects.toMatchObject(run)
      await expect(
        eventStream.streams.fetch(web, 'a', source, { authorize: fail }),
      ).rejects.toMatchObject(run)
      await expect(eventStream.fetch(web, 'a', { connectionKey: fail })).rejects.toMatchObject(key)
      await expect(fetchHandler(eventStream, fail)(web)).rejects.toMatchObject(key)
      expect((await fetchHandler(eventStream, 'a', { authorize: fail })(web)).status).toBe(403)
    },
  )

  test('stays what it is where it is an object, which error handlers of the application know', async () => {
    const { eventStream, app, errors, serve } = setUp()
    const refusal = { status: 402, message: 'pay first' }
    const authorize = () => {
      throw refusal
    }
    app.get('/a', eventStream('a', { authorize }))
    expect((await (await serve())('/a')).status).toBe(402)
    expect(errors).toEqual([refusal])
  })
})

describe('authorize', () => {
  const told: unknown[] = []
  const message = /authorize must return true or false, got .*: only true lets a request in/

  afterEach(() => {
    told.length = 0
  })

  test.each([
    ['a user', { id: 7 }, 'got an object'],
    ['text', 'yes', 'got "yes"'],
    ['a number', 1, 'got 1'],
    ['nothing, as return was forgotten', undefined, 'got undefined'],
    ['null', null, 'got null'],
  ])(
    'that returns no boolean refuses, and the developer is told once: %s',
    async (_name, given, got) => {
      const onError = (error: unknown) => told.push(error)
      const { eventStream, app, serve } = setUp({ onError })
      await resilience(eventStream).registry.register({ streamId: 'job' })
      const authorize = (async () => given) as never
      app.get('/route', eventStream('a', { authorize }))
      app.get('/streams', eventStream.streams.handler('a', source, { authorize }))
      app.get('/recovery', recovery(eventStream, { authorize }) as never)
      app.get('/run', (req, res, next) => {
        eventStream.run(req, res, 'a', { authorize }).catch(next)
      })
      const request = await serve()
      for (const path of ['/route', '/streams', '/recovery', '/run']) {
        const statuses = [(await request(path)).status, (await request(path)).status]
        expect([path, statuses, told.length]).toEqual([path, [403, 403], 1])
        expect(told.splice(0)).toMatchObject([
          { code: 'ERR_OPTION', message: expect.stringMatching(message) },
        ])
      }
      await request('/route')
      expect(told).toEqual([])

      const { eventStream: other } = setUp({ onError })
      const web = new Request('http://a/', { headers: { Accept: 'text/event-stream' } })
      for (let i = 0; i < 2; i++) {
        await expect(other.fetch(web, 'a', { authorize })).rejects.toMatchObject({ status: 403 })
      }
      expect(told).toMatchObject([{ code: 'ERR_OPTION', message: expect.stringContaining(got) }])
    },
  )

  test('that returns false refuses, and nobody is told', async () => {
    const { eventStream, app, serve } = setUp({ onError: (error) => told.push(error) })
    app.get('/a', eventStream('a', { authorize: () => false }))
    expect((await (await serve())('/a')).status).toBe(403)
    expect(told).toEqual([])
  })
})

describe('a handler of Node that is given something else', () => {
  const eventStream = new EventStream()
  const web = new Request('http://a/', { headers: { Accept: 'text/event-stream' } })
  const handlers: [string, unknown][] = [
    ['a route', eventStream('a')],
    ['run', (req: never, res: never) => eventStream.run(req, res, 'a')],
    ['a route of streams', eventStream.streams.handler('a', source)],
    ['recoveryHandler', resilience(eventStream).recoveryHandler({ id: 'a' })],
    ['linkHandler', eventStream.linkHandler()],
    ['healthHandler', healthHandler(eventStream)],
    ['metricsHandler', metricsHandler(eventStream)],
    ['statusPage', statusPage(eventStream)],
  ]

  test.each(handlers)('rejects, and names what to use: %s', async (_name, handler) => {
    const calls: unknown[][] = [
      [web],
      // As app routes of Next.js and Deno call it.
      [web, { params: Promise.resolve({ id: '7' }) }],
      // As Hono and Koa do.
      [{ req: { raw: web } }, async () => undefined],
      // As Fastify does.
      [{ raw: {} }, { raw: {}, header: () => undefined }],
    ]
    for (const call of calls) {
      const answered = (handler as (...args: unknown[]) => Promise<unknown>)(...call)
      await expect(answered).rejects.toMatchObject({
        name: 'EventStreamError',
        code: 'ERR_OPTION',
        message: expect.stringMatching(
          /needs the request and response of Node, got .*\. (Call |It answers only |Fastify has )/,
        ),
      })
    }
  })

  test('tells next, where there is one', async () => {
    const told: unknown[] = []
    await eventStream('a')(web as never, {} as never, (error) => told.push(error))
    expect(told).toMatchObject([{ code: 'ERR_OPTION' }])
  })
})
