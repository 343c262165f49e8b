import { describe, expect, jest, test } from '@jest/globals'
import type { ErrorRequestHandler } from 'express'
import express4 from 'express-4'
import fastify from 'fastify'
import { createApp, defineEventHandler, toNodeListener } from 'h3'
import Koa from 'koa'
import { fetchHandler } from '../../src/fetch.js'
import { EventStreamError, type EventStreamHandler, type RequestLike } from '../../src/index.js'
import { healthHandler } from '../../src/observe.js'
import { recoveryHandler } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { requestOf } from '../support/web-requests.js'

/** What ends processes. */
async function withoutUnhandled(run: () => Promise<void>): Promise<void> {
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  try {
    await run()
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.off('unhandledRejection', note)
  }
  expect(unhandled).toEqual([])
}

const broken = () => {
  throw new Error('password: 1234')
}

describe('errors', () => {
  test.each([
    ['ERR_CURSOR', 400, true],
    ['ERR_FORBIDDEN', 403, true],
    ['ERR_METHOD', 405, true],
    ['ERR_NOT_ACCEPTABLE', 406, true],
    ['ERR_OPTION', 500, false],
    ['ERR_UNAVAILABLE', 503, false],
    ['ERR_GRIP_REQUIRED', 501, true],
  ] as const)('say as what they are answered: %s', (code, status, expose) => {
    const error = new EventStreamError(code, 'message')
    // Frameworks copy them.
    expect({ ...error }).toMatchObject({ status, statusCode: status, expose })
  })

  test('are told by Koa to the client where they are about its request', async () => {
    const { eventStream } = setUp()
    const app = new Koa()
    app.silent = true
    app.use((ctx) => eventStream.run(ctx.req, ctx.res, 'a') as Promise<never>)
    const client = await connect((await startServer(app.callback())).url, { method: 'DELETE' })
    await client.end()
    expect([client.status, client.headers.allow, client.text]).toEqual([
      405,
      'GET, HEAD, POST',
      'What is here answers GET, HEAD, POST, not DELETE.',
    ])
  })

  test('have their headers, though an error handler looks at nothing but the status', async () => {
    const { eventStream, app } = setUp()
    app.all('/', eventStream('a'))
    const answerError: ErrorRequestHandler = ({ status }, _req, res, _next) => {
      res.status(status).end()
    }
    app.use(answerError)
    const client = await connect((await startServer(app)).url, { method: 'DELETE' })
    expect([client.status, client.headers.allow]).toEqual([405, 'GET, HEAD, POST'])
  })
})

describe('a handler that has answered resolves', () => {
  const answered = async (handler: EventStreamHandler) => {
    const results: unknown[] = []
    const { url } = await startServer(async (req, res) => {
      results.push(await handler(req, res))
    })
    return { url, results }
  }

  test('with what is wrong with a request, in plain Node', () =>
    withoutUnhandled(async () => {
      const onError = jest.fn()
      const { eventStream } = setUp({ onError })
      const { url, results } = await answered(eventStream('a'))
      const client = await connect(url, { headers: { Accept: 'application/json' } })
      await client.end()
      expect([client.status, results]).toEqual([406, [undefined]])
      expect(onError).not.toHaveBeenCalled()
    }))

  test('with what is wrong with a request, in Express 4', () =>
    withoutUnhandled(async () => {
      const { eventStream } = setUp()
      const news = eventStream('news')
      const app = express4()
      app.get('/', async (req, res) => {
        await news(req, res)
      })
      const { url } = await startServer(app)
      const client = await connect(url, { headers: { Accept: 'application/json' } })
      expect(client.status).toBe(406)
    }))

  test('with what the application does wrong, of which onError is told', () =>
    withoutUnhandled(async () => {
      const onError = jest.fn()
      const { eventStream } = setUp({ onError })
      const { url, results } = await answered(eventStream('a', { authorize: broken }))
      const client = await connect(url)
      await client.end()
      expect([client.status, client.text]).toEqual([500, 'The event stream cannot be served.\n'])
      expect(results).toEqual([undefined])
      expect(onError.mock.calls).toEqual([[new Error('password: 1234')]])
    }))

  test('with what was meant to be answered with an error, of which onError is not told', () =>
    withoutUnhandled(async () => {
      const onError = jest.fn()
      const { eventStream } = setUp({ onError, whenUnavailable: 'reject', maxConnections: 1 })
      const { url } = await answered(eventStream('a'))
      await (await connect(url)).opened()
      expect((await connect(url)).status).toBe(503)
      expect(onError).not.toHaveBeenCalled()
    }))

  test('of the registry and for operators', () =>
    withoutUnhandled(async () => {
      const onError = jest.fn()
      const { eventStream } = setUp({ onError })
      const recovery = await answered(recoveryHandler(eventStream, { id: () => 'a' }))
      expect((await connect(recovery.url)).status).toBe(404)
      const { url } = await answered(recoveryHandler(eventStream, { id: broken }))
      expect((await connect(url)).status).toBe(500)
      jest.spyOn(eventStream, 'health').mockImplementation(broken)
      const health = await answered(healthHandler(eventStream))
      expect((await connect(health.url)).status).toBe(500)
      expect(onError.mock.calls).toEqual([
        [new Error('password: 1234')],
        [new Error('password: 1234')],
      ])
    }))

  test('also when somebody else has begun to answer, of which onError is told', () =>
    withoutUnhandled(async () => {
      const onError = jest.fn()
      const { eventStream } = setUp({ onError })
      const news = eventStream('a')
      const { url } = await startServer(async (req, res) => {
        res.write('hello')
        await news(req, res)
        res.end()
      })
      const client = await connect(url)
      await client.end()
      expect(client.text).toBe('hello')
      expect(onError.mock.calls).toMatchObject([[{ code: 'ERR_HEAD_SENT' }]])
    }))

  test('and gives the error to a caller who gives next, or uses run', async () => {
    const { eventStream } = setUp()
    const told: unknown[] = []
    const { url } = await startServer(async (req, res) => {
      const next = (error: unknown) => told.push(error)
      await eventStream('a')(req, res, next)
      await eventStream.run(req, res, 'a').catch((error) => told.push(error))
      res.end()
    })
    const client = await connect(url, { headers: { Accept: 'application/json' } })
    await client.end()
    expect(told).toMatchObject([{ code: 'ERR_NOT_ACCEPTABLE' }, { code: 'ERR_NOT_ACCEPTABLE' }])
  })
})

/** What a call is refused with. */
async function refusalOf(call: () => unknown): Promise<{ code: unknown; message: string }> {
  try {
    await call()
  } catch (error) {
    const { code, message } = Object(error)
    return { code, message }
  }
  return { code: undefined, message: 'It was not refused.' }
}

describe('a wrong call is refused with the right one', () => {
  const web = requestOf()

  test('of a Web request to what answers those of Node', async () => {
    const { eventStream } = setUp({ onError: () => undefined })
    const { streams } = eventStream
    const calls: [string, () => unknown][] = [
      ['fetchHandler(eventStream, channels)', () => eventStream('a')(web as never, {} as never)],
      [
        'eventStream.fetch(request, channels)',
        () => eventStream.run(web as never, {} as never, 'a'),
      ],
      [
        'eventStream.streams.fetch(request, id, source)',
        () => streams.handler('a')(web as never, undefined as never),
      ],
      [
        'fetchHandler(eventStream, channels)',
        () => eventStream('a')({ req: { raw: web } } as never, {} as never),
      ],
    ]
    for (const [right, call] of calls) {
      expect(await refusalOf(call)).toEqual({
        code: 'ERR_OPTION',
        message: expect.stringContaining(right),
      })
    }
    const health = await refusalOf(() => healthHandler(eventStream)(web as never, {} as never))
    expect(health).toEqual({ code: 'ERR_OPTION', message: expect.stringMatching(/only .* Node/) })
  })

  test('of a request of Node to what answers Web requests', async () => {
    const { eventStream } = setUp()
    const messages: string[] = []
    const { url } = await startServer(async (req, res) => {
      const request = req as never
      const calls = [
        () => fetchHandler(eventStream, 'a')(request, res as never),
        () => eventStream.fetch(request, 'a'),
        () => eventStream.streams.fetch(request, 'a'),
      ]
      for (const call of calls) messages.push((await refusalOf(call)).message)
      res.end()
    })
    await connect(url)
    expect(messages).toEqual([
      expect.stringContaining('eventStream(channels)'),
      expect.stringContaining('eventStream.run(req, res, channels)'),
      expect.stringContaining('eventStream.streams.handler(id, source)'),
    ])
  })

  test("of Fastify's request and reply", async () => {
    const { eventStream } = setUp({ onError: () => undefined })
    const app = fastify({ forceCloseConnections: true })
    const wrong: Record<string, (request: never, reply: never) => unknown> = {
      '/run': (request, reply) => eventStream.run(request, reply, 'a'),
      '/mixed': (request, reply) => eventStream.run((request as { raw: never }).raw, reply, 'a'),
      '/swapped': (request, reply) => eventStream.run(request, (reply as { raw: never }).raw, 'a'),
      '/handler': (request, reply) => eventStream('a')(request, reply),
    }
    for (const [path, call] of Object.entries(wrong))
      app.get(path, async (request, reply) => call(request as never, reply as never))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const messages: unknown[] = []
    for (const path of Object.keys(wrong)) {
      const response = await fetch(`${url}${path}`)
      const { statusCode, message } = (await response.json()) as Record<string, unknown>
      messages.push([path, statusCode, message])
    }
    await app.close()
    const run = expect.stringContaining('eventStream.run(request.raw, reply.raw, channels)')
    expect(messages).toEqual([
      ['/run', 500, run],
      ['/mixed', 500, run],
      ['/swapped', 500, run],
      ['/handler', 500, expect.stringContaining('eventStream(channels)(request.raw, reply.raw)')],
    ])
  })

  test("of Koa's context, its request and response, and h3's event", async () => {
    const { eventStream } = setUp()
    const messages: string[] = []
    const note = async (call: () => unknown) => messages.push((await refusalOf(call)).message)
    const koa = new Koa()
    koa.use(async (ctx) => {
      await note(() => eventStream.run(ctx as never, undefined as never, 'a'))
      await note(() => eventStream.run(ctx.request as never, ctx.response as never, 'a'))
      ctx.body = ''
    })
    await connect((await startServer(koa.callback())).url)
    const h3 = createApp().use(
      defineEventHandler(async (event) => {
        await note(() => eventStream.run(event as never, undefined as never, 'a'))
        return ''
      }),
    )
    await connect((await startServer(toNodeListener(h3))).url)
    expect(messages).toEqual([
      expect.stringContaining('eventStream.run(ctx.req, ctx.res, channels)'),
      expect.stringContaining('eventStream.run(ctx.req, ctx.res, channels)'),
      expect.stringContaining('eventStream.run(event.node.req, event.node.res, channels)'),
    ])
  })

  test('which a request with odd properties is not', async () => {
    const { eventStream } = setUp()
    const { url } = await startServer((req, res) => {
      // As Express has them, and parsers of bodies.
      Object.assign(req, { res, raw: Buffer.from('{}'), req: { headers: {} } })
      Object.assign(res, { req, raw: 'x' })
      void eventStream('a')(req as RequestLike, res)
    })
    expect((await connect(url)).status).toBe(200)
  })
})
