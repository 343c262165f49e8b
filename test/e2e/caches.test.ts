import { afterEach, expect, test } from '@jest/globals'
import type { ErrorRequestHandler } from 'express'
import { recoveryHandler, resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { describeWithNginx } from '../support/describe-with-nginx.js'
import { describeWithVarnish } from '../support/describe-with-varnish.js'
import { Nginx } from '../support/nginx.js'
import { startServer } from '../support/server.js'
import { type ClientOptions, connect, type SseClient } from '../support/sse-client.js'
import { Varnish } from '../support/varnish.js'

interface Cache {
  readonly url: string
  stop(): Promise<void>
}

describeWithVarnish('Varnish as it comes', () => {
  behindCache((origin) => Varnish.start(origin))
})

describeWithNginx('nginx that keeps any answer', () => {
  behindCache((origin) => Nginx.start({ origin, caches: true }))
})

/** No reader ever gets what another one was answered. */
function behindCache(startCache: (origin: string) => Promise<Cache>): void {
  const started: Cache[] = []

  afterEach(async () => {
    for (const cache of started.splice(0)) await cache.stop()
  })

  /**
   * @param cacheControl - What the application says of all its answers.
   * @param answerError - What it answers errors with, by default Express itself.
   */
  const setUpCached = async (cacheControl?: string, answerError?: ErrorRequestHandler) => {
    const scene = setUp({ onError: () => undefined })
    const { eventStream, app } = scene
    const { registry } = resilience(eventStream)
    if (cacheControl !== undefined) {
      app.use((_req, res, next) => {
        res.set('Cache-Control', cacheControl)
        // They count more than Cache-Control.
        res.set({ 'Surrogate-Control': 'max-age=60', 'X-Accel-Expires': '60' })
        next()
      })
    }
    const asked = async (req: { headers: { 'x-user'?: string } }) => {
      const user = req.headers['x-user']
      if (user === 'eve') throw Object.assign(new Error('no such room'), { status: 404 })
      return user === undefined || user === 'ann'
    }
    app.all(
      '/answers/:id',
      eventStream.streams.handler('{id}', undefined, { authorize: () => true }),
    )
    app.all('/rooms/:id', eventStream('room-{id}', { authorize: asked as never }))
    app.all('/recover/:streamId', recoveryHandler(eventStream, { authorize: () => true }))
    if (answerError !== undefined) app.use(answerError)
    const { url } = await startServer(app)
    const cache = await startCache(url)
    started.push(cache)
    const ask = (path: string, options?: ClientOptions) => connect(`${cache.url}${path}`, options)
    const status = async (path: string, options?: ClientOptions) =>
      (await ask(path, options)).status
    return { eventStream, registry, ask, status }
  }

  const ended = async (client: SseClient) => {
    await client.end()
    return client
  }

  test.each([undefined, 'public, max-age=60'])(
    'gives the 204 of a reader who has all of a stream to no other one (%s)',
    async (cacheControl) => {
      const { eventStream, ask } = await setUpCached(cacheControl)
      await (await eventStream.streams.create('a', ['one', 'two'])).ended
      const first = await ended(await ask('/answers/a'))
      const back = await ended(await ask('/answers/a', { lastEventId: first.lastEventId }))
      const other = await ended(await ask('/answers/a'))
      expect([back.status, other.status, other.data]).toEqual([204, 200, ['one', 'two']])
    },
  )

  test.each([undefined, 'public, max-age=60'])(
    'gives what recovery told one client to no other one, nor that it knew nothing yet (%s)',
    async (cacheControl) => {
      const { registry, eventStream, ask, status } = await setUpCached(cacheControl)
      expect(await status('/recover/a')).toBe(404)
      await registry.register({ streamId: 'a', streamType: 'export' })
      const { sendStreamEvent } = resilience(eventStream)
      await sendStreamEvent('a', 'done', 1, true)
      const told = await ended(await ask('/recover/a'))
      expect(told.status).toBe(200)
      const { lastEventId } = JSON.parse(told.text)
      expect(await status('/recover/a', { lastEventId })).toBe(204)
      expect(await status('/recover/a')).toBe(200)
    },
  )

  const byJson: ErrorRequestHandler = ({ status = 500, code }, _req, res, _next) => {
    res.status(status).json({ code })
  }

  test.each([
    [undefined, 'Express', undefined],
    ['public, max-age=60', 'Express', undefined],
    [undefined, 'the application', byJson],
    ['public, max-age=60', 'the application', byJson],
  ] as const)(
    'gives no refusal of one client to another one (%s, answered by %s)',
    async (cacheControl, _who, answerError) => {
      const { status } = await setUpCached(cacheControl, answerError)
      const refused: [number, string, ClientOptions][] = [
        [406, '/rooms/a', { headers: { Accept: 'text/html' } }],
        [400, '/rooms/b', { lastEventId: 'error' }],
        [403, '/rooms/c', { headers: { 'x-user': 'bob' } }],
        [404, '/rooms/d', { headers: { 'x-user': 'eve' } }],
      ]
      for (const [expected, path, options] of refused) {
        expect(await status(path, options)).toBe(expected)
        expect([path, await status(path)]).toEqual([path, 200])
      }
    },
  )

  test('gives the refusal of one moment to nobody who comes later', async () => {
    const { eventStream, ask, status } = await setUpCached('public, max-age=60')
    expect(await status('/answers/late')).toBe(404)
    await (await eventStream.streams.create('late', ['x'])).ended
    expect((await ended(await ask('/answers/late'))).data).toEqual(['x'])
  })
}
