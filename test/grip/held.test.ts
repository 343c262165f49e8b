import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import { countTimers } from '../support/count-timers.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { until } from '../support/until.js'

/** Pushpin remembers ids for a minute, so each test has channels of its own. */
const newName = () => randomUUID().slice(0, 8)

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

describeWithPushpin('a stream that Pushpin holds', () => {
  const grip = usePushpin()

  test('gets what is published, with the id that publishEvent resolved to', async () => {
    const { eventStream, app, connect } = grip.setUp()
    app.get('/events/:id', eventStream('{id}'))
    const channel = newName()
    const client = await (await connect(`/events/${channel}`)).opened()
    const { id } = await eventStream.publishEvent(channel, { event: 'tick', data: { n: 1 } })
    const [event] = await client.received(1)
    expect(event).toEqual({ event: 'tick', data: '{"n":1}', id })
  })

  test('is no connection of this process', async () => {
    const { eventStream, app, connect } = grip.setUp({ gripLinkPath: '/links' })
    app.get('/links', eventStream.linkHandler())
    app.get('/events/:id', eventStream('{id}'))
    const clients = await Promise.all(numbers(20).map(() => connect(`/events/${newName()}`)))
    await Promise.all(clients.map((client) => client.opened()))
    expect(eventStream.connections()).toEqual([])
    expect(eventStream.health()).toMatchObject({ connections: 0, channels: 0 })
  })

  test('has one id for all of its channels, whatever their names and data', async () => {
    const { eventStream, app, connect } = grip.setUp()
    const [a, b] = [`${newName()} 100%`, `${newName()}*,;~%(x)s ü`]
    app.get('/events', eventStream([a, b]))
    const first = await (await connect('/events')).opened()
    await eventStream.publishEvent(a, { data: '50%' })
    await eventStream.publishEvent(b, { data: '%I %% %(events-a)s' })
    await first.received(2)
    first.destroy()
    await eventStream.publishEvent(b, { data: '100%' })
    await eventStream.publishEvent(a, { data: '%' })
    const second = await connect('/events', { lastEventId: first.lastEventId })
    await second.received(2)
    await eventStream.publishEvent(a, { data: 'live' })
    await second.received(3)
    expect(first.data).toEqual(['50%', '%I %% %(events-a)s'])
    expect([...second.data].sort()).toEqual(['%', '100%', 'live'])
  })

  test('goes on where its client was, whichever way it was connected before', async () => {
    const { eventStream, app, connect, direct } = grip.setUp()
    const channels = [newName(), newName()]
    app.get('/events', eventStream(channels))
    const ways = [connect, direct, connect, connect, direct]
    const seen: unknown[] = []
    let lastEventId: string | undefined
    let n = 0
    for (const way of ways) {
      const client = await (await way('/events', { lastEventId })).opened()
      for (const channel of channels) await eventStream.publishEvent(channel, { data: n++ })
      await client.received(lastEventId === undefined ? 2 : 4)
      seen.push(...client.data)
      lastEventId = client.lastEventId
      client.destroy()
      // While nobody listens.
      for (const channel of channels) await eventStream.publishEvent(channel, { data: n++ })
    }
    const [even, odd] = [0, 1].map((rest) => seen.filter((data) => Number(data) % 2 === rest))
    const last = n - channels.length
    expect(even).toEqual(numbers(last).filter((data) => data % 2 === 0))
    expect(odd).toEqual(numbers(last).filter((data) => data % 2 === 1))
  })

  test('starts where the route says', async () => {
    const { eventStream, app, connect } = grip.setUp()
    const channel = newName()
    app.get('/last', eventStream(channel, { startFrom: { last: 2 } }))
    app.get('/all', eventStream(channel, { startFrom: 'earliest' }))
    for (const data of numbers(4)) await eventStream.publishEvent(channel, { data })
    const [last, all] = await Promise.all([connect('/last'), connect('/all')])
    await Promise.all([last.received(2), all.received(4)])
    expect([last.data, all.data]).toEqual([
      [2, 3],
      [0, 1, 2, 3],
    ])
  })

  test('is told what it cannot have, and goes on from there', async () => {
    const { eventStream, app, connect } = grip.setUp({ log: memoryEventLog({ maxEvents: 2 }) })
    const channel = newName()
    app.get('/events', eventStream(channel))
    const first = await (await connect('/events')).opened()
    first.destroy()
    for (const data of numbers(4)) await eventStream.publishEvent(channel, { data })
    const second = await connect('/events', { lastEventId: first.lastEventId })
    await until(() => second.control.length === 2)
    await eventStream.publishEvent(channel, { data: 'next' })
    await second.received(1)
    expect(second.control.map(({ event, data }) => [event, data])).toEqual([
      ['stream-open', '{}'],
      ['stream-reset', JSON.stringify({ channels: [channel], reason: 'trimmed' })],
    ])
    expect(second.data).toEqual(['next'])
  })

  test.each([
    ['comment', ':\n'],
    ['event', 'event: keep-alive\ndata: \n\n'],
  ] as const)('is kept alive by a %s', async (keepAlive, text) => {
    const { eventStream, app, connect } = grip.setUp({ keepAlive, keepAliveMs: 1000 })
    app.get('/events', eventStream(newName()))
    const client = await (await connect('/events')).opened()
    const opening = client.text
    await until(() => client.text.length > opening.length)
    expect(client.text.slice(opening.length)).toBe(text)
  })

  test('is kept alive by the answers to what Pushpin asks, where it asks as often as that', async () => {
    const { eventStream, app, connect } = grip.setUp({ gripPollMs: 1000, keepAliveMs: 60_000 })
    app.get('/events', eventStream(newName(), newName()))
    const client = await (await connect('/events')).opened()
    const opening = client.text
    await until(() => client.text.length > opening.length + 2)
    expect(client.text.slice(opening.length)).toMatch(/^(:\n)+$/)
  })

  test('has the headers of a stream, and none of the proxy', async () => {
    const { eventStream, app, connect } = grip.setUp()
    app.use((_req, res, next) => {
      res.setHeader('X-Own', 'kept')
      next()
    })
    app.get('/events', eventStream(newName()))
    const { status, headers } = await connect('/events')
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store, no-transform',
      'x-own': 'kept',
    })
    expect(Object.keys(headers).filter((name) => name.startsWith('grip-'))).toEqual([])
  })

  test('asks for what is larger than one request to the proxy', async () => {
    const { eventStream, app, connect } = grip.setUp({ maxEventBytes: 2_000_000 })
    const channel = newName()
    app.get('/events', eventStream(channel))
    const client = await (await connect('/events')).opened()
    const sizes = [10, 950_000, 20, 1_400_000, 30]
    for (const size of sizes) await eventStream.publishEvent(channel, { data: 'x'.repeat(size) })
    await client.received(sizes.length)
    expect(client.data.map((data) => String(data).length)).toEqual(sizes)
  })

  test('gets all of a batch that is larger than one request to the proxy', async () => {
    const { eventStream, app, connect } = grip.setUp()
    const channel = newName()
    app.get('/events', eventStream(channel))
    const client = await (await connect('/events')).opened()
    const filler = 'x'.repeat(40_000)
    await Promise.all(
      numbers(60).map((n) => eventStream.publishEvent(channel, { data: { n, filler } })),
    )
    await client.received(60)
    expect(client.data.map((data) => (data as { n: number }).n)).toEqual(numbers(60))
  })

  test.each([
    ['one channel', 1],
    ['several channels', 3],
  ])('gets a long history on %s whole, the first of it at once', async (_name, count) => {
    const { eventStream, app, connect } = grip.setUp()
    const channels = numbers(count).map(newName)
    app.get('/events', eventStream(channels, { startFrom: 'earliest' }))
    const filler = '%'.repeat(4000)
    for (const n of numbers(300)) {
      await eventStream.publishEvent(String(channels[n % count]), { data: { n, filler } })
    }
    const client = await connect('/events')
    await client.received(300)
    await eventStream.publishEvent(String(channels[0]), { data: { n: 300 } })
    await client.received(301)
    const seen = client.data.map((data) => (data as { n: number }).n)
    expect([...seen].sort((a, b) => a - b)).toEqual(numbers(301))
    for (const rest of numbers(count)) {
      const own = seen.filter((n) => n % count === rest && n < 300)
      expect(own).toEqual([...own].sort((a, b) => a - b))
    }
  })
})

describeWithPushpin('kick', () => {
  const grip = usePushpin()

  test('ends the streams of a channel, and no others, which come back', async () => {
    const { eventStream, app, connect, direct } = grip.setUp()
    const [a, b, c] = [newName(), newName(), newName()]
    app.get('/a', eventStream(a))
    app.get('/ab', eventStream([a, b]))
    app.get('/bc', eventStream([b, c]))
    const clients = await Promise.all([connect('/a'), connect('/ab'), connect('/bc'), direct('/a')])
    await Promise.all(clients.map((client) => client.opened()))
    await eventStream.kick(a)
    await until(() => clients.filter(({ ended }) => ended).length === 3)
    await eventStream.publishEvent(b, { data: 1 })
    await clients[2]?.received(1)
    expect(clients.map(({ ended }) => ended)).toEqual([true, true, false, true])
    const again = await connect('/ab', { lastEventId: clients[1]?.lastEventId })
    await again.received(1)
    expect(again.data).toEqual([1])
  })

  test('ends those that a function chooses by their channels', async () => {
    const { eventStream, app, connect, direct } = grip.setUp()
    const [a, b] = [newName(), newName()]
    app.get('/a', eventStream(a))
    app.get('/ab', eventStream([a, b]))
    const clients = await Promise.all([connect('/a'), connect('/ab'), direct('/a'), direct('/ab')])
    await Promise.all(clients.map((client) => client.opened()))
    await eventStream.kick(({ channels }) => channels.length === 2)
    await until(() => clients.filter(({ ended }) => ended).length === 2)
    await eventStream.publishEvent(a, { data: 1 })
    await Promise.all([clients[0]?.received(1), clients[2]?.received(1)])
    expect(clients.map(({ ended }) => ended)).toEqual([false, true, false, true])
  })

  test('ends those that were allowed before, and were not held yet', async () => {
    const { eventStream, app, connect } = grip.setUp()
    const channel = newName()
    app.get('/events', (_req, res, next) => {
      // The answer is on its way to the proxy.
      res.once('finish', () => void eventStream.kick(channel))
      next()
    })
    app.get('/events', eventStream(channel))
    const client = await connect('/events')
    await client.end()
    expect(client.control.map(({ event }) => event)).toEqual(['stream-open'])
  })

  test('leaves no timer behind when the event stream is closed', async () => {
    const { eventStream } = grip.setUp()
    const timers = countTimers()
    await eventStream.kick(newName())
    await eventStream.kick(() => false)
    await eventStream.close()
    // Of the requests to the proxy.
    await timers.fallsTo(0)
    timers.stop()
    expect(timers.alive).toBe(0)
  })

  test('asks those who come back for their rights', async () => {
    const { eventStream, app, connect } = grip.setUp()
    const channel = newName()
    let isAllowed = true
    app.get('/events', eventStream(channel, { authorize: () => isAllowed }))
    const client = await (await connect('/events')).opened()
    isAllowed = false
    await eventStream.kick(channel)
    await client.end()
    const again = await connect('/events', { lastEventId: client.lastEventId })
    expect(again.status).toBe(403)
  })
})
