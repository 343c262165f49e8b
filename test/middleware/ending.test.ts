import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, createConnection } from 'node:net'
import { finished } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import type { RequestHandler } from 'express'
import session, { MemoryStore } from 'express-session'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'
import { compressing, dropsCallback } from '../support/wrapping.js'

const portOf = (server: Server) => (server.address() as AddressInfo).port

/** A client that would use its connection again, and leaves its half of it open, as pools of Apache do. */
async function keptConnection(server: Server, head = 'GET /events HTTP/1.1\r\nHost: test\r\n') {
  const socket = createConnection({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true })
  const got = { text: '' }
  socket.setEncoding('latin1').on('data', (text: string) => {
    got.text += text
  })
  socket.on('error', () => undefined)
  socket.write(`${head}\r\n`)
  return { socket, text: () => got.text }
}

const savesLate = session({
  secret: 'test',
  resave: true,
  saveUninitialized: true,
  store: Object.assign(new MemoryStore(), {
    set(_id: string, _data: unknown, done: () => void) {
      setTimeout(done, 50)
    },
  }),
})

describe('when a server closes, a stream ends with its response', () => {
  const others: readonly (readonly [string, readonly RequestHandler[]])[] = [
    ['nothing else', []],
    ['express-session, whose store takes its time', [savesLate]],
    ['a middleware that drops the callback of end', [dropsCallback]],
    ['compression() that compresses', compressing],
    ['express-session and compression() that compresses', [savesLate, ...compressing]],
    ['compression() that compresses and express-session', [...compressing, savesLate]],
  ]

  test.each(others)('beside %s', async (_name, use) => {
    const { eventStream, app } = setUp()
    app.get('/events', ...use, eventStream('a'))
    const { server } = await startServer(app)
    server.keepAliveTimeout = 0
    const kept = await keptConnection(
      server,
      'GET /events HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n',
    )
    await until(() => eventStream.connections().length === 1)
    const closed = once(server, 'close')
    const since = performance.now()
    server.close()
    await eventStream.close({ graceMs: 20_000 })
    await closed
    expect(performance.now() - since).toBeLessThan(3000)
    await until(() => kept.socket.readableEnded)
    // The last chunk of the chunked transfer coding: nothing was cut off.
    expect(kept.text()).toMatch(/\r\n0\r\n\r\n$/)
    kept.socket.destroy()
  })

  test('also a compressed one, whose client gets all of it', async () => {
    const { eventStream, app } = setUp()
    app.get('/events', ...compressing, eventStream('a'))
    const { server, url } = await startServer(app)
    const asked = httpRequest(`${url}/events`, { headers: { 'Accept-Encoding': 'gzip' } }).end()
    const [res] = (await once(asked, 'response')) as [IncomingMessage]
    const got = { text: '', isComplete: false }
    const unzipped = res.pipe(createGunzip()).setEncoding('utf8')
    unzipped.on('data', (text: string) => {
      got.text += text
    })
    unzipped.on('end', () => {
      got.isComplete = true
    })
    await eventStream.publishEvent('a', { data: 'last' })
    server.close()
    await eventStream.close()
    await until(() => got.isComplete)
    expect(got.text).toMatch(/data: "last"\nid: 1-\d+\n\nretry: \d+\n$/)
  })

  test('or is cut off after graceMs, where a middleware never ends it', async () => {
    const { eventStream, app } = setUp()
    const never: RequestHandler = (_req, res, next) => {
      const { write } = res
      res.write = ((chunk: Buffer) => write.call(res, chunk, 'utf8')) as typeof write
      res.end = () => res
      next()
    }
    app.get('/events', never, eventStream('a'))
    const { server } = await startServer(app)
    const kept = await keptConnection(server)
    await until(() => eventStream.connections().length === 1)
    const closed = once(server, 'close')
    server.close()
    await eventStream.close({ graceMs: 100 })
    await closed
    kept.socket.destroy()
  })

  test('or at once, where a middleware throws', async () => {
    const told: unknown[] = []
    const { eventStream, app } = setUp({ onError: (error) => told.push(error) })
    const throwing: RequestHandler = (_req, res, next) => {
      const { write } = res
      res.write = ((chunk: Buffer) => write.call(res, chunk, 'utf8')) as typeof write
      res.end = () => {
        throw new Error('end')
      }
      next()
    }
    app.get('/events', throwing, eventStream('a'))
    app.get('/others', eventStream('a'))
    const { server, url } = await startServer(app)
    const kept = await keptConnection(server)
    const other = await (await connect(`${url}/others`)).opened()
    await until(() => eventStream.connections().length === 2)
    const closed = once(server, 'close')
    server.close()
    await eventStream.close()
    await closed
    await other.end()
    expect(other.retryMs).toBeGreaterThan(0)
    kept.socket.destroy()
  })
})

describe('whoever waits for the end of a response', () => {
  test('is told once, as morgan is by on-finished', async () => {
    const { eventStream, app, serve } = setUp()
    const told: Promise<void>[] = []
    app.use((_req, res, next) => {
      told.push(finished(res))
      next()
    })
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    eventStream.connections()[0]?.end()
    await client.end()
    await expect(Promise.all(told)).resolves.toEqual([undefined])
  })
})
