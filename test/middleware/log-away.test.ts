import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import express from 'express'
import { EventStream, type LogHealth } from '../../src/index.js'
import { redisEventLog } from '../../src/redis.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer } from '../support/redis-server.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

describeWithRedis('an event stream whose Redis is away', () => {
  let server: RedisServer
  let proxy: TcpProxy
  let url: string
  let here: EventStream
  let elsewhere: EventStream
  const errors: unknown[] = []
  const healths: LogHealth[] = []
  const closers: (() => Promise<void>)[] = []

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  beforeEach(async () => {
    errors.length = 0
    healths.length = 0
    await server.cli('FLUSHALL')
    proxy = await TcpProxy.start(server.url)
    const limits = { maxEvents: 10_000, maxBytes: 20_000_000 }
    const log = redisEventLog({
      ...limits,
      redis: proxy.url,
      timeoutMs: 500,
      onHealth: (health) => healths.push(health),
    })
    here = new EventStream({
      log,
      keepAliveMs: 100,
      maxQueueBytes: 50_000,
      onError: (error) => errors.push(error),
    })
    const otherLog = redisEventLog({ ...limits, redis: server.url })
    elsewhere = new EventStream({ log: otherLog })
    await Promise.all([here.ready(), elsewhere.ready()])
    const app = express()
    app.get('/:id', here('{id}'))
    const started = await startServer(app)
    url = started.url
    closers.push(async () => {
      await Promise.all([here.close({ graceMs: 0 }), elsewhere.close()])
      await Promise.all([log.close(), otherLog.close()])
      await started.close()
      await proxy.close()
    })
  })

  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })

  afterAll(() => server.stop())

  test('keeps streams open and alive, and gives them what they missed, once', async () => {
    const client = await (await connect(`${url}/a`)).opened()
    await elsewhere.publishEvent('a', { data: 1 })
    await client.received(1)
    proxy.cut()
    await until(() => here.health().log.state === 'down')
    const { length } = client.text
    for (const n of [2, 3]) await elsewhere.publishEvent('a', { data: n })
    await until(() => client.text.length >= length + 4)
    expect(client.text.slice(length)).toMatch(/^(?::\n)+$/)
    expect(here.health()).toMatchObject({ isHealthy: false, connections: 1 })
    proxy.heal()
    await client.received(3)
    await here.publishEvent('a', { data: 4 })
    await client.received(4)
    expect([client.data, client.ended]).toEqual([[1, 2, 3, 4], false])
    expect(client.control.map(({ event }) => event)).toEqual(['stream-open'])
    client.destroy()
  })

  test('sends new clients away for a while, and keeps the place of those that come back', async () => {
    const first = await (await connect(`${url}/a`)).opened()
    await elsewhere.publishEvent('a', { data: 1 })
    await first.received(1)
    first.destroy()
    await until(() => here.connections().length === 0)
    proxy.cut()
    await until(() => here.health().log.state === 'down')
    const away = await connect(`${url}/b`, { lastEventId: first.lastEventId })
    await away.end()
    expect([away.status, away.text]).toEqual([200, expect.stringMatching(/^retry: \d{4}\n$/)])
    await elsewhere.publishEvent('a', { data: 2 })
    proxy.heal()
    await until(() => here.health().isHealthy)
    const again = await connect(`${url}/a`, { lastEventId: first.lastEventId })
    await again.received(1)
    expect(again.data).toEqual([2])
    again.destroy()
  })

  test('lets a client that fell behind read on when Redis is back', async () => {
    const big = 'x'.repeat(10_000)
    const client = await connect(`${url}/a`, { paused: true })
    for (let n = 1; n <= 900; n++) await elsewhere.publishEvent('a', { data: { n, big } })
    // More than it was sent, and than the channel's tail has.
    await until(() => here.connections()[0]?.state === 'behind')
    await elsewhere.publishEvent('a', { data: { n: 901, big } })
    proxy.cut()
    await until(() => here.health().log.state === 'down')
    client.resume()
    await until(() => here.connections()[0]?.queuedBytes === 0)
    proxy.heal()
    await until(() => client.ended || here.connections()[0]?.state === 'live')
    const last = await elsewhere.publishEvent('a', { data: 'the end' })
    await until(() => client.lastEventId === last.id)
    expect(client.ended).toBe(false)
    const numbers = client.data.slice(0, -1).map((data) => Object(data).n as number)
    expect(numbers).toEqual(Array.from({ length: 901 }, (_, i) => i + 1))
    expect(client.control.map(({ event }) => event)).toEqual(['stream-open'])
    client.destroy()
  })

  test('tells of it once, however much fails', async () => {
    const clients = await Promise.all(
      Array.from({ length: 30 }, async (_, i) => (await connect(`${url}/channel-${i}`)).opened()),
    )
    for (let i = 0; i < 2; i++) {
      proxy.cut()
      await until(() => here.health().log.state === 'down')
      await Promise.allSettled(
        clients.map((_client, n) => here.publishEvent(`channel-${n}`, { data: n })),
      )
      proxy.heal()
      await until(() => here.health().isHealthy)
    }
    expect(healths.map(({ state }) => state)).toEqual(['down', 'up', 'down', 'up'])
    expect(errors).toEqual([])
    for (const client of clients) client.destroy()
  })
})
