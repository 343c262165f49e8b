import { describe, expect, test } from '@jest/globals'
import type { ErrorRequestHandler } from 'express'
import { streamName } from '../../src/core/log-names.js'
import type { EventStreamOptions, RequestLike } from '../../src/index.js'
import { memoryEventLog } from '../../src/index.js'
import {
  ownerOnly,
  type RecoveryOptions,
  recoveryHandler,
  resilience,
} from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { Faucet } from '../support/faucet.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'

/** An app with the recovery endpoint; `x-user` says who asks. */
async function serveRecovery(
  options: RecoveryOptions = { user: ({ headers }) => headers['x-user'] as string },
  streamOptions: EventStreamOptions = {},
) {
  const log = memoryEventLog()
  const { eventStream, app } = setUp({ log, onError: () => undefined, ...streamOptions })
  const parts = resilience(eventStream)
  app.all('/streams/:streamId/recover', parts.recoveryHandler(options))
  const answerError: ErrorRequestHandler = ({ status = 500, code }, _req, res, _next) => {
    res.status(status).json({ code })
  }
  app.use(answerError)
  const { url } = await startServer(app)
  const recover = async (id: string, headers: Record<string, string> = {}, query = '') => {
    const res = await fetch(`${url}/streams/${encodeURIComponent(id)}/recover${query}`, { headers })
    const text = await res.text()
    return { status: res.status, headers: res.headers, body: text ? JSON.parse(text) : undefined }
  }
  return { ...parts, eventStream, log, recover, url }
}

describe('the recovery endpoint', () => {
  test('tells a client that was away how its stream ended, and what it missed', async () => {
    const { registry, sendStreamEvent, recover } = await serveRecovery()
    await registry.register({ streamId: 'job', streamType: 'export', userId: 'ann' })
    const seen = await sendStreamEvent('job', 'progress', 10)
    const missed = await sendStreamEvent('job', 'progress', 90)
    const last = await sendStreamEvent('job', 'done', { url: '/7.csv' }, true)
    const { status, headers, body } = await recover('job', {
      'x-user': 'ann',
      'last-event-id': seen,
    })
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      status: 'completed',
      streamId: 'job',
      streamType: 'export',
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      events: [
        { id: missed, event: 'progress', data: 90 },
        { id: last, event: 'done', data: { url: '/7.csv' } },
      ],
      lastEventId: expect.stringMatching(/-0$/),
      isComplete: true,
      isReset: false,
      result: { url: '/7.csv' },
    })
    const again = await recover('job', { 'x-user': 'ann' }, `?lastEventId=${body.lastEventId}`)
    expect([again.status, again.body]).toEqual([204, undefined])
  })

  test('tells how a stream ended that ends while it answers', async () => {
    const { registry, sendStreamEvent, log, recover } = await serveRecovery({
      authorize: () => true,
    })
    await registry.register({ streamId: 'job' })
    const { read } = log
    log.read = async (...args) => {
      log.read = read
      await sendStreamEvent('job', 'done', 7, true)
      return log.read(...args)
    }
    const { body } = await recover('job')
    expect(body).toMatchObject({ status: 'completed', result: 7, isComplete: true })
    expect((await recover('job', {}, `?lastEventId=${body.lastEventId}`)).status).toBe(204)
  })

  test('gives what there is of a stream that goes on', async () => {
    const { eventStream, recover } = await serveRecovery()
    const source = new Faucet<string | Uint8Array>()
    await eventStream.streams.create('answer', source, { track: { type: 'chat', user: 'ann' } })
    source.give('Once', new Uint8Array([1, 2]))
    await until(async () => (await recover('answer', { 'x-user': 'ann' })).body.events.length === 2)
    const { body } = await recover('answer', { 'x-user': 'ann' })
    expect(body).toMatchObject({ status: 'active', streamType: 'chat', isComplete: true })
    expect(body.events).toMatchObject([{ data: 'Once' }, { event: 'stream-bytes', data: 'AQI=' }])
    source.end()
    await until(
      async () => (await recover('answer', { 'x-user': 'ann' })).body.status === 'completed',
    )
  })

  test('gives many events in several answers', async () => {
    const { registry, sendStreamEvent, recover } = await serveRecovery()
    await registry.register({ streamId: 'job' })
    await Promise.all(Array.from({ length: 1500 }, (_, n) => sendStreamEvent('job', 'n', n)))
    const { body } = await recover('job')
    expect([body.events.length, body.isComplete]).toEqual([1000, false])
    const rest = await recover('job', { 'last-event-id': body.lastEventId })
    expect([rest.body.events.length, rest.body.isComplete]).toEqual([500, true])
    expect(rest.body.events[0].data).toBe(1000)
  })

  test('is for the owner alone', async () => {
    const { registry, completions, recover } = await serveRecovery()
    await registry.register({ streamId: 'hers', userId: 'ann' })
    await registry.register({ streamId: 'nobodys' })
    await completions.storeCompletion('hers', { result: 'secret' })
    expect((await recover('hers', { 'x-user': 'ann' })).status).toBe(200)
    for (const user of ['bob', 'ANN', 'ann2', 'undefined', '']) {
      const { status, body } = await recover('hers', { 'x-user': user })
      expect([user, status, body]).toEqual([user, 403, { code: 'ERR_FORBIDDEN' }])
    }
    expect((await recover('hers')).status).toBe(403)
    expect((await recover('nobodys')).status).toBe(200)
  })

  test('is for nobody but where nothing is said of users, and for whom authorize says', async () => {
    const closed = await serveRecovery({})
    await closed.registry.register({ streamId: 'hers', userId: 'ann' })
    expect((await closed.recover('hers', { 'x-user': 'ann' })).status).toBe(403)
    const open = await serveRecovery({
      authorize: async ({ headers }, { userId, streamType }) =>
        userId === 'ann' && streamType === 'export' && headers['x-admin'] === 'yes',
    })
    await open.registry.register({ streamId: 'hers', userId: 'ann', streamType: 'export' })
    expect((await open.recover('hers', { 'x-admin': 'yes' })).status).toBe(200)
    expect((await open.recover('hers')).status).toBe(403)
  })

  test('tells what never was from what is no longer kept', async () => {
    const registry = { heartbeatMs: 100, lifetimeMs: 400, orphanAfterMs: 60_000 }
    const { registry: streams, completions, recover, log } = await serveRecovery({}, { registry })
    expect(await recover('job')).toMatchObject({
      status: 404,
      body: { code: 'ERR_STREAM_UNKNOWN' },
    })
    await streams.register({ streamId: 'job' })
    await completions.storeCompletion('job')
    await streams.register({ streamId: 'lost' })
    await completions.storeCompletion('lost')
    await log.dropStream(streamName('lost'))
    expect(await recover('lost')).toMatchObject({
      status: 410,
      body: { code: 'ERR_STREAM_EXPIRED' },
    })
    expect((await recover('job')).status).toBe(200)
    await until(async () => (await recover('job')).status === 410)
    await until(async () => (await recover('job')).status === 404)
  })

  test.each([
    ['a position that is none', 'nonsense'],
    ['a position of another stream', '9-77'],
    ['an end that is not its own', '9-0'],
    ['a position in other channels', 'a~4-7781*b~19-332'],
    ['a position in a channel of its name', 'job~1-77*b~19-332'],
  ])('says of %s that it is none of this stream, and begins anew', async (_name, position) => {
    const { registry, sendStreamEvent, recover } = await serveRecovery()
    await registry.register({ streamId: 'job' })
    await sendStreamEvent('job', 'n', 1, true)
    const { status, body } = await recover('job', { 'last-event-id': position })
    expect([status, body.isReset, body.events.length]).toEqual([200, true, 1])
  })

  test('has nothing of a connection', async () => {
    const { registry, eventStream, recover } = await serveRecovery()
    const { app, serve } = setUp()
    app.get('/', eventStream('news', { track: { type: 'page', user: 'ann' } }))
    const client = await (await (await serve())('/')).opened()
    await until(async () => (await registry.getUserStreams('ann')).length === 1)
    const [{ streamId } = { streamId: '' }] = await registry.getUserStreams('ann')
    expect((await recover(streamId, { 'x-user': 'ann' })).status).toBe(204)
    expect((await recover(streamId, { 'x-user': 'bob' })).status).toBe(403)
    client.destroy()
  })

  test('answers GET and HEAD, and ids that can be one', async () => {
    const { registry, url, recover } = await serveRecovery()
    await registry.register({ streamId: 'job' })
    const post = await fetch(`${url}/streams/job/recover`, { method: 'POST' })
    expect([post.status, await post.json()]).toEqual([405, { code: 'ERR_METHOD' }])
    const head = await fetch(`${url}/streams/job/recover`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect((await recover('a\nb')).status).toBe(400)
    expect((await recover('x'.repeat(256))).status).toBe(400)
  })

  test('refuses options that cannot work', async () => {
    const { eventStream } = setUp()
    for (const options of [{ owner: 'me' }, { user: 'ann' }, { authorize: true }]) {
      expect(() => recoveryHandler(eventStream, options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION' }),
      )
    }
  })
})

describe('ownerOnly', () => {
  test('lets the owner of a stream follow it, and nobody else', async () => {
    const { app, eventStream, serve } = setUp()
    const { registry } = resilience(eventStream)
    const authorize = ownerOnly(eventStream, ({ headers }) => headers['x-user'] as string)
    app.get('/jobs/:id', eventStream.streams.handler('{id}', undefined, { authorize }))
    const get = await serve()
    await registry.register({ streamId: 'hers', userId: 'ann' })
    await registry.register({ streamId: 'nobodys' })
    const statusOf = async (id: string, user?: string) => {
      const client = await get(`/jobs/${id}`, {
        headers: user === undefined ? {} : { 'x-user': user },
      })
      client.destroy()
      return client.status
    }
    expect(await statusOf('hers', 'ann')).toBe(200)
    expect(await statusOf('hers', 'bob')).toBe(403)
    expect(await statusOf('hers')).toBe(403)
    expect(await statusOf('nobodys')).toBe(200)
    expect(await statusOf('unknown', 'ann')).toBe(404)
  })

  test('tells the developer of a user that is an object, and lets nobody in', async () => {
    const { app, eventStream, serve } = setUp()
    const { registry } = resilience(eventStream)
    const authorize = ownerOnly(eventStream, (() => ({ id: 'ann' })) as never)
    const handler = eventStream.streams.handler('{id}', undefined, { authorize })
    const told = new Promise<unknown>((resolve) => {
      app.get('/jobs/:id', (req, res) =>
        handler(req, res, (error) => {
          resolve(error)
          res.status(500).end()
        }),
      )
    })
    const get = await serve()
    await registry.register({ streamId: 'hers', userId: 'ann' })
    expect((await get('/jobs/hers')).status).toBe(500)
    expect(await told).toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringContaining("gave an object; give the user's id"),
    })
  })

  test('is refused where a route serves channels, of which it knows nothing', async () => {
    const { eventStream } = setUp()
    const authorize = ownerOnly<RequestLike>(eventStream, () => 'ann')
    expect(() => eventStream('job-{id}', { authorize })).toThrow(/follow a stream by eventStream/)
    const web = { authorize: ownerOnly<Request>(eventStream, () => 'ann') }
    const asked = eventStream.fetch(new Request('http://x/'), 'job-1', web)
    await expect(asked).rejects.toMatchObject({ code: 'ERR_OPTION' })
  })
})
