import { describe, expect, test } from '@jest/globals'
import { type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { Fanout, type FanoutOptions } from '../support/fanout.js'
import { gripHeadersOf } from '../support/played-proxy.js'
import { startServer } from '../support/server.js'
import { type ClientOptions, connect } from '../support/sse-client.js'
import { until } from '../support/until.js'

/** An app with a route `/events/:channels` behind Fanout. */
async function setUpBehindFanout(options: EventStreamOptions = {}, fanoutOptions?: FanoutOptions) {
  const fanout = await Fanout.start(fanoutOptions)
  const { eventStream, app } = setUp({ grip: fanout.publisher(), ...options })
  app.get(
    '/events/:channels',
    eventStream((req) => String(Object(req.params).channels).split(',')),
  )
  fanout.origin = (await startServer(app)).url
  const open = async (channels: string, client?: ClientOptions) =>
    (await connect(`${fanout.url}/events/${channels}`, client)).opened()
  return { eventStream, fanout, open }
}

describe.each<[string, FanoutOptions]>([
  ['signs with its own key', {}],
  ['signs with a shared key', { sharedKey: 'shared' }],
  ['takes nothing that is not documented', { isStrict: true }],
])('behind Fanout, which %s, a stream of one channel', (_what, fanoutOptions) => {
  test('gets what is published, and resumes', async () => {
    const { eventStream, fanout, open } = await setUpBehindFanout({}, fanoutOptions)
    const client = await open('a')
    const { id } = await eventStream.publishEvent('a', { event: 'tick', data: '100%' })
    expect(await client.received(1)).toEqual([{ event: 'tick', data: '"100%"', id }])
    client.destroy()
    await eventStream.publishEvent('a', { data: 2 })
    const next = await open('a', { lastEventId: client.lastEventId })
    await eventStream.publishEvent('a', { data: 3 })
    await next.received(2)
    expect([next.data, gripHeadersOf(next), fanout.links, fanout.faults]).toEqual([
      [2, 3],
      [],
      [],
      [],
    ])
    expect(eventStream.connections()).toEqual([])
    expect(eventStream.health().proxies).toMatchObject([{ state: 'up' }])
  })

  test('gets what was lost on the way, by its link', async () => {
    const { eventStream, fanout, open } = await setUpBehindFanout(
      { maxChannelsPerConnection: 1 },
      fanoutOptions,
    )
    const client = await open('a')
    const { id } = await eventStream.publishEvent('a', { data: 1 })
    fanout.lose(2)
    for (const data of [2, 3, 4]) await eventStream.publishEvent('a', { data })
    await client.received(4)
    await eventStream.publishEvent('a', { data: 5 })
    await client.received(5)
    expect([client.data, fanout.links, fanout.faults]).toEqual([
      [1, 2, 3, 4, 5],
      [
        {
          url: expect.stringContaining('/events/a?grip-link='),
          last: expect.stringContaining(`events-a; last-id=${id}, `),
        },
      ],
      [],
    ])
  })

  test('gets what was published before it was held, by the timeout of its link', async () => {
    const { eventStream, fanout, open } = await setUpBehindFanout(
      { gripPollMs: 1000 },
      fanoutOptions,
    )
    fanout.beforeHold = async () => {
      fanout.beforeHold = async () => undefined
      await eventStream.publishEvent('a', { data: 1 })
    }
    const client = await open('a')
    await client.received(1)
    await eventStream.publishEvent('a', { data: 2 })
    await client.received(2)
    expect([client.data, fanout.faults]).toEqual([[1, 2], []])
  })
})

describe('behind Fanout, a stream of several channels', () => {
  test('gets what is published in each of them', async () => {
    const { eventStream, fanout, open } = await setUpBehindFanout()
    const client = await open('a,b')
    const first = await eventStream.publishEvent('a', { data: '100%' })
    const second = await eventStream.publishEvent('b', { data: 2 })
    await client.received(2)
    expect(client.events.map(({ data, id }) => [data, id])).toEqual([
      ['"100%"', first.id],
      ['2', second.id],
    ])
    expect([fanout.links, fanout.faults]).toEqual([[], []])
  })

  test('resumes in all of them when it has had nothing yet', async () => {
    const { eventStream, open } = await setUpBehindFanout()
    const client = await open('a,b')
    client.destroy()
    await eventStream.publishEvent('a', { data: 1 })
    await eventStream.publishEvent('b', { data: 2 })
    const next = await open('a,b', { lastEventId: client.lastEventId })
    await next.received(2)
    expect([next.data, next.control.map(({ event }) => event)]).toEqual([[1, 2], ['stream-open']])
  })

  test('resumes in the one that it heard last, and is told that it does not in the others', async () => {
    const { eventStream, open } = await setUpBehindFanout()
    const client = await open('a,b,c')
    await eventStream.publishEvent('a', { data: 1 })
    await eventStream.publishEvent('b', { data: 2 })
    await client.received(2)
    client.destroy()
    await eventStream.publishEvent('a', { data: 3 })
    await eventStream.publishEvent('b', { data: 4 })
    const next = await open('a,b,c', { lastEventId: client.lastEventId })
    await eventStream.publishEvent('a', { data: 5 })
    await eventStream.publishEvent('c', { data: 6 })
    await next.received(3)
    expect([client.data, next.data]).toEqual([
      [1, 2],
      [4, 5, 6],
    ])
    expect(next.control).toMatchObject([
      { event: 'stream-open' },
      { event: 'stream-reset', data: '{"channels":["a","c"],"reason":"invalid"}' },
    ])
  })

  test('gets what was lost on the way, by its link, and resumes in all of them behind it', async () => {
    const { eventStream, fanout, open } = await setUpBehindFanout()
    const client = await open('a,b')
    fanout.lose(2)
    await eventStream.publishEvent('a', { data: 1 })
    await eventStream.publishEvent('a', { data: 2 })
    await client.received(2)
    client.destroy()
    await eventStream.publishEvent('b', { data: 3 })
    await eventStream.publishEvent('a', { data: 4 })
    const next = await open('a,b', { lastEventId: client.lastEventId })
    await next.received(2)
    expect([client.data, next.data, fanout.faults]).toEqual([[1, 2], [4, 3], []])
  })
})

describe('behind Fanout', () => {
  test('events have nothing that is not documented, also beside a proxy that takes more', async () => {
    const { publisher, items } = await setUpTwoProxies()
    const { eventStream } = setUp({ grip: publisher })
    const { id } = await eventStream.publishEvent('a', { data: 1 })
    const plain = { 'http-stream': { content: `data: 1\nid: ${id}\n\n` } }
    const order = { id, 'prev-id': expect.any(String) }
    expect(items.fanout).toEqual([{ channel: 'events-a', ...order, formats: plain }])
    expect(items.pushpin).toEqual(items.fanout.map((item) => ({ ...Object(item), 'no-seq': true })))
  })

  test('a kick ends streams when they are asked for, and those that come back stay', async () => {
    const { eventStream, fanout, open } = await setUpBehindFanout({}, { isStrict: true })
    const [client, other] = [await open('a'), await open('b')]
    await eventStream.kick('a')
    await client.end()
    const again = await open('a', { lastEventId: client.lastEventId })
    await until(() => fanout.links.length >= 3)
    for (const name of ['a', 'b']) await eventStream.publishEvent(name, { data: 1 })
    await Promise.all([again.received(1), other.received(1)])
    expect([again.ended, other.ended]).toEqual([false, false])
  })

  test('a kick by a function ends streams when they ask next', async () => {
    const { eventStream, open } = await setUpBehindFanout({ gripPollMs: 1000 })
    const [kicked, other] = [await open('a'), await open('b')]
    await eventStream.kick(({ channels }) => channels.includes('a'))
    await kicked.end()
    await eventStream.publishEvent('b', { data: 1 })
    await other.received(1)
    expect([kicked.retryMs, other.ended]).toEqual([expect.any(Number), false])
  })

  test('streams end whose link is no longer taken, and go on through errors of the origin', async () => {
    const log = memoryEventLog()
    const { eventStream, fanout, open } = await setUpBehindFanout({ log, gripSecret: 'one' })
    const client = await open('a')
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    const onError = () => undefined
    const other = setUp({ log, grip: fanout.publisher(), gripSecret: 'two', onError })
    other.app.get('/events/:id', other.eventStream('{id}'))
    let failures = 2
    fanout.origin = (
      await startServer((req, res) => {
        failures -= 1
        if (failures < 0) other.app(req, res)
        else res.writeHead(503).end()
      })
    ).url
    fanout.lose(2)
    for (const data of [2, 3]) await other.eventStream.publishEvent('a', { data })
    await client.end()
    expect([client.data, fanout.links.length]).toEqual([[1], 3])
    const next = await open('a', { lastEventId: client.lastEventId })
    await next.received(2)
    expect([next.data, next.control.map(({ event }) => event)]).toEqual([[2, 3], ['stream-open']])
  })
})

/** Fanout, and another proxy that takes whatever it is sent. */
async function setUpTwoProxies() {
  const fanout = await Fanout.start({ isStrict: true })
  const publisher = fanout.publisher()
  const items = { fanout: fanout.items as object[], pushpin: [] as object[] }
  const config = { control_uri: 'http://pushpin.invalid/', control_iss: 'pushpin', key: 'changeme' }
  publisher.applyConfig(config, {
    fetch: async (_url, init) => {
      items.pushpin.push(...JSON.parse(String(init?.body)).items)
      return new Response('Published\n')
    },
  })
  return { publisher, items }
}
