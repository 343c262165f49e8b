import { once } from 'node:events'
import { createServer as createHttp2Server, connect as http2Connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import express, { type Request, type RequestHandler } from 'express'
import session, { MemoryStore } from 'express-session'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'
import { compressing, dropsCallback } from '../support/wrapping.js'

declare module 'express-session' {
  interface SessionData {
    user: string
    views: number
  }
}

interface Visitor {
  readonly cookie: string
  readonly url: string
}

/** An application with express-session: /login, /logout, /name, /me and /events. */
async function setUpSessions(
  options: Partial<session.SessionOptions>,
  use: readonly RequestHandler[] = [],
  before: readonly RequestHandler[] = [],
) {
  const { eventStream, app } = setUp()
  const store = new MemoryStore()
  app.use(
    ...before,
    session({ secret: 'test', saveUninitialized: false, resave: false, store, ...options }),
    ...use,
  )
  const text = express.text()
  app.post('/login', (req, res) => {
    req.session.user = 'ann'
    res.send('in')
  })
  app.post('/logout', (req, res) => req.session.destroy(() => res.send('out')))
  app.post('/name', text, (req, res) => {
    req.session.user = String(req.body)
    res.send('named')
  })
  app.get('/me', (req, res) => {
    res.send(req.session.user ?? 'nobody')
  })
  const counted: RequestHandler = (req, _res, next) => {
    req.session.views = (req.session.views ?? 0) + 1
    next()
  }
  const authorize = (req: Request) => req.session.user !== undefined
  app.get('/events', eventStream('a', { authorize }))
  app.get('/counted', counted, eventStream('a', { authorize }))
  app.get(
    '/answers/:id',
    eventStream.streams.handler('{id}', async function* (_req, { signal }) {
      yield { data: 1 }
      await once(signal, 'abort')
    }),
  )
  const { url } = await startServer(app)
  const login = await fetch(`${url}/login`, { method: 'POST' })
  // Only then the session is saved.
  await login.text()
  const [cookie = ''] = (login.headers.get('set-cookie') ?? '').split(';')
  const visitor: Visitor = { cookie, url }
  const ask = async (path: string, init: RequestInit = {}) =>
    (await fetch(`${url}${path}`, { ...init, headers: { Cookie: cookie } })).text()
  return { eventStream, visitor, ask, store }
}

/** Saves in `end` by a promise, as next-session does. */
const savesInEnd = (save: () => Promise<void>): RequestHandler => {
  return (_req, res, next) => {
    const { end } = res
    res.end = ((...args: Parameters<typeof end>) => {
      void save().then(() => Reflect.apply(end, res, args))
      return res
    }) as typeof end
    next()
  }
}

describe('beside express-session', () => {
  const arrangements: readonly (readonly [
    string,
    Partial<session.SessionOptions>,
    RequestHandler[],
    RequestHandler[],
    string,
  ])[] = [
    ['resave', { resave: true }, [], [], '/events'],
    ['resave and rolling', { resave: true, rolling: true }, [], [], '/events'],
    ['a session that the request has changed', {}, [], [], '/counted'],
    ["unset: 'destroy'", { resave: true, unset: 'destroy' }, [], [], '/events'],
    [
      'resave, before compression() that compresses',
      { resave: true },
      [...compressing],
      [],
      '/events',
    ],
    [
      'resave, behind compression() that compresses',
      { resave: true },
      [],
      [...compressing],
      '/events',
    ],
    [
      'resave, beside a wrapper that drops callbacks',
      { resave: true },
      [dropsCallback],
      [],
      '/events',
    ],
  ]

  test.each(arrangements)(
    'with %s: a session that was destroyed meanwhile stays so',
    async (_name, options, use, before, path) => {
      const { eventStream, visitor, ask, store } = await setUpSessions(options, use, before)
      const headers = { Cookie: visitor.cookie, 'Accept-Encoding': 'gzip' }
      const client = await connect(`${visitor.url}${path}`, { headers })
      await until(() => eventStream.connections().length === 1)
      await ask('/logout', { method: 'POST' })
      await eventStream.kick('a')
      await client.end()
      await until(() => eventStream.connections().length === 0)
      expect(Object.keys(Object(store).sessions)).toEqual([])
      const back = await connect(`${visitor.url}${path}`, { headers })
      expect([await ask('/me'), back.status]).toEqual(['nobody', 403])
    },
  )

  test.each(arrangements)(
    'with %s: what was saved meanwhile stays',
    async (_name, options, use, before, path) => {
      const { eventStream, visitor, ask } = await setUpSessions(options, use, before)
      const headers = { Cookie: visitor.cookie, 'Accept-Encoding': 'gzip' }
      const client = await connect(`${visitor.url}${path}`, { headers })
      await until(() => eventStream.connections().length === 1)
      await ask('/name', { method: 'POST', body: 'bob' })
      eventStream.connections()[0]?.end()
      await client.end()
      await until(() => eventStream.connections().length === 0)
      expect(await ask('/me')).toBe('bob')
    },
  )

  test('a stream with a source that is over writes no session', async () => {
    const { eventStream, visitor, ask, store } = await setUpSessions({ resave: true })
    const headers = { Cookie: visitor.cookie }
    const client = await connect(`${visitor.url}/answers/a`, { headers })
    await client.received(1)
    await ask('/logout', { method: 'POST' })
    await eventStream.streams.stop('a')
    await client.end()
    await until(() => eventStream.connections().length === 0)
    expect(Object.keys(Object(store).sessions)).toEqual([])
  })

  test('a session that is saved before the stream opens is there while it is open', async () => {
    const { eventStream, app } = setUp()
    const store = new MemoryStore()
    app.use(session({ secret: 'test', saveUninitialized: false, resave: false, store }))
    const visit: RequestHandler = (req, _res, next) => {
      req.session.user = 'ann'
      req.session.save(next)
    }
    app.get('/events', visit, eventStream('a'))
    const { url } = await startServer(app)
    const client = await (await connect(`${url}/events`)).opened()
    expect(client.headers['set-cookie']).toHaveLength(1)
    expect(Object.keys(Object(store).sessions)).toHaveLength(1)
  })

  test('other answers of a route still save the session', async () => {
    const { visitor, ask } = await setUpSessions({})
    const headers = { Cookie: visitor.cookie, Accept: 'text/html' }
    expect((await fetch(`${visitor.url}/counted`, { headers })).status).toBe(406)
    expect(await ask('/me')).toBe('ann')
  })
})

describe('beside a middleware that saves in end by a promise, as next-session does', () => {
  test('an ended stream saves nothing', async () => {
    const { eventStream, app, serve } = setUp()
    let saved = 0
    const save = async () => {
      saved += 1
    }
    app.get('/events', savesInEnd(save), eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    eventStream.connections()[0]?.end()
    await client.end()
    expect([saved, client.text.endsWith('\n')]).toEqual([0, true])
  })

  test('nor over HTTP/2', async () => {
    const { eventStream } = setUp()
    let saved = 0
    const handler = eventStream('a')
    const server = createHttp2Server((req, res) => {
      const { end } = res
      res.end = ((...args: Parameters<typeof end>) => {
        saved += 1
        return Reflect.apply(end, res, args)
      }) as typeof end
      void handler(req, res)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = http2Connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const stream = client.request({ ':path': '/', accept: 'text/event-stream' })
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    await until(() => text.includes('stream-open'))
    eventStream.connections()[0]?.end(7)
    await once(stream, 'end')
    expect([saved, text.endsWith('retry: 7\n')]).toEqual([0, true])
    client.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
})
