import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttp2Server, connect as http2Connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, expect, jest, test } from '@jest/globals'
import polkaCompression from '@polka/compression'
import compression from 'compression'
import type { Request, RequestHandler } from 'express'
import { memoryEventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

const big = 'x'.repeat(10_000)

/** Of middleware: what is done with the answer of the real `res.write`. */
function answering(answer: (taken: boolean) => unknown): RequestHandler {
  return (_req, res, next) => {
    const write = res.write.bind(res)
    res.write = ((...args: Parameters<typeof write>) =>
      answer(write(...args))) as unknown as typeof write
    next()
  }
}

/** The well-known recipe that logs bodies, and what express-requests-logger, moesif-nodejs and express-interceptor do. */
const answersNothing = answering(() => undefined)
/** What wrappers do that are `async`. */
const answersPromise = answering((taken) => Promise.resolve(taken))
const answersTrue = answering(() => true)
/** Says that it is full, and never that it is empty. */
const answersFull: RequestHandler = (req, res, next) => {
  const { on } = res
  res.on = function (this: typeof res, name: string, listener: () => void) {
    return name === 'drain' ? this : on.call(this, name, listener)
  } as typeof on
  answering(() => false)(req, res, next)
}

const wrappers: readonly (readonly [answer: string, RequestHandler])[] = [
  ['nothing', answersNothing],
  ['a promise', answersPromise],
  ['true whatever waits', answersTrue],
]

describe('behind a middleware whose write answers', () => {
  test.each([...wrappers, ['false, though nothing waits', answersFull]])(
    '%s, a client that reads gets keep-alives and events after a resume, and is not cut',
    async (_answer, use) => {
      const { eventStream, app, serve } = setUp({ keepAliveMs: 50, stallTimeoutMs: 200 })
      app.get('/events', use, eventStream('a'))
      const request = await serve()
      const first = await (await request('/events')).opened()
      first.destroy()
      await eventStream.publishEvent('a', { data: 1 })
      const client = await request('/events', { lastEventId: first.lastEventId })
      await client.received(1)
      // For far longer than a stall.
      await until(() => client.text.split('\n:\n').length > 10)
      await eventStream.publishEvent('a', { data: 2 })
      await client.received(2)
      expect([client.data, client.ended]).toEqual([[1, 2], false])
      expect(eventStream.metrics().connections.closed.stall).toBe(0)
    },
  )

  test.each(wrappers)(
    '%s, a slow client costs no more than its queue, and loses nothing',
    async (_answer, use) => {
      const log = memoryEventLog({ maxEvents: 10_000, maxBytes: 100_000_000 })
      const { eventStream, app, serve } = setUp({ log, maxQueueBytes: 200_000 })
      app.get('/events', use, eventStream('a'))
      const slow = await (await serve())('/events', { paused: true })
      let queued = 0
      for (let n = 1; n <= 2000; n++) {
        await eventStream.publishEvent('a', { data: { n, big } })
        queued = Math.max(
          queued,
          ...eventStream.connections().map(({ queuedBytes }) => queuedBytes),
        )
      }
      const states = eventStream.connections().map(({ state }) => state)
      slow.resume()
      await slow.received(2000)
      expect([states, queued < 200_000 + 65_536 + 10_500]).toEqual([['behind'], true])
      expect(slow.data.map((data) => Object(data).n)).toEqual(
        Array.from({ length: 2000 }, (_, i) => i + 1),
      )
      await until(() => eventStream.connections().every(({ state }) => state === 'live'))
      await log.close()
    },
  )

  test.each(wrappers)('%s, a client that reads nothing is closed', async (_answer, use) => {
    const { eventStream, app, serve } = setUp({ maxQueueBytes: 50_000, stallTimeoutMs: 300 })
    app.get('/events', use, eventStream('a'))
    await (await serve())('/events', { paused: true })
    for (let n = 1; n <= 1000; n++) await eventStream.publishEvent('a', { data: { n, big } })
    await until(() => eventStream.connections().length === 0)
    expect(eventStream.metrics().connections.closed.stall).toBe(1)
  })

  test('nothing, a stream with a source is read to its end', async () => {
    const { eventStream, app, serve } = setUp({ keepAliveMs: 50, stallTimeoutMs: 200 })
    let last: () => void = () => undefined
    const isLast = new Promise<void>((resolve) => {
      last = resolve
    })
    const source = async function* () {
      yield { data: 1 }
      await isLast
      yield { data: 2 }
    }
    app.get('/answers/:id', answersNothing, eventStream.streams.handler('{id}', source))
    const client = await (await serve())('/answers/a')
    await client.received(1)
    await until(() => client.text.split('\n:\n').length > 10)
    last()
    await client.end()
    expect(client.data).toEqual([1, 2])
  })

  test('nothing, over HTTP/2, a client that reads gets keep-alives and is not cut', async () => {
    const { eventStream } = setUp({ keepAliveMs: 50, stallTimeoutMs: 200 })
    const handler = eventStream('a')
    const server = createHttp2Server((req, res) => {
      const { write } = res
      res.write = ((...args: Parameters<typeof write>) => {
        Reflect.apply(write, res, args)
      }) as unknown as typeof write
      void handler(req, res)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const session = http2Connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const stream = session.request({ ':path': '/', accept: 'text/event-stream' })
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    await until(() => text.split('\n:\n').length > 10)
    expect([stream.closed, eventStream.connections()[0]?.state]).toEqual([false, 'live'])
    session.destroy()
    await new Promise((resolve) => server.close(resolve))
  })

  test('nothing, and that is no response of Node, as node-mocks-http makes them, keep-alives come', async () => {
    const { eventStream } = setUp({ keepAliveMs: 20, stallTimeoutMs: 100 })
    const chunks: string[] = []
    const res = Object.assign(new EventEmitter(), {
      setHeader: () => undefined,
      getHeader: () => undefined,
      getHeaderNames: () => [],
      hasHeader: () => false,
      removeHeader: () => undefined,
      write: (chunk: Buffer) => void chunks.push(chunk.toString()),
      end: () => undefined,
      destroy: () => undefined,
    }) as unknown as ServerResponse
    const req = { method: 'GET', url: '/', headers: {}, socket: {} } as unknown as IncomingMessage
    await eventStream.run(req, res, 'a')
    await until(() => chunks.filter((chunk) => chunk === ':\n').length > 10)
    expect(eventStream.connections()).toHaveLength(1)
    res.emit('close')
    expect(eventStream.connections()).toEqual([])
  })
})

describe('behind a middleware that takes over res.on', () => {
  test('a client that has left is noticed by the end of its socket, and a warning says that nothing is flushed', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const { eventStream, app, serve } = setUp()
    let isClosed = false
    const onClose = () => {
      isClosed = true
    }
    app.get('/events', polkaCompression({ threshold: 0 }), eventStream('a', { onClose }))
    const client = await (await serve())('/events', { headers: { 'Accept-Encoding': 'gzip' } })
    expect(client.headers['content-encoding']).toBe('gzip')
    client.destroy()
    await until(() => isClosed)
    expect(eventStream.connections()).toEqual([])
    expect(warned.mock.calls).toEqual([
      [expect.stringContaining('do not arrive at once'), { code: 'HEADWATER_COMPRESSED' }],
    ])
    warned.mockRestore()
  })

  test('a client that leaves while it waits for the log gives its place back', async () => {
    const inner = memoryEventLog()
    let arrive: () => void = () => undefined
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    let follows = 0
    const log = wrapLog(inner, {
      follow(...args) {
        follows += 1
        if (follows > 1) return inner.follow(...args)
        arrive()
        return new Promise(() => undefined)
      },
    })
    const { eventStream, app, serve } = setUp({ log, maxConnections: 1 })
    const left: Promise<unknown>[] = []
    app.get('/events/:id', polkaCompression({ threshold: 0 }), (req, res, next) => {
      left.push(once(req.socket, 'close'))
      void eventStream('{id}')(req, res, next)
    })
    const request = await serve()
    const leaving = new AbortController()
    const headers = { 'Accept-Encoding': 'gzip' }
    await Promise.allSettled([
      request('/events/a', { headers, signal: leaving.signal }),
      arrived.then(() => leaving.abort()),
    ])
    await left[0]
    const next = await (await request('/events/b')).opened()
    expect(next.control).toHaveLength(1)
    await inner.close()
  })

  test('a slow client whose stream is compressed goes on when it reads, however often', async () => {
    let drainListeners = 0
    const log = memoryEventLog({ maxEvents: 10_000, maxBytes: 100_000_000 })
    const { eventStream, app, serve } = setUp({ log, maxQueueBytes: 50_000 })
    app.use(compression({ threshold: 0, level: 0 }))
    app.use((_req, res, next) => {
      res.setHeader('Cache-Control', 'no-cache')
      const { on } = res
      res.on = function (this: typeof res, name: string, listener: () => void) {
        if (name === 'drain') drainListeners += 1
        return on.call(this, name, listener)
      } as typeof on
      next()
    })
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events', {
      paused: true,
      headers: { 'Accept-Encoding': 'gzip' },
    })
    const text = () => eventStream.connections()[0]?.state
    for (let round = 0; round < 15; round++) {
      for (let n = 0; n < 1000 && text() !== 'behind'; n++) {
        await eventStream.publishEvent('a', { data: { n, big } })
      }
      expect(text()).toBe('behind')
      client.resume()
      await until(() => text() === 'live')
      client.pause()
    }
    // What compression has taken, it never gives back.
    expect(drainListeners).toBe(1)
    await log.close()
  })
})

describe('an application that has', () => {
  const setLength: RequestHandler = (_req, res, next) => {
    res.setHeader('Content-Length', '5')
    next()
  }

  test('set a Content-Length before: it is taken away from the stream', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', setLength, eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    expect([client.headers['content-length'], client.data]).toEqual([undefined, [1]])
  })

  test('set a Content-Length before: it is taken away from other answers', async () => {
    const { eventStream, app } = setUp()
    const handler = eventStream('a')
    app.get('/events', setLength, (req, res) => handler(req, res).catch(() => undefined))
    const { url } = await startServer(app)
    const refused = await fetch(`${url}/events`, { headers: { Accept: 'text/html' } })
    expect([refused.status, await refused.text()]).toEqual([
      406,
      expect.stringContaining('send Accept: text/event-stream.\n'),
    ])
  })

  test('made a request of its own, without resume(): it is served', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', async ({ method, url, headers }, res) => {
      await eventStream.run({ method, url, headers } as Request, res, 'a')
    })
    const client = await (await (await serve())('/events')).opened()
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    expect(client.data).toEqual([1])
  })
})
