import { describe, expect, test } from '@jest/globals'
import { EventStream, memoryEventLog } from '../../src/index.js'
import { observed } from '../../src/observe/observed.js'
import { setUp } from '../support/app.js'
import { ControlEndpoint } from '../support/control-endpoint.js'
import { Faucet } from '../support/faucet.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

const big = 'x'.repeat(10_000)

/** Hits nothing that a log has. */
const elsewhere = '7-123'

describe('the metrics of an event stream', () => {
  test('begin at zero', () => {
    const { eventStream } = setUp()
    const { connections, deliveries, publishing, channels, since, at } = eventStream.metrics()
    expect(connections).toEqual({
      open: 0,
      opened: 0,
      closed: { client: 0, server: 0, kick: 0, stall: 0, timeout: 0, over: 0, failed: 0 },
      sentAway: { admission: 0, closing: 0, unavailable: 0 },
      behind: 0,
      fellBehind: 0,
      queuedBytes: 0,
    })
    expect([deliveries, channels]).toEqual([{ events: 0, bytes: 0 }, 0])
    expect(publishing).toMatchObject({ events: 0, failures: 0, latency: { count: 0, sumMs: 0 } })
    expect(at.getTime()).toBeGreaterThanOrEqual(since.getTime())
  })

  test('count each event once for each client that got it, and the bytes that they got', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events/:id', eventStream('{id}', 'shared'))
    const request = await serve()
    const clients = await Promise.all([1, 1, 2].map((id) => request(`/events/${id}`)))
    await Promise.all(clients.map((client) => client.opened()))
    await until(() => eventStream.connections().every(({ state }) => state === 'live'))

    for (let n = 0; n < 5; n++) await eventStream.publishEvent('shared', { data: 'é' })
    await eventStream.publishEvent('1', { data: 'one' })
    await eventStream.publishEvent('nobody', { data: 'none' })
    const counts = [6, 6, 5]
    await Promise.all(clients.map((client, i) => client.received(counts[i] as number)))

    const { deliveries, publishing, connections, channels } = eventStream.metrics()
    const bytes = clients.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
    expect(deliveries).toEqual({ events: 17, bytes })
    expect(publishing).toMatchObject({ events: 7, failures: 0 })
    expect([connections.open, connections.opened, channels]).toEqual([3, 3, 3])
  })

  test('have the latency of what was published, and what failed', async () => {
    const { eventStream } = setUp()
    await eventStream.publishEvent('a', { data: 1 })
    await eventStream.publishEvent('a', { data: 2 })
    await expect(eventStream.publishEvent('', { data: 3 })).rejects.toThrow()
    const { events, failures, latency } = eventStream.metrics().publishing
    expect([events, failures, latency.count]).toEqual([2, 1, 2])
    expect(latency.counts).toHaveLength(latency.boundsMs.length + 1)
    expect(latency.counts.reduce((sum, count) => sum + count, 0)).toBe(2)
    expect(latency.sumMs).toBeGreaterThan(0)
  })

  test('tell why streams were closed', async () => {
    const { eventStream, app, serve } = setUp({ maxQueueBytes: 50_000, stallTimeoutMs: 200 })
    app.get('/events/:id', eventStream('{id}'))
    app.get(
      '/streams/:id',
      eventStream.streams.handler('{id}', () => ['all'].values()),
    )
    const request = await serve()
    const { closed } = eventStream.metrics().connections

    const gone = await (await request('/events/a')).opened()
    gone.destroy()
    await until(() => eventStream.metrics().connections.closed.client === 1)
    const ended = await (await request('/events/a')).opened()
    for (const stream of eventStream.connections()) stream.end()
    await ended.end()
    const kicked = await Promise.all([request('/events/a'), request('/events/b')])
    await Promise.all(kicked.map((client) => client.opened()))
    await eventStream.kick('a')
    await eventStream.kick(({ channels }) => channels.includes('b'))
    await Promise.all(kicked.map((client) => client.end()))
    await (await request('/streams/s')).end()
    const stalled = await request('/events/a', { paused: true })
    for (let n = 0; n < 600; n++) await eventStream.publishEvent('a', { data: big })
    await until(() => eventStream.connections().length === 0)
    stalled.resume()

    expect(eventStream.metrics().connections.closed).toEqual({
      client: 1,
      server: 1,
      kick: 2,
      stall: 1,
      timeout: 0,
      over: 1,
      failed: 0,
    })
    // A snapshot stays as it was.
    expect(closed.client).toBe(0)
  })

  test('tell who is behind and what waits for them', async () => {
    const log = memoryEventLog({ maxEvents: 10_000, maxBytes: 100_000_000 })
    const { eventStream, app, serve } = setUp({ log, maxQueueBytes: 50_000 })
    app.get('/events', eventStream('a'))
    const slow = await (await serve())('/events', { paused: true })
    await until(() => eventStream.connections().every(({ state }) => state === 'live'))
    let published = 0
    while (eventStream.metrics().connections.behind === 0) {
      await eventStream.publishEvent('a', { data: { n: published, big } })
      published += 1
    }
    const { behind, fellBehind, queuedBytes } = eventStream.metrics().connections
    await eventStream.publishEvent('a', { data: 'missed' })
    slow.resume()
    await slow.received(published + 1)
    await until(() => eventStream.connections().every(({ state }) => state === 'live'))
    expect([behind, fellBehind]).toEqual([1, 1])
    expect(queuedBytes).toBeGreaterThan(50_000)
    const { connections, deliveries, replays } = eventStream.metrics()
    expect([connections.behind, connections.queuedBytes]).toEqual([0, 0])
    expect(deliveries.events).toBe(published + 1)
    expect(replays.events).toBeGreaterThan(0)
    await log.close()
  })

  test('count what was replayed to clients that came back', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const request = await serve()
    const { id } = await eventStream.publishEvent('a', { data: 1 })
    for (const data of [2, 3, 4]) await eventStream.publishEvent('a', { data })
    const back = await request('/events', { lastEventId: id })
    await back.received(3)
    const { replays, deliveries } = eventStream.metrics()
    expect([replays, deliveries.events]).toEqual([{ started: 1, events: 3 }, 3])
  })

  test('count each client that was told that something is lost', async () => {
    const { eventStream, app, serve } = setUp({ log: memoryEventLog({ maxEvents: 2 }) })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const { id } = await eventStream.publishEvent('a', { data: 1 })
    for (const data of [2, 3, 4]) await eventStream.publishEvent('a', { data })
    for (const lastEventId of [id, elsewhere, 'nonsense', 'nonsense']) {
      const client = await request('/events', { lastEventId })
      await until(() => client.control.some(({ event }) => event === 'stream-reset'))
    }
    expect(eventStream.metrics().resets).toEqual({ trimmed: 1, unknown: 1, invalid: 2 })
  })

  test('tell why clients were sent away', async () => {
    let isAway = false
    const log = wrapLog(memoryEventLog(), {
      follow: async () => {
        if (isAway) throw new Error('away')
        return () => undefined
      },
    })
    const { eventStream, app, serve } = setUp({ log, maxConnections: 1, onError: () => undefined })
    app.get('/events/:id', eventStream('{id}'))
    const request = await serve()
    const first = await (await request('/events/a')).opened()
    await (await request('/events/a')).end()
    first.destroy()
    await until(() => eventStream.connections().length === 0)
    isAway = true
    await (await request('/events/b')).end()
    await eventStream.close()
    await (await request('/events/a')).end()
    await (await request('/events/a')).end()
    const { sentAway } = eventStream.metrics().connections
    expect(sentAway).toEqual({ admission: 1, closing: 2, unavailable: 1 })
  })

  test('count streams that this process produces, by how they ended', async () => {
    const { eventStream } = setUp({ onError: () => undefined })
    const running = new Faucet<string>()
    const stopped = new Faucet<string>()
    await eventStream.streams.create('running', running)
    await eventStream.streams.create('stopped', stopped)
    const completed = await eventStream.streams.create('completed', ['a', 'b'].values())
    const failed = await eventStream.streams.create('failed', () => {
      throw new Error('no source')
    })
    await Promise.all([completed.ended, failed.ended, eventStream.streams.stop('stopped')])
    await until(() => eventStream.metrics().streams.ended.aborted === 1)
    expect(eventStream.metrics().streams).toEqual({
      started: 4,
      ended: { completed: 1, failed: 1, aborted: 1, orphaned: 0 },
      events: 5,
    })
    running.end()
  })

  test('count what proxies took, and what they could not', async () => {
    const proxy = await ControlEndpoint.start()
    const eventStream = new EventStream({
      grip: proxy.url,
      maxChannelsPerConnection: 1,
      onError: () => undefined,
    })
    await eventStream.publishEvent('a', { data: 1 })
    proxy.behave = (res) => {
      res.statusCode = 403
      res.end()
    }
    await expect(eventStream.publishEvent('a', { data: 2 })).rejects.toMatchObject({
      code: 'ERR_PUBLISH_PARTIAL',
    })
    const { publishing, errors } = eventStream.metrics()
    expect([publishing.events, publishing.relayed, publishing.failures]).toEqual([2, 1, 1])
    expect(errors).toEqual({ log: 0, proxy: 1, unreadable: 0 })
    await eventStream.close({ graceMs: 0 })
  })

  test('add up what a guardian has found', () => {
    const { eventStream } = setUp()
    const { observer } = observed.of(eventStream)
    const round = { checks: 3, checkFailures: 1, orphaned: 2, completed: 0, durationMs: 4 }
    observer.guarded(round)
    observer.guarded({ ...round, completed: 1 })
    expect(eventStream.metrics().guardian).toEqual({
      rounds: 2,
      checks: 6,
      checkFailures: 2,
      orphaned: 4,
      completed: 1,
    })
  })
})
