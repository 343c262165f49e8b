import { afterEach, expect, test } from '@jest/globals'
import { redisEventLog } from '../../src/redis.js'
import { resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer } from '../support/redis-server.js'
import { TcpProxy } from '../support/tcp-proxy.js'

const delayMs = 10

/** Round trips to Redis after which a process has its turn beside one that sends all the time. */
const trips = 40

describeWithRedis('a stream that a process sends to without a pause', () => {
  const closers: (() => Promise<unknown>)[] = []

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  async function setUpFar(server: RedisServer) {
    const proxy = await TcpProxy.start(server.url, delayMs)
    const log = redisEventLog({ redis: proxy.url })
    closers.push(
      () => proxy.close(),
      () => log.close(),
    )
    const { eventStream } = setUp({ log })
    await eventStream.ready()
    return resilience(eventStream)
  }

  test('takes what each of two processes sends within a bounded time, while both send all the time', async () => {
    const server = await RedisServer.start()
    closers.push(() => server.stop())
    const senders = [await setUpFar(server), await setUpFar(server)]
    await senders[0]?.registry.register({ streamId: 'job' })
    const until = performance.now() + 8000
    const runs = senders.map(async ({ sendStreamEvent }, name) => {
      const times: number[] = []
      while (performance.now() < until) {
        const before = performance.now()
        await sendStreamEvent('job', `from-${name}`, times.length)
        times.push(performance.now() - before)
      }
      return times
    })
    const times = await Promise.all(runs)
    const { events } = await (senders[0] as (typeof senders)[0]).completions.getEvents('job')
    for (const [name, { length }] of times.entries()) {
      const own = events.filter(({ event }) => event === `from-${name}`).map(({ data }) => data)
      expect(own).toEqual(Array.from({ length }, (_, n) => n))
    }
    // A busy machine may add something.
    expect(Math.max(...times.flat())).toBeLessThan(trips * 2 * delayMs + 500)
  }, 60_000)
})
