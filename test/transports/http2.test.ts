import { EventEmitter, once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
} from 'node:http2'
import { createGunzip } from 'node:zlib'
import { afterEach, describe, expect, test } from '@jest/globals'
import compression from 'compression'
import {
  EventStream,
  type EventStreamOptions,
  memoryEventLog,
  type RouteOptions,
} from '../../src/index.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'
import { sendOverHttp2 } from './client.js'
import { http2Listener, startHttp2 } from './http2.js'

const closers: (() => Promise<void> | void)[] = []

/** An event stream served over HTTP/2, and sessions with it. */
async function setUp(options: EventStreamOptions = {}, events: RouteOptions<unknown> = {}) {
  const eventStream = new EventStream(options)
  const server = createServer(
    http2Listener(eventStream, { events, forbidden: events, failing: events }),
  )
  /** Streams of the server that have been closed. */
  let closed = 0
  server.on('stream', (stream) => stream.on('close', () => closed++))
  const { authority, close } = await startHttp2(server)
  closers.push(close, () => eventStream.close({ graceMs: 0 }))
  const openSession = (): ClientHttp2Session => {
    const session = connect(`http://${authority}`)
    session.on('error', () => undefined)
    closers.push(() => session.destroy())
    return session
  }
  return { eventStream, openSession, closedStreams: () => closed }
}

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** Holds whoever passes until it is opened. */
function gate() {
  const reached = new EventEmitter()
  const called = once(reached, 'called')
  const opened = once(reached, 'open')
  const pass = async () => {
    reached.emit('called')
    await opened
  }
  return { pass, called, open: () => reached.emit('open') }
}

function gunzipped(stream: ClientHttp2Stream) {
  let text = ''
  stream.on('error', () => undefined)
  const plain = stream.pipe(createGunzip()).setEncoding('utf8')
  plain
    .on('error', () => undefined)
    .on('data', (part: string) => {
      text += part
    })
  return { stream, text: () => text }
}

describe('over HTTP/2', () => {
  test('many streams share a session, and each has its own position', async () => {
    const { eventStream, openSession } = await setUp()
    const session = openSession()
    const clients = await Promise.all(
      Array.from({ length: 50 }, (_, n) => sendOverHttp2(session, `/events/${n % 2}`)),
    )
    for (const client of clients) await client.opened()
    for (const n of [1, 2, 3]) await eventStream.publishEvent('room-0', { data: n })
    await eventStream.publishEvent('room-1', { data: 4 })
    for (const client of clients) await client.received(1)
    await until(() => clients.every(({ data }, n) => data.length === (n % 2 === 0 ? 3 : 1)))
    expect(clients.slice(0, 2).map(({ data }) => data)).toEqual([[1, 2, 3], [4]])
  })

  test('a session has so many streams and no more, and one that closes makes room', async () => {
    const { eventStream, openSession } = await setUp({ maxStreamsPerSession: 5 })
    const session = openSession()
    const get = () => sendOverHttp2(session, '/events/7')
    const clients = []
    for (let i = 0; i < 5; i++) clients.push(await (await get()).opened())
    for (let i = 0; i < 10; i++) {
      const rejected = await get()
      await rejected.end()
      expect(rejected.text).toMatch(/^retry: \d{4}\n$/)
    }
    expect(eventStream.connections()).toHaveLength(5)
    await (await sendOverHttp2(openSession(), '/events/7')).opened()
    clients[2]?.destroy()
    await until(() => eventStream.connections().length === 5)
    await (await get()).opened()
  })

  test('a session that is cut takes its streams with it, and no others', async () => {
    const { eventStream, openSession } = await setUp()
    const [cut, other] = [openSession(), openSession()]
    await (await sendOverHttp2(cut, '/events/7')).opened()
    await sendOverHttp2(cut, '/events/7', { paused: true })
    const stays = await (await sendOverHttp2(other, '/events/7')).opened()
    cut.destroy()
    await until(() => eventStream.connections().length === 1)
    await eventStream.publishEvent('room-7', { data: 1 })
    await stays.received(1)
    expect([eventStream.count('room-7'), stays.ended]).toEqual([1, false])
  })

  test.each([
    ['CANCEL', constants.NGHTTP2_CANCEL],
    ['NO_ERROR', constants.NGHTTP2_NO_ERROR],
    ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR],
    ['FLOW_CONTROL_ERROR', constants.NGHTTP2_FLOW_CONTROL_ERROR],
  ])('a stream that is reset with %s is gone, and its session stays', async (_name, code) => {
    const { eventStream, openSession } = await setUp()
    const session = openSession()
    const stream = session.request({ ':path': '/events/7', accept: 'text/event-stream' })
    stream.on('error', () => undefined)
    await once(stream, 'response')
    stream.close(code)
    await until(() => eventStream.connections().length === 0)
    await eventStream.publishEvent('room-7', { data: 1 })
    const next = await sendOverHttp2(session, '/events/7', { lastEventId: '0-1' })
    await next.opened()
  })

  test('one that leaves while it is asked for its rights leaves nothing', async () => {
    const { pass, called, open } = gate()
    let follows = 0
    const inner = memoryEventLog()
    const log = wrapLog(inner, {
      follow: (...args) => {
        follows += 1
        return inner.follow(...args)
      },
    })
    const authorize = async () => {
      await pass()
      return true
    }
    const { eventStream, openSession, closedStreams } = await setUp({ log }, { authorize })
    const stream = openSession().request({ ':path': '/events/7' })
    stream.on('error', () => undefined)
    await called
    stream.close(constants.NGHTTP2_CANCEL)
    await until(() => closedStreams() === 1)
    open()
    await new Promise((resolve) => setImmediate(resolve))
    await eventStream.publishEvent('room-7', { data: 1 })
    expect([follows, eventStream.connections().length]).toEqual([0, 0])
  })

  test('one that leaves while its channel is looked up leaves nothing', async () => {
    const { pass, called, open } = gate()
    const inner = memoryEventLog()
    let left = 0
    const log = wrapLog(inner, {
      follow: async (...args) => {
        await pass()
        const unfollow = await inner.follow(...args)
        return () => {
          left += 1
          unfollow()
        }
      },
    })
    const { eventStream, openSession, closedStreams } = await setUp({ log })
    const stream = openSession().request({ ':path': '/events/7' })
    stream.on('error', () => undefined)
    await called
    stream.close(constants.NGHTTP2_CANCEL)
    await until(() => closedStreams() === 1)
    open()
    await until(() => left === 1, 3000)
    expect(eventStream.connections()).toEqual([])
  })

  test('a client that takes nothing is closed, though others of its session take', async () => {
    const log = memoryEventLog({ maxBytes: 100_000_000 })
    const { eventStream, openSession } = await setUp({
      log,
      maxQueueBytes: 50_000,
      stallTimeoutMs: 400,
    })
    const session = openSession()
    const stalled = await sendOverHttp2(session, '/events/stalled', { paused: true })
    const busy = await (await sendOverHttp2(session, '/events/busy')).opened()
    const big = 'x'.repeat(10_000)
    for (let n = 1; n <= 100; n++) await eventStream.publishEvent('room-stalled', { data: big })
    let n = 0
    // One event after the other has gone through the session, as long as it takes.
    await until(async () => {
      n += 1
      await eventStream.publishEvent('room-busy', { data: { n, big } })
      await busy.received(n)
      return eventStream.connections().length === 1
    })
    stalled.resume()
    await stalled.end()
    expect([busy.ended, eventStream.count('room-busy')]).toEqual([false, 1])
    await log.close()
  })

  test('a client that takes little by little is not closed, though one event takes longer than a stall', async () => {
    const stallTimeoutMs = 1500
    const { eventStream, openSession } = await setUp({
      log: memoryEventLog({ maxBytes: 100_000_000 }),
      maxEventBytes: 10_000_000,
      stallTimeoutMs,
    })
    const length = 4_000_000
    const stream = openSession().request({ ':path': '/events/7' })
    await once(stream, 'response')
    const startedAt = performance.now()
    await eventStream.publishEvent('room-7', { raw: 'x'.repeat(length) })
    let taken = 0
    stream.on('data', (chunk: Buffer) => {
      taken += chunk.length
      stream.pause()
      // 16 KiB each time at most, so that all of it takes several stalls.
      setTimeout(() => stream.resume(), 20)
    })
    await until(() => taken > length || stream.destroyed, 60_000)
    stream.destroy()
    expect(taken).toBeGreaterThan(length)
    expect(performance.now() - startedAt).toBeGreaterThan(2 * stallTimeoutMs)
  }, 70_000)

  test('events arrive at once where they are compressed', async () => {
    const eventStream = new EventStream()
    const handler = eventStream('a')
    const compress = compression({ threshold: 0, filter: () => true })
    const server = createServer((req, res) => {
      res.setHeader('Cache-Control', 'no-cache')
      // Neither knows the types of HTTP/2, nor needs to.
      compress(req as never, res as never, () => void handler(req as never, res as never))
    })
    const { authority, close } = await startHttp2(server)
    const session = connect(`http://${authority}`)
    closers.push(
      () => session.destroy(),
      close,
      () => eventStream.close({ graceMs: 0 }),
    )
    const headers = { 'accept-encoding': 'gzip' }
    const { stream, text } = gunzipped(session.request({ ':path': '/', ...headers }))
    await until(() => text().includes('stream-open'), 3000)
    for (const n of [1, 2, 3]) {
      await eventStream.publishEvent('a', { data: n })
      await until(() => text().includes(`data: ${n}\n`), 3000)
    }
    expect(stream.closed).toBe(false)
  })

  test('close tells clients when to come back, and takes no session from others', async () => {
    const { eventStream, openSession } = await setUp()
    const session = openSession()
    const client = await (await sendOverHttp2(session, '/events/7')).opened()
    await eventStream.publishEvent('room-7', { data: 1 })
    await eventStream.close()
    await client.end()
    const late = await sendOverHttp2(session, '/events/7')
    await late.end()
    expect(client.text).toMatch(/data: 1\nid: 1-\d+\n\nretry: \d{4}\n$/)
    expect([late.status, session.destroyed]).toEqual([200, false])
    expect(late.text).toMatch(/^retry: \d{4}\n$/)
  })

  test('HEAD is answered with the head alone', async () => {
    const { eventStream, openSession } = await setUp()
    const client = await sendOverHttp2(openSession(), '/events/7', { method: 'HEAD' })
    await client.end()
    expect([client.status, client.text, client.headers['content-type']]).toEqual([
      200,
      '',
      'text/event-stream',
    ])
    expect(eventStream.connections()).toEqual([])
  })
})
