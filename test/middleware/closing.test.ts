import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { type AddressInfo, createConnection } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from '@jest/globals'
import { EventStream, memoryEventLog, type OpenStream } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'

describe('the application', () => {
  test('is told once that a stream opened, and once that it ended, whoever ended it', async () => {
    const { eventStream, app, serve } = setUp()
    const told: string[] = []
    let opened: OpenStream | undefined
    app.get(
      '/events/:id',
      eventStream('{id}', {
        onOpen: (stream, req) => {
          opened = stream
          told.push(`open ${req.url} ${stream.channels}`)
        },
        onClose: (stream, req) => told.push(`close ${req.url} ${stream.state}`),
      }),
    )
    const request = await serve()
    const left = await (await request('/events/left')).opened()
    left.destroy()
    await until(() => told.length === 2)
    const ended = await (await request('/events/ended')).opened()
    opened?.end(7)
    await ended.end()
    await until(() => told.length === 4)
    expect(told).toEqual([
      'open /events/left left',
      'close /events/left closed',
      'open /events/ended ended',
      'close /events/ended closed',
    ])
    expect([ended.retryMs, ended.text.endsWith('\n\nretry: 7\n')]).toEqual([7, true])
  })

  test('has a signal per stream, that aborts when it ends', async () => {
    const { eventStream, app, serve } = setUp()
    const streams: OpenStream[] = []
    app.get('/events', async (req, res) => {
      const stream = await eventStream.run(req, res, 'a')
      if (stream !== undefined) streams.push(stream)
    })
    const client = await (await (await serve())('/events')).opened()
    await until(() => streams.length === 1)
    const { signal } = streams[0] as OpenStream
    expect(signal.aborted).toBe(false)
    const aborted = once(signal, 'abort')
    client.destroy()
    await aborted
    expect(streams[0]?.signal.aborted).toBe(true)
  })

  test('hears of its own callbacks that throw, and the stream goes on', async () => {
    const told: unknown[] = []
    const { eventStream, app, serve } = setUp({ onError: (error) => told.push(error) })
    const fail = (message: string) => () => {
      throw new Error(message)
    }
    app.get('/events', eventStream('a', { onOpen: fail('open'), onClose: fail('close') }))
    const client = await (await (await serve())('/events')).opened()
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    client.destroy()
    await until(() => told.length === 2)
    expect(told).toEqual([new Error('open'), new Error('close')])
  })

  test('may end one stream, whose client comes back and misses nothing', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const request = await serve()
    const client = await (await request('/events')).opened()
    await eventStream.publishEvent('a', { data: 1 })
    eventStream.connections()[0]?.end()
    await client.end()
    await eventStream.publishEvent('a', { data: 2 })
    const next = await request('/events', { lastEventId: client.lastEventId })
    await next.received(1)
    expect([client.data, next.data]).toEqual([[1], [2]])
  })
})

describe('a stream that has ended', () => {
  test('leaves its connection to the next request', async () => {
    const { eventStream, app } = setUp()
    app.get('/events', eventStream('a'))
    const { server } = await startServer(app)
    const opened: unknown[] = []
    server.on('connection', (socket) => opened.push(socket))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const streams: string[] = []
    for (let n = 0; n < 3; n++) {
      const { port } = server.address() as AddressInfo
      const [res] = (await once(get({ agent, port, path: '/events' }), 'response')) as [
        IncomingMessage,
      ]
      await until(() => eventStream.connections().length === 1)
      eventStream.connections()[0]?.end()
      streams.push(await text(res))
      // The agent has the connection back a moment after the response ends.
      await until(() => Object.keys(agent.freeSockets).length === 1)
    }
    agent.destroy()
    expect(streams.every((body) => body.includes('stream-open'))).toBe(true)
    expect(opened).toHaveLength(1)
  })

  test('holds up no server that closes after it', async () => {
    const { eventStream, app } = setUp()
    app.get('/events', eventStream('a'))
    const { server } = await startServer(app)
    server.keepAliveTimeout = 0
    const kept = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    kept.resume().write('GET /events HTTP/1.1\r\nHost: test\r\n\r\n')
    await until(() => eventStream.connections().length === 1)
    await eventStream.close()
    const closed = once(server, 'close')
    server.close()
    await closed
    expect(server.listening).toBe(false)
  })
})

describe('close', () => {
  test('ends streams behind what was published, with a delay that spreads, so that the server ends', async () => {
    const { eventStream, app } = setUp()
    app.get('/events', eventStream('a'))
    const { url, server } = await startServer(app)
    const clients = await Promise.all(
      Array.from({ length: 50 }, async () => (await connect(`${url}/events`)).opened()),
    )
    // One that would use its connection again, as browsers do, and never ends it.
    server.keepAliveTimeout = 0
    const kept = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    kept.resume().write('GET /events HTTP/1.1\r\nHost: test\r\n\r\n')
    await until(() => eventStream.connections().length === 51)
    await eventStream.publishEvent('a', { data: 'last' })
    const closed = once(server, 'close')
    server.close()
    await eventStream.close()
    await closed
    for (const client of clients) await client.end()
    const delays = new Set(clients.map(({ retryMs }) => retryMs))
    expect(clients.map(({ data }) => data)).toEqual(clients.map(() => ['last']))
    expect(delays.size).toBeGreaterThan(30)
    expect(eventStream.connections()).toEqual([])
  })

  test('sends away who comes meanwhile, on a connection that ends', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const request = await serve()
    await eventStream.close()
    const client = await request('/events')
    await client.end()
    expect([client.status, client.headers.connection]).toEqual([200, 'close'])
    expect(client.text).toMatch(/^retry: \d{4}\n$/)
  })

  test('cuts off who does not take the end in time', async () => {
    const log = memoryEventLog()
    const { eventStream, app, serve } = setUp({ log })
    app.get('/events', eventStream('a'))
    await (await serve())('/events', { paused: true })
    const big = 'x'.repeat(100_000)
    for (let n = 0; n < 100; n++) await eventStream.publishEvent('a', { data: big })
    await eventStream.close({ graceMs: 100 })
    expect(eventStream.connections()).toEqual([])
    await log.close()
  })

  test('may be called twice, and refuses what is published after it', async () => {
    const eventStream = new EventStream()
    await Promise.all([eventStream.close(), eventStream.close()])
    await expect(eventStream.publishEvent('a', { data: 1 })).rejects.toMatchObject({
      code: 'ERR_LOG_CLOSED',
    })
    expect(() => eventStream.close({ graceMs: -1 })).toThrow(/graceMs is -1; give a whole number/)
  })

  test('leaves a log that the application has given to the application', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log })
    await eventStream.close()
    await expect(log.heads(['a'])).resolves.toHaveLength(1)
    await log.close()
  })
})
