import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { setUp } from '../support/app.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { lastOf, linkOf, setUpBehindProxy } from '../support/played-proxy.js'
import { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'

describe('kick', () => {
  test('ends the streams that listen to a channel, which come back where they were', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/ab', eventStream(['a', 'b']))
    app.get('/b', eventStream('b'))
    const request = await serve()
    const [ab, b] = await Promise.all([request('/ab'), request('/b')])
    await Promise.all([ab.opened(), b.opened()])
    await eventStream.kick('a')
    await ab.end()
    await eventStream.publishEvent('b', { data: 1 })
    await b.received(1)
    const again = await request('/ab', { lastEventId: ab.lastEventId })
    await again.received(1)
    expect([b.ended, again.data]).toEqual([false, [1]])
    expect(ab.retryMs).toBeGreaterThanOrEqual(1000)
  })

  test('ends those for which a function is true', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/:id', eventStream('{id}'))
    const request = await serve()
    const [a, b] = await Promise.all([request('/a'), request('/b')])
    await Promise.all([a.opened(), b.opened()])
    await eventStream.kick((stream) => stream.transport === 'socket' && stream.channels[0] === 'b')
    await b.end()
    expect(a.ended).toBe(false)
  })

  test('ends a stream that was allowed before, and had not opened yet', async () => {
    const { eventStream, app, serve } = setUp()
    const asked: ((allowed: boolean) => void)[] = []
    const authorize = () => new Promise<boolean>((resolve) => asked.push(resolve))
    app.get('/a', eventStream('a', { authorize }))
    const opening = (await serve())('/a')
    await until(() => asked.length === 1)
    await eventStream.kick('a')
    asked[0]?.(true)
    await (await opening).end()
    expect(eventStream.connections()).toEqual([])
  })

  test.each([
    ['a promise', async () => false],
    ['a promise that rejects', async () => Promise.reject(new Error('no'))],
    ['a number', () => 1],
    ['a text', () => 'false'],
    ['nothing', () => undefined],
    [
      'no boolean of one of them',
      (stream: { channels: readonly string[] }) => stream.channels[0] === 'a' || 1,
    ],
  ])('ends nothing by a function that gives %s', async (_name, which) => {
    const { eventStream, app, serve } = setUp()
    app.get('/:id', eventStream('{id}'))
    const request = await serve()
    const clients = await Promise.all([request('/a'), request('/b')])
    await Promise.all(clients.map((client) => client.opened()))
    await expect(eventStream.kick(which as never)).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringContaining('must return true or false, got '),
    })
    await Promise.all(['a', 'b'].map((channel) => eventStream.publishEvent(channel, { data: 1 })))
    await Promise.all(clients.map((client) => client.received(1)))
    expect(clients.map(({ ended }) => ended)).toEqual([false, false])
  })

  test('ends nothing at a proxy by a function that gives a promise, which is told once', async () => {
    const { eventStream, app, serve, told } = setUpBehindProxy()
    app.get('/:id', eventStream('{id}'))
    const { open, follow } = await serve()
    const held = await open('/a')
    await eventStream.kick((async () => false) as never)
    for (const _ of [1, 2]) {
      const { headers } = await follow(linkOf(held), lastOf(held))
      expect(headers['grip-hold']).toBe('stream')
    }
    expect(told).toMatchObject([{ code: 'ERR_OPTION' }])
  })

  test('refuses what is no channel', async () => {
    const { eventStream } = setUp()
    await expect(eventStream.kick('')).rejects.toMatchObject({ code: 'ERR_CHANNEL' })
  })
})

describeWithRedis('kick, with a log in Redis', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await RedisServer.start()
  })

  afterAll(() => redis.stop())

  test('ends the streams of all processes', async () => {
    const [here, there] = [setUp({ redis: redis.url }), setUp({ redis: redis.url })]
    for (const { app, eventStream } of [here, there]) app.get('/:id', eventStream('{id}'))
    const requests = [await here.serve(), await there.serve()]
    const clients = await Promise.all(requests.flatMap((to) => [to('/a'), to('/b')]))
    await Promise.all(clients.map((client) => client.opened()))
    await here.eventStream.kick('a')
    await until(() => clients.filter(({ ended }) => ended).length === 2)
    await there.eventStream.publishEvent('b', { data: 1 })
    await Promise.all([clients[1]?.received(1), clients[3]?.received(1)])
    expect(clients.map(({ ended }) => ended)).toEqual([true, false, true, false])
  })

  test('ends the readers of a stream in all processes, and nobody who listens to a channel of its name', async () => {
    const [here, there] = [setUp({ redis: redis.url }), setUp({ redis: redis.url })]
    for (const { app, eventStream } of [here, there]) {
      app.get('/events/:id', eventStream('{id}'))
      app.get('/following/:id', eventStream.streams.handler('{id}'))
    }
    await here.eventStream.streams.create('s', new ReadableStream())
    const requests = [await here.serve(), await there.serve()]
    const paths = ['/events/s', '/following/s']
    const clients = await Promise.all(requests.flatMap((to) => paths.map((path) => to(path))))
    await Promise.all(clients.map((client) => client.opened()))
    await there.eventStream.streams.kick('s')
    await until(() => clients.filter(({ ended }) => ended).length === 2)
    await here.eventStream.publishEvent('s', { data: 1 })
    await Promise.all([clients[0]?.received(1), clients[2]?.received(1)])
    expect(clients.map(({ ended }) => ended)).toEqual([false, true, false, true])
    expect((await here.eventStream.streams.status('s'))?.state).toBe('active')
  })

  /** A right that was looked at, and is taken away by another process before the stream opens. */
  async function kickedMeanwhile({
    eventStream,
    app,
  }: Pick<ReturnType<typeof setUp>, 'app' | 'eventStream'>) {
    const asked: ((allowed: boolean) => void)[] = []
    const authorize = () => new Promise<boolean>((resolve) => asked.push(resolve))
    app.get('/:id', eventStream('{id}', { authorize }))
    const elsewhere = setUp({ redis: redis.url }).eventStream
    await Promise.all([eventStream.ready(), elsewhere.ready()])
    return {
      kick: async (channel: string) => {
        await until(() => asked.length === 1)
        await elsewhere.kick(channel)
        asked[0]?.(true)
      },
    }
  }

  test('ends a stream that another process kicked before it had opened, though nothing else is open here', async () => {
    const here = setUp({ redis: redis.url })
    const { kick } = await kickedMeanwhile(here)
    const opening = (await here.serve())('/a')
    await kick('a')
    await (await opening).end()
    expect(here.eventStream.connections()).toEqual([])
  })

  test('does not end a stream that was kicked before its rights were looked at', async () => {
    const here = setUp({ redis: redis.url })
    here.app.get('/:id', here.eventStream('{id}'))
    const elsewhere = setUp({ redis: redis.url }).eventStream
    await elsewhere.kick('b')
    const client = await (await here.serve())('/b')
    await elsewhere.publishEvent('b', { data: 1 })
    await client.received(1)
    expect(client.ended).toBe(false)
  })

  test('has a proxy hold no stream that another process kicked before it was answered', async () => {
    const here = setUpBehindProxy({ redis: redis.url })
    const { kick } = await kickedMeanwhile(here)
    const opening = (await here.serve()).open('/c')
    await kick('c')
    const { headers } = await opening
    expect([headers['grip-hold'], headers['grip-link']]).toEqual([undefined, undefined])
  })

  test('hears nothing of kicks any more when nobody waits', async () => {
    const here = setUp({ redis: redis.url })
    const { kick } = await kickedMeanwhile(here)
    const opening = (await here.serve())('/d')
    await kick('e')
    const client = await opening
    const followed = async () => String(await redis.cli('PUBSUB', 'CHANNELS', '*kicks*'))
    expect(await followed()).toContain('kicks')
    client.destroy()
    await until(() => here.eventStream.connections().length === 0)
    await until(async () => !(await followed()).includes('kicks'), 30_000)
  }, 60_000)
})
