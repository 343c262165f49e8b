import { once } from 'node:events'
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import { expect, test } from '@jest/globals'
import compression from 'compression'
import express from 'express'
import type { DoctorOptions } from '../../src/doctor/options.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { bad, begin, look } from './look.js'

const opening = 'event: stream-open\nretry: 2000\ndata: {}\nid: 1-5\n\n'

/** Answers HEAD at once, and else as it is told. */
const answering =
  (stream: (res: ServerResponse, req: IncomingMessage) => void) =>
  (req: IncomingMessage, res: ServerResponse) => {
    if (req.method === 'HEAD') res.writeHead(200, { 'Content-Type': 'text/event-stream' }).end()
    else stream(res, req)
  }

const head = (res: ServerResponse) => {
  const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store, no-transform' }
  res.writeHead(200, headers).flushHeaders()
  return res
}

test('finds nothing wrong with an event stream, whose channels are as they were', async () => {
  const { app, eventStream } = setUp()
  app.get('/events', eventStream('a', 'b'))
  const { url } = await startServer(app)
  await eventStream.publishEvent('a', { data: 1 })
  const findings = await look(`${url}/events?token=1`, { connections: 8, seconds: 2 })
  expect(bad(findings)).toEqual({})
  expect(Object.keys(findings)).toEqual(
    expect.arrayContaining(['buffering', 'idle', 'last-event-id', 'resume', 'connections']),
  )
})

test('finds nothing wrong while events are published', async () => {
  const { app, eventStream } = setUp({ keepAliveMs: 50 })
  app.get('/events', eventStream('a'))
  const { url } = await startServer(app)
  const timer = setInterval(() => void eventStream.publishEvent('a', { data: 1 }), 70)
  const findings = await look(`${url}/events`, { seconds: 1 })
  clearInterval(timer)
  expect(bad(findings)).toEqual({})
  expect(findings['keep-alive']?.what).toMatch(/^\d+ came/)
})

test('asks by POST for what is only there', async () => {
  const { app, eventStream } = setUp()
  app.post('/events', eventStream('a'))
  const { url } = await startServer(app)
  expect(bad(await look(`${url}/events`))).toEqual({ status: 'problem' })
  expect(bad(await look(`${url}/events`, { post: true, seconds: 1 }))).toEqual({})
})

test('posts what the stream is asked by, and to no other origin', async () => {
  const got: unknown[] = []
  const app = express().use(express.text({ type: () => true }))
  app.post('/answers', (req, res) => {
    got.push([req.headers['content-type'], req.body])
    if (req.body === '{"q":1}') begin(res)
    else res.sendStatus(400)
  })
  const { url } = await startServer(app)
  app.post('/moved', (_req, res) => res.redirect(307, '/answers'))
  app.post('/elsewhere', (_req, res) => {
    res.redirect(307, `${url.replace('127.0.0.1', 'localhost')}/answers`)
  })
  const asked = async (path: string, options: Partial<DoctorOptions> = {}) => {
    const findings = await look(`${url}${path}`, { body: '{"q":1}', ...options })
    return [got.splice(0)[0], bad(findings)]
  }
  expect(await asked('/answers')).toEqual([['application/json', '{"q":1}'], {}])
  expect(await asked('/answers', { headers: ['Content-Type: text/plain'] })).toEqual([
    ['text/plain', '{"q":1}'],
    {},
  ])
  expect(await asked('/moved')).toEqual([['application/json', '{"q":1}'], { redirect: 'warning' }])
  expect(await asked('/elsewhere')).toMatchObject([[undefined, {}], { status: 'problem' }])
})

test('tells of a head that never comes, though the server answers', async () => {
  const { url } = await startServer(answering(() => undefined))
  expect((await look(url)).buffering).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/^HEAD is answered \(200\), and no head of the stream came in \d/),
    fix: expect.stringContaining('proxy_buffering off'),
  })
})

test('tells of compression that holds the head and all events back', async () => {
  const app = express()
  app.use(compression())
  app.get('/', (_req, res) => void begin(res, { 'Cache-Control': 'no-cache' }))
  const { url } = await startServer(app)
  const findings = await look(url)
  expect(findings.compression).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/gets no head/),
  })
  // What else there is to find is found without compression.
  expect(findings.idle?.level).toBe('ok')
})

test('tells of compression that lets the head pass and holds events back', async () => {
  const { url } = await startServer((req, res) => {
    if (req.headers['accept-encoding'] === 'identity') {
      begin(res)
      return
    }
    res.setHeader('Content-Encoding', 'gzip')
    const gzip = createGzip()
    gzip.pipe(head(res))
    gzip.write('data: hello\n\n')
  })
  const findings = await look(url, { seconds: 1 })
  expect(findings.compression).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/takes gzip gets no event/),
  })
})

test('takes compression that is flushed for what it is', async () => {
  const { url } = await startServer((req, res) => {
    if (req.headers['accept-encoding'] === 'identity') {
      begin(res)
      return
    }
    res.setHeader('Content-Encoding', 'gzip')
    const gzip = createGzip()
    gzip.pipe(head(res))
    gzip.write('retry: 2000\nid: 1\ndata: hello\n\n')
    gzip.flush()
  })
  const findings = await look(url)
  expect(bad(findings)).toEqual({})
  expect(findings.compression?.what).toMatch(/^gzip, and events come through/)
})

test('looks at the stream in the clear where it cannot read an encoding', async () => {
  const { url } = await startServer((req, res) => {
    const isPlain = req.headers['accept-encoding'] === 'identity'
    begin(res, isPlain ? {} : { 'Content-Encoding': 'x-none' })
  })
  expect(bad(await look(url))).toEqual({ compression: 'warning' })
})

test('tells of an opening that comes long after the head', async () => {
  const { url } = await startServer((_req, res) => {
    head(res)
    setTimeout(() => res.end(opening), 1200)
  })
  expect((await look(url, { seconds: 3 })).buffering).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/^stream-open is sent with the head, and came 1\.\d s after it/),
  })
})

test('tells of events that come in parts', async () => {
  const { url } = await startServer(async (_req, res) => {
    begin(res).write('da')
    await pause(1100)
    res.write('ta: 2\n\ndata: ')
    await pause(1100)
    res.end('3\n\n')
  })
  expect((await look(url, { seconds: 5 })).buffering).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/^2 events came in parts/),
  })
})

test('tells of keep-alives and events that come in bursts', async () => {
  const { url } = await startServer(async (req, res) => {
    const isOf = (path: string) => req.url?.startsWith(path)
    head(res).write(isOf('/own') ? opening : 'id: 1\ndata: 1\n\n')
    for (let n = 0; n < 4; n++) {
      await pause(60)
      res.write(isOf('/events') ? 'data: 1\n\ndata: 2\n\n' : ':\n:\n')
    }
  })
  const [own, foreign, events] = await Promise.all(
    ['own', 'foreign', 'events'].map((path) => look(`${url}/${path}`, { seconds: 1 })),
  )
  expect([own, foreign, events].map((findings) => findings?.buffering?.level)).toEqual([
    'problem',
    'warning',
    'warning',
  ])
  expect(events?.buffering?.what).toBe('All events came in bursts: 8 in 4 of them.')
})

test('tells of a stream on which nothing comes', async () => {
  const { url } = await startServer((_req, res) => void head(res))
  expect(bad(await look(url))).toEqual({ buffering: 'warning', retry: 'warning', ids: 'warning' })
})

test('tells of a stream that is ended before anything came', async () => {
  const { url } = await startServer((req, res) => {
    if (req.url === '/cut') setImmediate(() => res.destroy())
    else setImmediate(() => res.end())
    head(res)
  })
  const [cut, ended] = await Promise.all([look(`${url}/cut`), look(url)])
  expect([cut.idle, ended.idle]).toMatchObject([
    { level: 'problem', what: expect.stringMatching(/^The stream was cut off after .*, empty\.$/) },
    { level: 'warning', what: expect.stringMatching(/^The stream was ended after .*, empty\.$/) },
  ])
  // There was no time in which something could have been held back.
  expect([cut.buffering, ended.buffering]).toEqual([undefined, undefined])
})

test('tells of a silent stream that is ended', async () => {
  const { url } = await startServer((_req, res) => {
    begin(res)
    setTimeout(() => res.end(), 1200)
  })
  const { idle } = await look(url, { seconds: 20 })
  expect(idle).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(
      /^The stream was ended after 1(\.\d)? s, of which the last 1(\.\d)? s were silent/,
    ),
  })
})

test('tells of a stream that is cut off, or ended while events come', async () => {
  const { url } = await startServer(async (req, res) => {
    begin(res)
    for (let n = 0; n < 5; n++) {
      await pause(20)
      res.write('data: 1\n\n')
    }
    if (req.url === '/cut') res.destroy()
    else res.end()
  })
  const [cut, ended] = await Promise.all([
    look(`${url}/cut`, { seconds: 5 }),
    look(url, { seconds: 5 }),
  ])
  expect([cut.idle?.level, ended.idle?.level]).toEqual(['problem', 'warning'])
  expect(cut.idle?.what).toMatch(/was cut off .* while events came/)
})

test('tells that an event stream sends clients away, and of one that has its end', async () => {
  const { app, eventStream } = setUp({ maxConnections: 1 })
  app.get('/events', eventStream('a'))
  app.get(
    '/answers/:id',
    eventStream.streams.handler('{id}', async function* () {
      yield 'all'
    }),
  )
  const { url } = await startServer(app)
  expect((await look(`${url}/answers/1`)).idle).toMatchObject({
    level: 'ok',
    what: expect.stringMatching(/^The stream came to its end/),
  })
  const holder = request(`${url}/events`).end()
  await once(holder, 'response')
  expect((await look(`${url}/events`)).idle).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/^The server sends clients away/),
  })
  holder.destroy()
})

test.each([
  ['retry: 0', 'warning', /very soon/],
  ['retry: 900000', 'warning', /very late/],
  ['retry: 3000', 'ok', /after 3 s/],
])('judges the line %j', async (line, level, what) => {
  const { url } = await startServer((_req, res) => void begin(res).end(`${line}\n`))
  expect((await look(url)).retry).toMatchObject({ level, what: expect.stringMatching(what) })
})

test('tells of a limit of connections', async () => {
  let open = 0
  const { url } = await startServer((req, res) => {
    open += 1
    res.on('close', () => {
      open -= 1
    })
    if (open <= 3) begin(res)
    else if (req.url === '/refuses') res.writeHead(429).end()
    else if (req.url === '/resets') req.socket.destroy()
  })
  const found = async (path: string) => (await look(url + path, { connections: 5 })).connections
  expect(await found('/refuses')).toMatchObject({
    level: 'problem',
    what: 'Of 5 streams at once, 3 were served; 2 got 429.',
  })
  expect((await found('/hangs'))?.what).toMatch(/3 were served; 2 got nothing for 1 s/)
  expect((await found('/resets'))?.what).toMatch(/3 were served; 2 got no connection/)
})

test('tells of a limit of connections that clients are told of', async () => {
  const { app, eventStream } = setUp({ connectionKey: () => 'one', maxConnectionsPerKey: 5 })
  app.get('/events', eventStream('a'))
  const { url } = await startServer(app)
  expect((await look(`${url}/events`, { connections: 8, seconds: 2 })).connections).toMatchObject({
    level: 'warning',
    what: 'Of 8 streams at once, 5 were served; 3 were told to come back later.',
  })
})

test('says that nothing answers, and why', async () => {
  const silent = await startServer(() => undefined)
  await expect(look(silent.url)).rejects.toThrow(
    /^127\.0\.0\.1:\d+ did not answer within \d\S* s\.$/,
  )
  await silent.close()
  await expect(look(silent.url)).rejects.toThrow(/cannot be reached: nothing listens there/)
  const rude = await startServer((req) => void req.socket.destroy())
  await expect(look(rude.url)).rejects.toThrow(/closed without an answer/)
  await expect(look(rude.url.replace('http', 'https'))).rejects.toThrow(
    /speaks no TLS|closed without/,
  )
})

test('tells of a stream that is not compressed as it says', async () => {
  const { url } = await startServer((_req, res) => void begin(res, { 'Content-Encoding': 'gzip' }))
  const { compression } = await look(url)
  expect(compression).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/^The stream says .* \(gzip\), and cannot be decoded: no client/),
  })
})

test('says that what answers is not HTTP', async () => {
  const server = createServer((socket) => void socket.end('220 mail.example ESMTP\r\n'))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await expect(look(`http://127.0.0.1:${port}`)).rejects.toThrow(/no HTTP\/1\.1 \(HPE_/)
  server.close()
})
