import type { RequestListener } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import connect from 'connect'
import express4 from 'express-4'
import type { EventStream, EventStreamHandler } from '../../src/index.js'
import { healthHandler } from '../../src/observe.js'
import { redisEventLog } from '../../src/redis.js'
import { setUp } from '../support/app.js'
import { ControlEndpoint } from '../support/control-endpoint.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer } from '../support/redis-server.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'

describe('a health check', () => {
  test('is answered 200 with how the process is, and not stored', async () => {
    const { eventStream, app } = setUp()
    app.get('/healthz', healthHandler(eventStream))
    const { url } = await startServer(app)
    const response = await fetch(`${url}/healthz`)
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(await response.json()).toEqual({
      status: 'ok',
      log: { kind: 'memory', state: 'up', since: expect.stringMatching(/^\d{4}-.*Z$/) },
      connections: 0,
      channels: 0,
      proxies: { up: 0, down: 0 },
    })
  })

  test('by HEAD has no body, and any other method is answered 405', async () => {
    const { eventStream, app } = setUp()
    app.use('/healthz', healthHandler(eventStream))
    const { url } = await startServer(app)
    const head = await fetch(`${url}/healthz`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(10)
    const post = await fetch(`${url}/healthz`, { method: 'POST' })
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  test('is answered 503 once the event stream closes', async () => {
    const { eventStream, app } = setUp()
    app.get('/healthz', healthHandler(eventStream, { details: false }))
    const { url } = await startServer(app)
    await eventStream.close()
    const response = await fetch(`${url}/healthz`)
    expect([response.status, await response.json()]).toEqual([503, { status: 'closing' }])
  })

  test('counts proxies, of which one that is down makes nothing unhealthy', async () => {
    const proxy = await ControlEndpoint.start()
    proxy.behave = (res) => {
      res.statusCode = 403
      res.end()
    }
    const { eventStream, app } = setUp({
      grip: proxy.url,
      maxChannelsPerConnection: 1,
      onError: () => undefined,
    })
    app.get('/healthz', healthHandler(eventStream))
    const { url } = await startServer(app)
    await expect(eventStream.publishEvent('a', { data: 1 })).rejects.toThrow()
    const response = await fetch(`${url}/healthz`)
    const text = await response.text()
    expect(response.status).toBe(200)
    expect(JSON.parse(text)).toMatchObject({ status: 'ok', proxies: { up: 0, down: 1 } })
    expect(text).not.toContain('127.0.0.1')
  })

  const servers: [string, (handler: EventStreamHandler) => RequestListener][] = [
    ['Express 4', (handler) => express4().use('/healthz', handler)],
    ['Connect', (handler) => connect().use('/healthz', handler)],
    ['node:http', (handler) => handler],
  ]

  test.each(servers)('is served by %s', async (_name, serve) => {
    const { eventStream } = setUp()
    const { url } = await startServer(serve(healthHandler(eventStream)))
    for (const path of ['/healthz', '/healthz/']) {
      const response = await fetch(`${url}${path}`)
      expect([response.status, await response.json()]).toMatchObject([200, { status: 'ok' }])
    }
  })

  test('refuses what is no event stream, and options that do not exist', () => {
    const { eventStream } = setUp()
    expect(() => healthHandler({} as EventStream)).toThrow(
      'an object was given; give an event stream',
    )
    expect(() => healthHandler(eventStream, { detail: true } as never)).toThrow(
      'no option "detail"',
    )
  })
})

describeWithRedis('a health check while Redis is away', () => {
  const password = 'a-very-secret-word'
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start({ password })
  })

  afterAll(async () => {
    await server.stop()
  })

  test('is answered 503 without addresses or passwords, and 200 when it is back', async () => {
    const log = redisEventLog({ redis: server.url, timeoutMs: 500, onHealth: () => undefined })
    const { eventStream, app } = setUp({ log })
    app.get('/healthz', healthHandler(eventStream))
    const { url } = await startServer(app)
    const check = async () => {
      const response = await fetch(`${url}/healthz`)
      return { status: response.status, text: await response.text() }
    }
    await eventStream.ready()
    expect((await check()).status).toBe(200)

    await server.kill()
    await until(async () => (await check()).text.includes('reason'))
    const { status, text } = await check()
    expect(status).toBe(503)
    expect(JSON.parse(text)).toMatchObject({
      status: 'unavailable',
      log: { state: 'down', reason: expect.stringMatching(/^[\w, ]+$/) },
    })
    expect(text).not.toMatch(new RegExp(`${password}|${server.port}|127\\.0\\.0\\.1|redis:`))

    await server.restart()
    await until(async () => (await check()).status === 200)
    await log.close()
  })
})
