import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { channelKeys } from '../../src/log/redis/format.js'
import { redisEventLog } from '../../src/redis.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { hostileTexts } from '../support/hostile-values.js'
import { RedisServer } from '../support/redis-server.js'
import { StoreApp } from '../support/store-app-process.js'
import { until } from '../support/until.js'

/** What processes tell one another which streams are to end. */
const kicks = '\u0001kicks'

const liveOf = (channel: string) => channelKeys('headwater', channel).live

for (const driver of ['ioredis', 'redis'] as const) {
  describeWithRedis(`messages of others, by ${driver}`, () => {
    let server: RedisServer
    let redis: Redis
    let log: ReturnType<typeof redisEventLog>
    let app: StoreApp

    beforeAll(async () => {
      server = await RedisServer.start()
      redis = new Redis(server.url)
      log = redisEventLog({ redis: server.url })
      app = await StoreApp.start(driver, server.url)
    })

    afterEach(() => redis.flushall())

    afterAll(async () => {
      app.kill()
      redis.disconnect()
      await log.close()
      await server.stop()
    })

    test('neither end the process nor take anything from anybody', async () => {
      const [attacked, other] = [await app.follow('a'), await app.follow('b')]
      for (const [n, text] of hostileTexts.entries()) {
        expect(await redis.publish(liveOf('a'), text)).toBe(1)
        for (const channel of ['a', 'b']) await log.append(channel, [{ data: String(n) }])
      }
      const all = hostileTexts.map((_text, n) => n)
      await until(() => app.hasEnded || other.data.length + attacked.data.length >= 2 * all.length)
      expect(app.hasEnded).toBe(false)
      expect(other.data).toEqual(all)
      expect(attacked.data).toEqual(all)
      expect(attacked.control.map(({ event }) => event)).toEqual(['stream-open'])
      expect(app.health).toEqual([])
      const { isHealthy, unreadable } = await app.state()
      expect(isHealthy).toBe(true)
      expect(unreadable).toBe(hostileTexts.length)
      expect(app.errors).toEqual([
        { error: 'ERR_STORE_ENTRY', message: expect.stringContaining('"a"') },
      ])
    })

    test('to the channel of kicks end nothing, and a real kick behind them ends what it should', async () => {
      const [a, b] = [await app.follow('a'), await app.follow('b')]
      const { unreadable } = await app.state()
      for (const text of hostileTexts) await redis.publish(liveOf(kicks), text)
      const notices = hostileTexts.filter((text) => text !== '""')
      for (const data of notices) await log.append(kicks, [{ data }])
      await log.append(kicks, [{ data: '"a"' }])
      await a.end()
      expect([app.hasEnded, b.ended, app.health]).toEqual([false, false, []])
      expect((await app.state()).isHealthy).toBe(true)
      const more = hostileTexts.length + notices.length
      await until(async () => (await app.state()).unreadable === unreadable + more)
    })
  })
}
