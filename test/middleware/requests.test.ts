import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { type AddressInfo, createConnection } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import express from 'express'
import supertest from 'supertest'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'

describe('an event stream answers', () => {
  test('with the head of a stream, and opens with a cursor and a reconnect delay', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events')
    await client.opened()
    expect(client.status).toBe(200)
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
      'transfer-encoding': 'chunked',
    })
    expect(client.text).toMatch(/^event: stream-open\nretry: \d{4}\ndata: {}\nid: 0-\d+\n\n$/)
    expect(client.retryMs).toBeGreaterThanOrEqual(1000)
    expect(client.retryMs).toBeLessThanOrEqual(3000)
  })

  test('with the headers that the application has set before', async () => {
    const { eventStream, app, serve } = setUp()
    app.use((_req, res, next) => {
      res.setHeader('Access-Control-Allow-Origin', 'https://example.org')
      res.setHeader('Cache-Control', 'private, no-cache')
      res.setHeader('X-Accel-Buffering', 'yes')
      next()
    })
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events')
    expect(client.headers).toMatchObject({
      'access-control-allow-origin': 'https://example.org',
      'cache-control': 'private, no-cache',
      'x-accel-buffering': 'yes',
      'content-type': 'text/event-stream',
    })
  })

  test('with the reconnect delay of the route', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a', { retryMs: 1234 }))
    const client = await (await serve())('/events')
    await client.opened()
    expect(client.retryMs).toBe(1234)
  })

  test('HEAD with the head alone', async () => {
    const { eventStream, app } = setUp()
    app.all('/events', eventStream('a'))
    const response = await supertest(app).head('/events')
    expect([response.status, response.headers['content-type']]).toEqual([200, 'text/event-stream'])
    expect(eventStream.connections()).toEqual([])
  })

  test('POST with a stream, also behind a body parser', async () => {
    const { eventStream, app, serve } = setUp()
    app.use(express.json())
    app.post('/events', eventStream('a'))
    const request = await serve()
    const client = await request('/events', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Content-Length': '0' },
    })
    await client.opened()
    await eventStream.publishEvent('a', { data: 1 })
    expect(await client.received(1)).toHaveLength(1)
  })

  test('POST whose body nobody has read, and notices when its client leaves', async () => {
    const { eventStream, app } = setUp()
    app.post('/events', eventStream('a'))
    const { server } = await startServer(app)
    const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    const head = 'POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n'
    socket.write(`${head}${'x'.repeat(1_000_000)}`)
    await until(() => eventStream.connections().length === 1)
    socket.end()
    await until(() => eventStream.connections().length === 0)
    expect(socket.bytesWritten).toBe(head.length + 1_000_000)
  })

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])(
    '%s with 405 and what it allows',
    async (method) => {
      const { eventStream, app, serve } = setUp()
      app.all('/events', eventStream('a'))
      const client = await (await serve())('/events', { method })
      expect([client.status, client.headers.allow]).toEqual([405, 'GET, HEAD, POST'])
    },
  )

  test.each([
    ['text/html', 406],
    ['application/json, text/plain', 406],
    ['text/event-stream;q=0', 406],
    ['text/event-stream', 200],
    ['text/*', 200],
    ['*/*', 200],
    ['text/html, text/event-stream;q=0.1', 200],
    ['garbage', 406],
  ])('Accept: %s with %i', async (Accept, status) => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events', { headers: { Accept } })
    expect(client.status).toBe(status)
  })

  test('a request without Accept with a stream', async () => {
    const { eventStream, app } = setUp()
    app.get('/events', eventStream('a'))
    const response = await supertest(app).head('/events').unset('Accept')
    expect(response.status).toBe(200)
  })

  test('Last-Event-ID: error with 400', async () => {
    const { eventStream, app, errors, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events', { lastEventId: 'error' })
    expect([client.status, errors]).toMatchObject([400, [{ code: 'ERR_CURSOR' }]])
  })

  test('HEAD so that Node’s own client uses the connection again', async () => {
    const { eventStream } = setUp()
    const handler = eventStream('a')
    const { url } = await startServer((req, res) => void handler(req, res))
    const agent = new Agent({ keepAlive: true })
    const free = once(agent, 'free')
    request(url, { method: 'HEAD', agent }).end()
    await free
    agent.destroy()
    expect(eventStream.connections()).toEqual([])
  })

  test('a stream on the connection that a HEAD came by', async () => {
    const { eventStream } = setUp()
    const handler = eventStream('a')
    const { server } = await startServer((req, res) => void handler(req, res))
    const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    socket.write('HEAD / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n')
    await until(() => text.includes('stream-open'))
    socket.destroy()
    expect(text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2)
  })
})
