import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { StreamLog } from '../../src/log/stream-log.js'
import { setUp } from '../support/app.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { resetsOf } from '../support/replicas.js'
import { openLog, type StoreName, type StreamStore, startStore } from '../support/stream-stores.js'
import { TcpProxy } from '../support/tcp-proxy.js'

describeWithRedis('a process that hears of events late, from Redis,', () => lagging('redis'))
describeWithPostgres('a process that hears of events late, from Postgres,', () =>
  lagging('postgres'),
)

function lagging(name: StoreName): void {
  let store: StreamStore
  const logs: StreamLog[] = []
  const proxies: TcpProxy[] = []

  beforeAll(async () => {
    store = await startStore(name)
  })

  afterAll(async () => {
    for (const log of logs) await log.close()
    for (const proxy of proxies) await proxy.close()
    await store.stop()
  })

  const join = async (url: string) => {
    const log = openLog(name, url)
    logs.push(log)
    const { app, eventStream, serve } = setUp({ log, onError: () => undefined })
    app.get('/room', eventStream('room'))
    return { eventStream, get: await serve() }
  }

  test('serves a client that comes from a process which is ahead of it, without a reset', async () => {
    const proxy = await TcpProxy.start(store.url, 150)
    proxies.push(proxy)
    const [near, late] = [await join(store.url), await join(proxy.url)]
    // So that it follows the channel, and has a live position of its own.
    const listener = await (await late.get('/room')).opened()
    const expected: number[] = []
    const got: unknown[] = []
    let resets = 0
    let client = await (await near.get('/room')).opened()
    for (let n = 1; n <= 20; n++) {
      await near.eventStream.publishEvent('room', { data: n })
      expected.push(n)
      if (n % 2 === 1) await client.received(client.events.length + 1)
      client.destroy()
      got.push(...client.data)
      resets += resetsOf(client)
      const { lastEventId } = client
      client = await (n % 2 === 1 ? late : near).get('/room', { lastEventId })
      await client.opened()
    }
    await near.eventStream.publishEvent('room', { data: 21 })
    await listener.received(21)
    await client.received(1)
    while (got.length + client.events.length < 21) await client.received(client.events.length + 1)
    expect([...got, ...client.data]).toEqual([...expected, 21])
    expect([resets + resetsOf(client), resetsOf(listener)]).toEqual([0, 0])
  })
}
