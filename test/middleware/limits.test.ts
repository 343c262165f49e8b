import { type AddressInfo, createConnection } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { memoryEventLog, type RequestLike, type RouteOptions } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

async function setUpPipelining(route: RouteOptions<RequestLike>) {
  const { eventStream, app } = setUp()
  app.get('/events/:n', eventStream('a', route))
  const { server } = await startServer(app)
  const { port } = server.address() as AddressInfo
  /** Sends all at once, over one TCP connection. */
  const sendPipelined = (paths: readonly string[]) => {
    const socket = createConnection(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (part) => {
      text += part
    })
    socket.on('error', () => undefined)
    const send = (...some: readonly string[]) =>
      socket.write(some.map((path) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`).join(''))
    send(...paths)
    return {
      send,
      text: () => text,
      has: (part: string) => until(() => text.includes(part)),
      isClosed: () => socket.closed,
      destroy: () => socket.destroy(),
    }
  }
  return { eventStream, app, sendPipelined }
}

describe('a slow client', () => {
  const big = 'x'.repeat(10_000)

  test('costs no more than its queue, is read on for from the log, and loses nothing', async () => {
    const log = memoryEventLog({ maxEvents: 10_000, maxBytes: 100_000_000 })
    const { eventStream, app, serve } = setUp({ log, maxQueueBytes: 200_000 })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const slow = await request('/events', { paused: true })
    const quick = await (await request('/events')).opened()
    let queued = 0
    for (let n = 1; n <= 3000; n++) {
      await eventStream.publishEvent('a', { data: { n, big } })
      for (const { queuedBytes } of eventStream.connections())
        queued = Math.max(queued, queuedBytes)
    }
    await quick.received(3000)
    const states = eventStream.connections().map(({ state }) => state)
    slow.resume()
    await slow.received(3000)
    const numbers = Array.from({ length: 3000 }, (_, i) => i + 1)
    expect(states.sort()).toEqual(['behind', 'live'])
    expect(queued).toBeLessThan(200_000 + 65_536 + 10_500)
    expect(queued).toBeGreaterThan(100_000)
    expect(slow.data.map((data) => Object(data).n)).toEqual(numbers)
    expect(quick.data.map((data) => Object(data).n)).toEqual(numbers)
    await until(() => eventStream.connections().every(({ state }) => state === 'live'))
    await log.close()
  })

  test('that is too slow for the log is told what it lost', async () => {
    const log = memoryEventLog({ maxEvents: 50 })
    const { eventStream, app, serve } = setUp({ log, maxQueueBytes: 50_000 })
    app.get('/events', eventStream('a'))
    const slow = await (await serve())('/events', { paused: true })
    for (let n = 1; n <= 2000; n++) await eventStream.publishEvent('a', { data: { n, big } })
    slow.resume()
    await until(() => slow.control.length === 2)
    await eventStream.publishEvent('a', { data: { n: 2001 } })
    await until(() => Object(slow.data.at(-1)).n === 2001)
    const numbers = slow.data.map((data) => Object(data).n as number)
    const received = numbers.slice(0, -1)
    expect(received).toEqual(Array.from({ length: received.length }, (_, i) => i + 1))
    expect(slow.control.map(({ event, data }) => [event, data])).toEqual([
      ['stream-open', '{}'],
      ['stream-reset', '{"channels":["a"],"reason":"trimmed"}'],
    ])
    await log.close()
  })

  test('that takes nothing at all is closed, and the others stay', async () => {
    const { eventStream, app, serve } = setUp({ maxQueueBytes: 50_000, stallTimeoutMs: 300 })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const stalled = await request('/events', { paused: true })
    const quick = await (await request('/events')).opened()
    for (let n = 1; n <= 1000; n++) await eventStream.publishEvent('a', { data: { n, big } })
    await until(() => eventStream.connections().length === 1)
    stalled.resume()
    await stalled.end()
    await eventStream.publishEvent('a', { data: { n: 1001 } })
    await until(() => Object(quick.data.at(-1)).n === 1001)
    expect(quick.ended).toBe(false)
  })

  test('that takes little by little is not closed, though one event takes longer than a stall', async () => {
    const { eventStream, app } = setUp({
      log: memoryEventLog({ maxBytes: 100_000_000 }),
      maxEventBytes: 10_000_000,
      // The system takes bytes in steps of its own buffer: here one about every half second.
      stallTimeoutMs: 1500,
    })
    app.get('/events', eventStream('a'))
    const { server } = await startServer(app)
    const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    socket.write('GET /events HTTP/1.1\r\nHost: test\r\n\r\n')
    await until(() => eventStream.connections().length === 1)
    const data = 'x'.repeat(9_000_000)
    for (let n = 1; n <= 2; n++) await eventStream.publishEvent('a', { raw: data })
    let taken = 0
    const reader = setInterval(() => {
      const chunk = socket.read(32_768) ?? socket.read()
      taken += chunk?.length ?? 0
    }, 10)
    await until(() => taken > 2 * data.length || socket.destroyed, 60_000)
    clearInterval(reader)
    socket.destroy()
    expect(taken).toBeGreaterThan(2 * data.length)
  }, 70_000)
})

describe('silence', () => {
  test('is broken by a comment that no listener sees', async () => {
    const { eventStream, app, serve } = setUp({ keepAliveMs: 40 })
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events')
    await until(() => /\n\n:\n:\n/.test(client.text))
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    expect(client.data).toEqual([1])
  })

  test('is broken by an event where the application wants that', async () => {
    const { eventStream, app, serve } = setUp({ keepAliveMs: 40, keepAlive: 'event' })
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events')
    await until(() => client.text.includes('\n\nevent: keep-alive\ndata: \n\n'))
    expect(client.status).toBe(200)
  })

  test('is not broken while there is traffic', async () => {
    const { eventStream, app, serve } = setUp({ keepAliveMs: 1000 })
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events')
    for (let n = 1; n <= 30; n++) {
      await eventStream.publishEvent('a', { data: n })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await client.received(30)
    expect(client.text).not.toMatch(/^:/m)
  })
})

describe('a client that cannot be served now', () => {
  const sentAway = /^retry: \d{4}\n$/

  test('is sent away for a while when there are too many, and served when there is room', async () => {
    const { eventStream, app, serve } = setUp({ maxConnections: 1 })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const first = await (await request('/events')).opened()
    const second = await request('/events')
    await second.end()
    expect([second.status, second.headers['content-type']]).toEqual([200, 'text/event-stream'])
    expect(second.text).toMatch(sentAway)
    first.destroy()
    await until(() => eventStream.connections().length === 0)
    await (await request('/events')).opened()
  })

  test('is counted by its key', async () => {
    const { eventStream, app, serve } = setUp({
      maxConnectionsPerKey: 1,
      connectionKey: (req) => (req.headers['x-user'] as string | undefined) ?? null,
    })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const ann = { headers: { 'X-User': 'ann' } }
    const first = await (await request('/events', ann)).opened()
    const second = await request('/events', ann)
    await second.end()
    expect(second.text).toMatch(sentAway)
    await (await request('/events', { headers: { 'X-User': 'bob' } })).opened()
    await (await request('/events')).opened()
    await (await request('/events')).opened()
    first.destroy()
    await until(() => eventStream.connections().length === 3)
    await (await request('/events', ann)).opened()
  })

  test('is one that is pipelined behind an open stream, where none could ever be served', async () => {
    const asked: unknown[] = []
    const authorize = ({ url }: RequestLike) => asked.push(url) > 0
    const { eventStream, app, sendPipelined } = await setUpPipelining({ authorize })
    app.get('/other', (_req, res) => {
      res.send('other')
    })
    const client = sendPipelined(['/events/1', '/events/2', '/events/3', '/other'])
    await client.has('stream-open')
    await eventStream.publishEvent('a', { data: 1 })
    await client.has('data: 1')
    expect([asked, eventStream.connections().length]).toEqual([['/events/1'], 1])
    eventStream.connections()[0]?.end(7)
    await client.has('other')
    expect(client.text().match(/^retry: \d{4}$/gm)).toHaveLength(3)
    // The connection is free again.
    client.send('/events/4')
    await until(() => asked.length === 2 && eventStream.connections().length === 1)
    client.destroy()
    await until(() => eventStream.connections().length === 0)
  })

  test('closes a TCP connection by which thousands of requests are pipelined', async () => {
    let asked = 0
    const authorize = () => ++asked > 0
    const { eventStream, sendPipelined } = await setUpPipelining({ authorize })
    const paths = Array.from({ length: 5000 }, (_, n) => `/events/${n}`)
    const client = sendPipelined(paths)
    let most = 0
    await until(() => {
      most = Math.max(most, eventStream.connections().length)
      return client.isClosed()
    })
    await until(() => eventStream.connections().length === 0)
    expect([asked, most <= 1]).toEqual([1, true])
  })

  test('is answered 503 where the application wants that', async () => {
    const { eventStream, app, errors, serve } = setUp({
      maxConnections: 1,
      whenUnavailable: 'reject',
    })
    app.get('/events', eventStream('a'))
    const request = await serve()
    await (await request('/events')).opened()
    const second = await request('/events')
    expect([second.status, Number(second.headers['retry-after']) > 0]).toEqual([503, true])
    expect(errors).toMatchObject([{ code: 'ERR_UNAVAILABLE' }])
  })

  test('comes back when the log is away, and the application is told', async () => {
    const away = new Error('the log is away')
    const inner = memoryEventLog()
    const broken = { follow: false, heads: false }
    const log = wrapLog(inner, {
      follow: async (...args) => {
        if (broken.follow) throw away
        return inner.follow(...args)
      },
      heads: async (...args) => {
        if (broken.heads) throw away
        return inner.heads(...args)
      },
    })
    const told: unknown[] = []
    const { eventStream, app, serve } = setUp({ log, onError: (error) => told.push(error) })
    app.get('/events', eventStream('a'))
    const request = await serve()
    for (const method of ['follow', 'heads'] as const) {
      broken[method] = true
      const client = await request('/events')
      await client.end()
      expect([client.status, sentAway.test(client.text)]).toEqual([200, true])
      broken[method] = false
    }
    expect(told).toEqual([away, away])
    await (await request('/events')).opened()
    await log.close()
  })
})

describe('a stream whose log fails under way', () => {
  test('ends with an error that says nothing of its cause, and a reconnect delay', async () => {
    const inner = memoryEventLog()
    let reads = 0
    const log = wrapLog(inner, {
      read: async () => {
        reads += 1
        throw new Error('redis://user:password@host is away')
      },
    })
    const told: unknown[] = []
    const { eventStream, app, serve } = setUp({ log, onError: (error) => told.push(error) })
    app.get('/events', eventStream('a'))
    await eventStream.publishEvent('a', { data: 1 })
    const client = await (await serve())('/events', { lastEventId: '0-1' })
    await client.end()
    expect(client.text).toMatch(
      /data: {}\nid: 0-1\n\nevent: stream-error\nretry: \d{4}\ndata: {}\n\n$/,
    )
    expect([reads, told]).toMatchObject([1, [{ message: /password/ }]])
    await log.close()
  })
})
