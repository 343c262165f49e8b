import { once } from 'node:events'
import { createServer as createHttp2Server, connect as http2Connect } from 'node:http2'
import { type AddressInfo, createConnection, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import compression from 'compression'
import type { RequestHandler } from 'express'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'

/** Collects what a raw connection gets. */
function collect(socket: Socket): { text: string } {
  const collected = { text: '' }
  socket.setEncoding('utf8').on('data', (text: string) => {
    collected.text += text
  })
  return collected
}

describe('a stream is written', () => {
  test('to the socket itself, framed once for all, where nothing stands in between', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const request = await serve()
    const clients = [await request('/events'), await request('/events')]
    for (const client of clients) await client.opened()
    const texts = ['plain', 'Grüße, 世界 👋🏽', 'x'.repeat(100_000), '', '\n\n']
    for (const raw of texts) await eventStream.publishEvent('a', { raw })
    for (const client of clients) {
      await client.received(texts.length)
      expect(client.events.map(({ data }) => data)).toEqual(texts)
    }
    expect(eventStream.connections().map(({ transport }) => transport)).toEqual([
      'socket',
      'socket',
    ])
  })

  const wrapping: RequestHandler = (_req, res, next) => {
    const write = res.write.bind(res)
    res.write = ((...args: Parameters<typeof write>) => write(...args)) as typeof write
    next()
  }
  const encoding: RequestHandler = (_req, res, next) => {
    res.setHeader('Content-Encoding', 'identity')
    next()
  }

  test.each([
    ['compression could come in between', compression()],
    ['a middleware has wrapped write', wrapping],
    ['the body has an encoding already', encoding],
  ])('by the response where %s', async (_why, middleware) => {
    const { eventStream, app, serve } = setUp()
    app.use(middleware)
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    expect(eventStream.connections()[0]?.transport).toBe('response')
    expect(client.data).toEqual([1])
  })

  test('by the response where the client speaks HTTP/1.0 and knows no chunks', async () => {
    const { eventStream, app } = setUp()
    app.get('/events', eventStream('a'))
    const { server } = await startServer(app)
    const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    const got = collect(socket)
    socket.write('GET /events HTTP/1.0\r\n\r\n')
    await until(() => got.text.includes('stream-open'))
    await eventStream.publishEvent('a', { data: 1 })
    await until(() => got.text.includes('data: 1'))
    expect(eventStream.connections()[0]?.transport).toBe('response')
    expect(got.text).toMatch(/\r\n\r\nevent: stream-open\n[\s\S]*\n\ndata: 1\nid: 1-\d+\n\n$/)
    socket.destroy()
  })

  test('by the response where the client speaks HTTP/2', async () => {
    const { eventStream } = setUp()
    const handler = eventStream('a')
    const server = createHttp2Server((req, res) => void handler(req, res))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const session = http2Connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const stream = session.request({ ':path': '/', accept: 'text/event-stream' })
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    await until(() => text.includes('stream-open'))
    await eventStream.publishEvent('a', { data: 1 })
    await until(() => text.includes('data: 1'))
    expect(eventStream.connections()[0]?.transport).toBe('response')
    session.destroy()
    await until(() => eventStream.connections().length === 0)
    await new Promise((resolve) => server.close(resolve))
  })

  test('no further once something has ended the response, whose connection goes on', async () => {
    const { eventStream, app } = setUp()
    let end = () => undefined as unknown
    app.get('/events', (_req, res, next) => {
      end = () => res.end()
      next()
    })
    app.get('/events', eventStream('a'))
    app.get('/other', (_req, res) => {
      res.send('other')
    })
    const { server } = await startServer(app)
    const accepted = once(server, 'connection')
    const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    const [served] = (await accepted) as [Socket]
    const drainListeners = served.listenerCount('drain')
    const got = collect(socket)
    socket.write('GET /events HTTP/1.1\r\nHost: test\r\n\r\n')
    await until(() => got.text.includes('stream-open'))
    // In one turn, and too long to wait for its end: the connection has not heard of the end yet.
    end()
    await eventStream.publishEvent('a', { raw: 'x'.repeat(100_000) })
    await until(() => eventStream.connections().length === 0)
    socket.write('GET /other HTTP/1.1\r\nHost: test\r\n\r\n')
    await until(() => got.text.endsWith('other'))
    const [, second = ''] = got.text.split('0\r\n\r\n')
    expect(second.startsWith('HTTP/1.1 200 OK')).toBe(true)
    expect(served.listenerCount('drain')).toBe(drainListeners)
    socket.destroy()
  })
})
