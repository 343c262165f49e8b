import { once } from 'node:events'
import { get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  connect as http2Connect,
} from 'node:http2'
import { type AddressInfo, createConnection, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import connectTimeout from 'connect-timeout'
import fastify from 'fastify'
import type { RequestLike, ResponseLike } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'

/** Below every keep-alive. */
const timeoutMs = 150
const quiet = { keepAliveMs: 60_000 }

const warned = jest.spyOn(process, 'emitWarning')

beforeEach(() => {
  warned.mockReset().mockImplementation(() => undefined)
})

afterEach(() => {
  Object(globalThis)[Symbol.for('headwater.warned')]?.clear()
})

/** Resolves when the server has cut a request that came after the stream, and that it never answers. */
async function anotherIsCut(url: string): Promise<void> {
  await new Promise((resolve) => get(`${url}/hangs`, { agent: false }).on('error', resolve))
}

interface Way {
  readonly name: string
  readonly onServer?: (server: Server) => unknown
  readonly onRequest?: (req: IncomingMessage, res: ServerResponse) => unknown
}

const ways: readonly Way[] = [
  {
    name: 'server.timeout',
    onServer: (server) => {
      server.timeout = timeoutMs
    },
  },
  {
    name: 'server.setTimeout with a callback',
    onServer: (server) => server.setTimeout(timeoutMs, (socket) => socket.destroy()),
  },
  {
    name: "a timeout that is set on 'connection'",
    onServer: (server) =>
      server.on('connection', (socket) => socket.setTimeout(timeoutMs, () => socket.destroy())),
  },
  { name: 'req.setTimeout', onRequest: (req) => req.setTimeout(timeoutMs) },
  {
    name: 'req.setTimeout with a callback',
    onRequest: (req) => req.setTimeout(timeoutMs, () => req.socket.destroy()),
  },
  { name: 'res.setTimeout', onRequest: (_req, res) => res.setTimeout(timeoutMs) },
  {
    name: 'res.setTimeout with a callback',
    onRequest: (_req, res) => res.setTimeout(timeoutMs, () => res.destroy()),
  },
  {
    // express-timeout-handler does so, and makes the methods of the response do nothing from then on.
    name: 'a middleware that disables the response',
    onRequest: (req, res) => {
      req.socket.setTimeout(timeoutMs)
      res.on('timeout', () => {
        if (!res.headersSent) req.socket.destroy()
        res.write = (() => true) as typeof res.write
        res.end = () => res
      })
    },
  },
]

describe('a quiet stream is not cut by', () => {
  test.each(ways)('$name', async ({ onServer, onRequest }) => {
    const { eventStream, app } = setUp(quiet)
    app.use((req, res, next) => {
      onRequest?.(req, res)
      next()
    })
    app.get('/events', eventStream('a'))
    app.get('/hangs', () => undefined)
    const { url, server } = await startServer(app)
    onServer?.(server)
    const client = await (await connect(`${url}/events`)).opened()
    await anotherIsCut(url)
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    eventStream.connections()[0]?.end(7)
    await client.end()
    expect([client.data, client.retryMs]).toEqual([[1], 7])
    expect(warned).not.toHaveBeenCalled()
  })

  test('connect-timeout', async () => {
    const { eventStream, app } = setUp(quiet)
    app.use(connectTimeout(`${timeoutMs}ms`))
    app.get('/events', eventStream('a'))
    app.get('/hangs', () => undefined)
    const { url } = await startServer(app)
    const client = await (await connect(`${url}/events`)).opened()
    expect((await connect(`${url}/hangs`)).status).toBe(503)
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
  })

  test("Fastify's connectionTimeout", async () => {
    const { eventStream } = setUp(quiet)
    const app = fastify({ connectionTimeout: timeoutMs, forceCloseConnections: true })
    app.get('/events', async (request, reply) => {
      await eventStream.run(request.raw, reply.raw, 'a')
      reply.hijack()
    })
    app.get('/hangs', () => new Promise(() => undefined))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const client = await (await connect(`${url}/events`)).opened()
    await anotherIsCut(url)
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    await app.close()
  })

  test('a timeout that is set when the stream is open', async () => {
    const { eventStream, app } = setUp(quiet)
    const onOpen = (_stream: unknown, req: RequestLike) => req.setTimeout(timeoutMs)
    app.get('/events', eventStream('a', { onOpen }))
    app.get('/hangs', (req) => void req.setTimeout(timeoutMs))
    const { url } = await startServer(app)
    const client = await (await connect(`${url}/events`)).opened()
    await anotherIsCut(url)
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
  })
})

describe('after a stream', () => {
  test.each([5000, 0])(
    'its connection has the timeout of its server again, where keepAliveTimeout is %d',
    async (keepAliveTimeout) => {
      const { eventStream, app } = setUp(quiet)
      app.get('/events', eventStream('a'))
      app.get('/hangs', () => undefined)
      const { server } = await startServer(app)
      Object.assign(server, { timeout: timeoutMs, keepAliveTimeout })
      const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
      let text = ''
      socket.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      socket.write('GET /events HTTP/1.1\r\nHost: test\r\n\r\n')
      await until(() => text.includes('stream-open'))
      eventStream.connections()[0]?.end()
      await until(() => text.endsWith('0\r\n\r\n'))
      const closed = once(socket, 'close')
      socket.write('GET /hangs HTTP/1.1\r\nHost: test\r\n\r\n')
      await closed
      expect(text.endsWith('0\r\n\r\n')).toBe(true)
    },
  )
})

describe('a stream that is cut by a timeout all the same', () => {
  const cuts: readonly (readonly [string, (req: RequestLike, res: ResponseLike) => unknown])[] = [
    ['a callback of res.setTimeout', (_req, res) => res.setTimeout(50, () => res.destroy())],
    ['a callback that ends the response', (_req, res) => res.setTimeout(50, () => void res.end())],
    [
      'a callback of the socket',
      ({ socket }) => (socket as Socket).setTimeout(50, () => socket.destroy()),
    ],
  ]

  test.each(cuts)('by %s has a reason of its own, and is warned of once', async (_name, cut) => {
    const { eventStream, app, serve } = setUp(quiet)
    app.get('/events', async (req, res) => {
      await eventStream.run(req, res, 'a')
      cut(req, res)
    })
    const request = await serve()
    const clients = [await request('/events'), await request('/events')]
    for (const client of clients) await client.end()
    await until(() => eventStream.connections().length === 0)
    expect(eventStream.metrics().connections.closed).toMatchObject({ timeout: 2, client: 0 })
    expect(warned.mock.calls).toEqual([
      [expect.stringContaining('set it before the stream opens'), { code: 'HEADWATER_TIMEOUT' }],
    ])
  })

  test('is not mixed up with a client that leaves after a timeout that cuts nothing', async () => {
    const { eventStream, app, serve } = setUp(quiet)
    let timedOut = false
    app.get('/events', async (req, res) => {
      await eventStream.run(req, res, 'a')
      res.setTimeout(50, () => {
        timedOut = true
      })
    })
    const client = await (await (await serve())('/events')).opened()
    await until(() => timedOut)
    await new Promise((resolve) => setImmediate(resolve))
    client.destroy()
    await until(() => eventStream.connections().length === 0)
    expect(eventStream.metrics().connections.closed).toMatchObject({ timeout: 0, client: 1 })
    expect(warned).not.toHaveBeenCalled()
  })
})

describe('over HTTP/2', () => {
  type Listener = (req: Http2ServerRequest, res: Http2ServerResponse) => unknown

  async function serveHttp2(server: Http2Server) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const sessions: ClientHttp2Session[] = []
    const open = (path: string): ClientHttp2Stream => {
      const session = http2Connect(`http://127.0.0.1:${port}`)
      session.on('error', () => undefined)
      sessions.push(session)
      const stream = session.request({ ':path': path, accept: 'text/event-stream' })
      return stream.on('error', () => undefined)
    }
    const close = async () => {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    }
    return { open, close }
  }

  function collect(stream: ClientHttp2Stream): () => string {
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    return () => text
  }

  const http2Ways: readonly (readonly [string, (server: Http2Server) => unknown, Listener])[] = [
    ['the timeout of the server', (server) => server.setTimeout(timeoutMs), () => undefined],
    [
      'the timeout of the session',
      (server) =>
        server.on('session', (session) => session.setTimeout(timeoutMs, () => session.destroy())),
      () => undefined,
    ],
    [
      'req.setTimeout',
      () => undefined,
      (req) => req.setTimeout(timeoutMs, () => req.stream.destroy()),
    ],
    [
      'res.setTimeout',
      () => undefined,
      (_req, res) => res.setTimeout(timeoutMs, () => res.stream.destroy()),
    ],
  ]

  test.each(http2Ways)('a quiet stream is not cut by %s', async (_name, onServer, onRequest) => {
    const { eventStream } = setUp(quiet)
    const handler = eventStream('a')
    const server = createHttp2Server((req, res) => {
      onRequest(req, res)
      if (req.url === '/events') void handler(req, res)
    })
    onServer(server)
    const { open, close } = await serveHttp2(server)
    const text = collect(open('/events'))
    await until(() => text().includes('stream-open'))
    await once(open('/hangs'), 'close')
    await eventStream.publishEvent('a', { data: 1 })
    await until(() => text().includes('data: 1'))
    expect(warned).not.toHaveBeenCalled()
    await close()
  })

  test('a session has its timeout again when its last stream has ended', async () => {
    const { eventStream } = setUp(quiet)
    const handler = eventStream('a')
    const server = createHttp2Server((req, res) => {
      if (req.url === '/events') void handler(req, res)
    })
    server.setTimeout(timeoutMs)
    const { open, close } = await serveHttp2(server)
    const first = open('/events')
    const session = first.session as ClientHttp2Session
    const second = session.request({ ':path': '/events', accept: 'text/event-stream' })
    const texts = [collect(first), collect(second)]
    await until(() => texts.every((text) => text().includes('stream-open')))
    eventStream.connections()[0]?.end()
    await until(() => eventStream.connections().length === 1)
    await once(open('/hangs'), 'close')
    expect(session.destroyed).toBe(false)
    const closed = once(session, 'close')
    eventStream.connections()[0]?.end()
    await closed
    await close()
  })

  const http2Cuts: readonly (readonly [string, (server: Http2Server) => unknown, Listener])[] = [
    [
      'of the session is set later',
      () => undefined,
      (_req, { stream: { session } }) => session?.setTimeout(50, () => session.destroy()),
    ],
    [
      'is set on the socket',
      (server) =>
        server.on('connection', (socket: Socket) => socket.setTimeout(50, () => socket.destroy())),
      () => undefined,
    ],
  ]

  test.each(http2Cuts)(
    'a stream is cut where a timeout %s, for a reason of its own',
    async (_name, onServer, onOpened) => {
      const { eventStream } = setUp(quiet)
      const server = createHttp2Server(async (req, res) => {
        await eventStream.run(req, res, 'a')
        onOpened(req, res)
      })
      onServer(server)
      const { open, close } = await serveHttp2(server)
      await once(open('/events'), 'close')
      await until(() => eventStream.connections().length === 0)
      expect(eventStream.metrics().connections.closed).toMatchObject({ timeout: 1, client: 0 })
      expect(warned).toHaveBeenCalledTimes(1)
      await close()
    },
  )
})
