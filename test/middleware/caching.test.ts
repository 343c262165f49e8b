import { describe, expect, test } from '@jest/globals'
import type { Request as ExpressRequest } from 'express'
import fastify from 'fastify'
import Koa from 'koa'
import { errorResponse, fetchHandler } from '../../src/fetch.js'
import { EventStream } from '../../src/index.js'
import { healthHandler, metricsHandler, statusPage } from '../../src/observe.js'
import { resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { type ClientOptions, connect } from '../support/sse-client.js'
import { requestOf } from '../support/web-requests.js'

const teapot = () => {
  throw Object.assign(new Error('teapot'), { status: 418, headers: { 'X-Pot': 'tea' } })
}

/** An event stream with a stream `a` that has ended, and its last position. */
async function setUpEnded() {
  const scene = setUp({ onError: () => undefined })
  const { registry, sendStreamEvent } = resilience(scene.eventStream)
  await (await scene.eventStream.streams.create('a', ['x'])).ended
  const { head } = await scene.eventStream.streams.known('a')
  await registry.register({ streamId: 'job', streamType: 'export' })
  const last = await sendStreamEvent('job', 'done', 1, true)
  return { ...scene, head, last }
}

type Case = readonly [status: number, path: string, options: ClientOptions, vary?: string]

/** What is answered that is no stream, with what it depends on. */
const answers = (head: string): readonly Case[] => [
  [204, '/answers/a', { lastEventId: head }, 'Last-Event-ID'],
  [404, '/answers/b', {}],
  [405, '/rooms/a', { method: 'DELETE' }],
  [406, '/rooms/a', { headers: { Accept: 'text/html' } }, 'Accept'],
  [400, '/rooms/a', { lastEventId: 'error' }, 'Last-Event-ID'],
  [403, '/forbidden', {}],
  [418, '/teapot', {}],
  [500, '/broken', {}],
]

const operators: readonly Case[] = [
  [200, '/recover/job', {}, 'Last-Event-ID'],
  [404, '/recover/b', {}],
  [405, '/recover/b', { method: 'POST' }],
  [200, '/health', {}],
  [405, '/health', { method: 'POST' }],
  [200, '/metrics', {}],
  [405, '/metrics', { method: 'DELETE' }],
  [200, '/status', {}],
  [200, '/status?data', {}],
  [405, '/status', { method: 'PUT' }],
  [403, '/link', {}],
]

function mount(app: ReturnType<typeof setUp>['app'], eventStream: EventStream): void {
  const broken = () => {
    throw new TypeError('a mistake of the application')
  }
  app.all('/answers/:id', eventStream.streams.handler('{id}'))
  app.all('/rooms/:id', eventStream('room-{id}'))
  app.all('/run/:id', (req: ExpressRequest, res, next) => {
    eventStream.run(req, res, String(req.params.id), { authorize: teapot }).catch(next)
  })
  app.all('/forbidden', eventStream('a', { authorize: () => false }))
  app.all('/teapot', eventStream('a', { authorize: teapot }))
  app.all('/broken', eventStream(broken))
  app.all('/recover/:streamId', resilience(eventStream).recoveryHandler({ authorize: () => true }))
  app.all('/health', healthHandler(eventStream))
  app.all('/metrics', metricsHandler(eventStream))
  app.all('/status', statusPage(eventStream))
  app.all('/link', eventStream.linkHandler())
}

async function toldBy(url: string, { headers, ...options }: ClientOptions) {
  const client = await connect(url, { ...options, headers: { ...headers } })
  client.destroy()
  const { 'cache-control': control, vary } = client.headers
  return [client.status, control, vary]
}

describe('no cache may keep what is no stream', () => {
  const withUrl = async (set: Record<string, string>) => {
    const { eventStream, app, head } = await setUpEnded()
    app.use((_req, res, next) => {
      res.set(set)
      next()
    })
    mount(app, eventStream)
    return { url: (await startServer(app)).url, cases: [...answers(head), ...operators] }
  }

  test('of Express, answered by itself or by error handlers', async () => {
    const { url, cases } = await withUrl({})
    for (const [status, path, options, vary] of [...cases, [418, '/run/a', {}] as Case]) {
      const told = await toldBy(`${url}${path}`, options)
      expect([path, ...told]).toEqual([path, status, 'no-store', vary])
    }
  })

  test('though the application says otherwise of all its answers, and what else it says stays', async () => {
    const { url, cases } = await withUrl({ 'Cache-Control': 'public, max-age=60', Vary: 'Origin' })
    for (const [status, path, options, vary] of cases) {
      const told = await toldBy(`${url}${path}`, options)
      const all = vary === undefined ? 'Origin' : `Origin, ${vary}`
      expect([path, ...told]).toEqual([path, status, 'no-store', all])
    }
  })

  test.each([
    'CDN-Cache-Control',
    'Cloudflare-CDN-Cache-Control',
    'Vercel-CDN-Cache-Control',
    'Surrogate-Control',
    'X-Accel-Expires',
    'Edge-Control',
    'Expires',
  ])('nor is it said in %s', async (name) => {
    const { url, cases } = await withUrl({ [name]: 'max-age=60' })
    for (const [, path, options] of [...cases, [200, '/rooms/a', {}] as Case]) {
      const client = await connect(`${url}${path}`, options)
      client.destroy()
      expect([path, client.headers[name.toLowerCase()]]).toEqual([path, undefined])
    }
  })

  test('unless an error handler of the application says so', async () => {
    const { eventStream, app } = await setUpEnded()
    mount(app, eventStream)
    app.use(
      (
        _error: unknown,
        _req: unknown,
        res: { set: (name: string, value: string) => { end(): void } },
        _next: unknown,
      ) => res.set('Cache-Control', 'max-age=5').end(),
    )
    const { url } = await startServer(app)
    expect((await toldBy(`${url}/teapot`, {}))[1]).toBe('max-age=5')
  })

  test('of plain Node, which has no next', async () => {
    const { eventStream, head } = await setUpEnded()
    const handlers: Record<string, ReturnType<EventStream['route']>> = {
      answers: eventStream.streams.handler(({ url }) => url?.split('/')[2] as string),
      rooms: eventStream('a'),
      forbidden: eventStream('a', { authorize: () => false }),
      teapot: eventStream('a', { authorize: teapot }),
      broken: eventStream(() => Promise.reject(new TypeError('a mistake'))),
    }
    const { url } = await startServer((req, res) => {
      res.setHeader('Cache-Control', 'public, max-age=60')
      res.setHeader('Vary', 'Origin')
      const [, name = ''] = (req.url ?? '').split('/')
      void handlers[name]?.(req, res).catch(() => undefined)
    })
    for (const [status, path, options, vary] of answers(head)) {
      const told = await toldBy(`${url}${path}`, options)
      const all = vary === undefined ? 'Origin' : `Origin, ${vary}`
      expect([path, ...told]).toEqual([path, status, 'no-store', all])
    }
  })

  test('of Koa, which takes all headers away before it answers an error', async () => {
    const { eventStream, head } = await setUpEnded()
    const app = new Koa()
    app.silent = true
    app.use(async (ctx) => {
      ctx.set('Cache-Control', 'public, max-age=60')
      const [, name = '', id = ''] = ctx.path.split('/')
      if (name === 'answers') await eventStream.streams.handler(() => id)(ctx.req, ctx.res)
      else {
        const authorize = name === 'teapot' ? teapot : () => name === 'rooms'
        await eventStream.run(ctx.req, ctx.res, 'a', { authorize })
      }
      ctx.respond = false
    })
    const { url } = await startServer(app.callback())
    for (const [status, path, options, vary] of answers(head)) {
      if (path === '/broken' || path === '/answers/b') continue
      const told = await toldBy(`${url}${path}`, options)
      expect([path, ...told]).toEqual([path, status, 'no-store', vary])
    }
  })

  test('of Fastify, which puts headers of its own in place of those that are there', async () => {
    const { eventStream } = await setUpEnded()
    const app = fastify({ forceCloseConnections: true })
    app.addHook('onRequest', async (_request, reply) => {
      reply.header('Cache-Control', 'public, max-age=60')
    })
    app.all('/*', async ({ raw }, reply) => {
      await eventStream.run(raw, reply.raw, 'a', { authorize: () => raw.url !== '/forbidden' })
      reply.hijack()
    })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    try {
      const refused = answers('').filter(([, path]) => ['/rooms/a', '/forbidden'].includes(path))
      for (const [status, path, options] of refused) {
        const [found, control] = await toldBy(`${url}${path}`, options)
        expect([path, found, control]).toEqual([path, status, 'no-store'])
      }
    } finally {
      await app.close()
    }
  })

  test('of Web requests', async () => {
    const { eventStream, head } = await setUpEnded()
    const { streams } = eventStream
    const ask: Record<string, (request: Request) => Promise<Response>> = {
      '/answers/a': (request) => streams.fetch(request, 'a'),
      '/answers/b': (request) => streams.fetch(request, 'b'),
      '/rooms/a': fetchHandler(eventStream, 'a'),
      '/forbidden': fetchHandler(eventStream, 'a', { authorize: () => false }),
      '/teapot': fetchHandler(eventStream, 'a', { authorize: teapot }),
      '/broken': (request) => eventStream.fetch(request, () => Promise.reject(new TypeError('x'))),
    }
    for (const [status, path, { lastEventId, headers, ...init }, vary] of answers(head)) {
      const position = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId }
      const request = requestOf({ ...init, headers: { ...headers, ...position } })
      const response = await (ask[path] as typeof fetch)(request).catch(errorResponse)
      const told = [response.status, response.headers.get('cache-control')]
      expect([path, ...told, response.headers.get('vary')]).toEqual([
        path,
        status,
        'no-store',
        vary ?? null,
      ])
    }
  })
})

describe('no cache may give a stream to others', () => {
  test.each([
    [undefined, 'no-store, no-transform'],
    ['public, max-age=60', 'no-store, no-transform'],
    ['private, no-cache', 'private, no-cache'],
    ['no-store', 'no-store'],
  ])('where the application says %s', async (said, expected) => {
    const { eventStream, app } = await setUpEnded()
    const closing = new EventStream()
    await closing.close()
    app.use((_req, res, next) => {
      if (said !== undefined) res.set('Cache-Control', said)
      next()
    })
    app.all('/open', eventStream('a'))
    app.all('/closing', closing('a'))
    const { url } = await startServer(app)
    for (const [path, method] of [
      ['/open', 'GET'],
      ['/open', 'HEAD'],
      ['/closing', 'GET'],
    ] as const) {
      expect(await toldBy(`${url}${path}`, { method })).toEqual([200, expected, undefined])
    }
  })
})
