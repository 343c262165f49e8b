import { describe, expect, test } from '@jest/globals'
import { EventStreamError, type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import type { RouteTrack } from '../../src/middleware/track.js'
import { resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { Faucet } from '../support/faucet.js'
import { until } from '../support/until.js'

const registry = { heartbeatMs: 100, lifetimeMs: 60_000, orphanAfterMs: 60_000 }

function setUpTracking(options: EventStreamOptions = {}) {
  const log = memoryEventLog()
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const parts = setUp({ log, registry, onError, ...options })
  const { registry: streams, guardian } = resilience(parts.eventStream)
  return { ...parts, log, streams, guardian, reported: errors }
}

const userOf = ({ headers }: { headers: NodeJS.Dict<string | string[]> }) =>
  headers['x-user'] as string

describe('a route with track', () => {
  test('registers each connection until it ends', async () => {
    const { app, eventStream, serve, streams } = setUpTracking()
    const track = { type: 'page', user: userOf, metadata: { version: 2 } }
    app.get('/rooms/:id', eventStream('room-{id}', 'news', { track }))
    const get = await serve()
    const first = await (await get('/rooms/7', { headers: { 'x-user': 'ann' } })).opened()
    const second = await (await get('/rooms/8')).opened()
    await until(async () => (await streams.getActiveCount()) === 2)
    const [known] = await streams.getUserStreams('ann')
    expect(known).toMatchObject({
      streamType: 'page',
      userId: 'ann',
      kind: 'connection',
      state: 'active',
      metadata: { version: 2, channels: ['room-7', 'news'] },
    })
    first.destroy()
    await until(async () => (await streams.getStream(known?.streamId ?? '')) === undefined)
    second.destroy()
    await until(async () => (await streams.getActiveCount()) === 0)
  })

  test('goes on saying that a connection lives', async () => {
    const { app, eventStream, serve, streams } = setUpTracking()
    app.get('/', eventStream('news', { track: { type: 'page', user: 1 } }))
    await (await (await serve())('/')).opened()
    await until(async () => (await streams.getUserStreams(1)).length === 1)
    const [known] = await streams.getUserStreams(1)
    const heard = known?.lastHeartbeat ?? 0
    await until(async () => ((await streams.getUserStreams(1))[0]?.lastHeartbeat ?? 0) > heard)
  })

  test('registers again what the registry has lost, or took for dead', async () => {
    const { app, eventStream, serve, streams, log } = setUpTracking()
    app.get('/', eventStream('news', { track: { type: 'page', user: 1 } }))
    await (await (await serve())('/')).opened()
    const find = async () => (await streams.getUserStreams(1))[0]
    await until(async () => (await find()) !== undefined)
    const id = (await find())?.streamId ?? ''
    await log.registry.end(id, 'orphaned')
    await until(async () => (await find())?.state === 'active')
    await log.registry.remove([id])
    await until(async () => (await find())?.state === 'active')
  })

  test('takes connections off the list when the process closes', async () => {
    const { app, eventStream, serve, streams, log } = setUpTracking()
    app.get('/', eventStream('news', { track: { type: 'page', user: 1 } }))
    await (await (await serve())('/')).opened()
    await until(async () => (await streams.getActiveCount()) === 1)
    await eventStream.close({ graceMs: 100 })
    expect(await log.registry.list({ user: '1', limit: 10 })).toEqual([])
  })

  test('serves its clients though the registry fails, and registers them when it is back', async () => {
    const { app, eventStream, serve, streams, log, reported } = setUpTracking()
    app.get('/', eventStream('news', { track: { type: 'page', user: 1 } }))
    const { register, heartbeat } = log.registry
    const fail = () => Promise.reject(new Error('registry'))
    Object.assign(log.registry, { register: fail, heartbeat: fail })
    const client = await (await (await serve())('/')).opened()
    await until(() => reported.length > 1)
    await eventStream.publishEvent('news', { data: 1 })
    await client.received(1)
    Object.assign(log.registry, { register, heartbeat })
    await until(async () => (await streams.getUserStreams(1)).length === 1)
  })

  test('answers what user and metadata throw before the stream begins', async () => {
    const { app, eventStream, serve, errors } = setUpTracking()
    const fail = () => {
      throw Object.assign(new Error('who?'), { status: 401 })
    }
    app.get('/user', eventStream('news', { track: { type: 'page', user: fail } }))
    const reject = async () => fail()
    app.get('/type', eventStream('news', { track: { type: reject as never } }))
    app.get('/odd', eventStream('news', { track: { type: 'page', user: () => ({}) as never } }))
    app.get('/big', eventStream('news', { track: { type: 'page', metadata: { n: 1n } } }))
    const get = await serve()
    expect((await get('/user')).status).toBe(401)
    expect((await get('/type')).status).toBe(401)
    expect((await get('/odd')).status).toBe(500)
    expect((await get('/big')).status).toBe(500)
    expect(errors).toMatchObject([{}, {}, { code: 'ERR_OPTION' }, { code: 'ERR_DATA' }])
  })

  test('takes as much metadata as there may be, whatever the channels', async () => {
    const { app, eventStream, serve, streams, errors } = setUpTracking()
    const names = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(100, 'x'))
    const metadata = { text: 'x'.repeat(16_000) }
    app.get(
      '/',
      eventStream(() => names, { track: { type: 'page', user: 1, metadata } }),
    )
    const client = await (await serve())('/')
    expect([client.status, errors]).toEqual([200, []])
    await until(async () => (await streams.getUserStreams(1)).length === 1)
    const [known] = await streams.getUserStreams(1)
    expect(known?.metadata).toEqual({ ...metadata, channels: names })
    client.destroy()
  })

  test('refuses what can never work', () => {
    const { eventStream } = setUpTracking()
    const bad = [{}, { type: 5 }, { type: 'a', user: {} }, { type: 'a', owner: 'b' }, 'page']
    for (const track of bad) {
      expect(() => eventStream('news', { track: track as never })).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION' }),
      )
    }
  })
})

describe('a stream with track', () => {
  test('is registered by whoever starts it, and has its end', async () => {
    const { app, eventStream, serve, streams } = setUpTracking()
    const source = new Faucet<string>()
    const track = { type: 'chat', user: userOf, metadata: { model: 'small' } }
    app.get(
      '/answers/:id',
      eventStream.streams.handler('{id}', () => source, { track }),
    )
    const get = await serve()
    const first = await (await get('/answers/a', { headers: { 'x-user': 'ann' } })).opened()
    const second = await (await get('/answers/a', { headers: { 'x-user': 'bob' } })).opened()
    await until(async () => (await streams.getStream('a')) !== undefined)
    expect(await streams.getStream('a')).toMatchObject({
      userId: 'ann',
      streamType: 'chat',
      kind: 'stream',
      metadata: { model: 'small' },
    })
    expect(await streams.getUserStreams('bob')).toEqual([])
    source.give('Once')
    source.end()
    await Promise.all([first.end(), second.end()])
    expect((await streams.getStream('a'))?.state).toBe('completed')
    await until(async () => (await streams.getActiveCount()) === 0)
  })

  test.each([
    ['fails', 'failed', (source: Faucet<string>) => source.fail(new Error('no'))],
    ['ends', 'completed', (source: Faucet<string>) => source.end()],
  ])('that %s is %s in the registry', async (_name, state, end) => {
    const { eventStream, log } = setUpTracking()
    const source = new Faucet<string>()
    await eventStream.streams.create('a', source, { track: { type: 'chat' } })
    end(source)
    await until(async () => (await log.registry.get('a'))?.state === state)
  })

  test('can be made for a Web request', async () => {
    const { eventStream, streams } = setUpTracking()
    const source = new Faucet<string>()
    const request = new Request('http://localhost/a')
    const options = { track: { type: 'chat', user: 'ann' } }
    const response = await eventStream.streams.fetch(request, 'a', () => source, options)
    await until(async () => (await streams.getUserStreams('ann')).length === 1)
    source.end()
    await response.text()
    expect((await streams.getStream('a'))?.state).toBe('completed')
  })

  test('answers what user and metadata throw before its source is started', async () => {
    const { app, eventStream, serve, errors, reported } = setUpTracking()
    const user = () => {
      throw Object.assign(new Error('who?'), { status: 401 })
    }
    let started = 0
    const source = () => {
      started += 1
      return ['x']
    }
    const handle = (track: RouteTrack) => eventStream.streams.handler('{id}', source, { track })
    app.get('/user/:id', handle({ type: 'chat', user }))
    app.get('/odd/:id', handle({ type: 'chat', user: () => ({}) as never }))
    app.get('/big/:id', handle({ type: 'chat', metadata: () => ({ n: 1n }) }))
    const get = await serve()
    expect((await get('/user/a')).status).toBe(401)
    expect((await get('/odd/b')).status).toBe(500)
    expect((await get('/big/c')).status).toBe(500)
    expect(errors).toMatchObject([{}, { code: 'ERR_OPTION' }, { code: 'ERR_DATA' }])
    const request = new Request('http://localhost/d')
    await expect(
      eventStream.streams.fetch(request, 'd', source, { track: { type: 'chat', user } }),
    ).rejects.toMatchObject({ status: 401 })
    expect([started, reported]).toEqual([0, []])
    expect(eventStream.metrics().connections.sentAway.unavailable).toBe(0)
  })

  test('refuses what cannot be registered like that', async () => {
    const { eventStream } = setUpTracking()
    const bad = [
      { track: { type: 'chat', userId: 'ann' } },
      { track: 'chat' },
      { trak: { type: 'chat' } },
      null,
    ]
    for (const options of bad) {
      await expect(eventStream.streams.create('a', ['x'], options as never)).rejects.toMatchObject({
        code: 'ERR_OPTION',
      })
    }
    expect(await eventStream.streams.status('a')).toBeUndefined()
  })

  test('that a guardian has ended is not registered again', async () => {
    const { eventStream, streams, log } = setUpTracking()
    const source = new Faucet<string>()
    const { ended } = await eventStream.streams.create('a', source, { track: { type: 'chat' } })
    await until(async () => (await streams.getActiveCount()) === 1)
    await streams.updateState('a', 'orphaned')
    await ended
    expect((await log.registry.get('a'))?.state).toBe('orphaned')
    expect(source.isReturned).toBe(true)
  })

  test('has the end that the log has, though its source ended while that was away', async () => {
    const { eventStream, log, streams } = setUpTracking({
      registry: { ...registry, orphanAfterMs: 300 },
      streams: { leaseMs: 300 },
    })
    const source = new Faucet<string>()
    await eventStream.streams.create('a', source, { track: { type: 'chat' } })
    await until(async () => (await streams.getActiveCount()) === 1)
    const { produce, renew } = log
    log.produce = () => Promise.reject(new EventStreamError('ERR_LOG_UNAVAILABLE', 'away'))
    log.renew = log.produce as never
    source.end()
    await until(async () => (await eventStream.streams.status('a'))?.state === 'orphaned')
    Object.assign(log, { produce, renew })
    await until(async () => (await log.registry.get('a'))?.state !== 'active')
    expect((await log.registry.get('a'))?.state).toBe('orphaned')
    expect((await streams.getStream('a'))?.state).toBe('orphaned')
  })

  test('that only this process has leaves the record of the one in the log alone', async () => {
    const { eventStream, log, streams } = setUpTracking()
    const hers = { track: { type: 'chat', user: 'ann' } }
    await streams.register({ streamId: 'a', userId: 'ann' })
    const { claim } = log
    log.claim = () => Promise.reject(new EventStreamError('ERR_LOG_UNAVAILABLE', 'away'))
    const source = new Faucet<string>()
    const { isNew, ended } = await eventStream.streams.open('a', source, {
      track: { type: 'chat', user: 'bob' },
    })
    log.claim = claim
    expect(isNew).toBe(true)
    source.end()
    await ended
    await eventStream.streams.create('b', ['x'], hers)
    await until(async () => (await log.registry.get('b'))?.state === 'completed')
    expect(await log.registry.get('a')).toMatchObject({ state: 'active', user: 'ann' })
  })

  test('is refused when it cannot be registered, and its source is not started', async () => {
    const { eventStream } = setUpTracking()
    const source = () => {
      throw new Error('started')
    }
    const track = { type: '', user: 'ann' }
    await expect(eventStream.streams.create('a', source, { track })).rejects.toMatchObject({
      code: 'ERR_OPTION',
    })
    expect(await eventStream.streams.status('a')).toBeUndefined()
  })
})
