import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { redisEventLog } from '../../src/redis.js'
import { seen } from '../log/lost-tail-suite.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { usePushpin } from '../support/grip.js'
import { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'

describeWithRedis(
  'clients that Pushpin holds, of a Redis that starts again from an older snapshot',
  () => {
    describeWithPushpin('behind Pushpin', () => {
      const grip = usePushpin()
      let server: RedisServer
      let log: ReturnType<typeof redisEventLog>

      beforeEach(async () => {
        server = await RedisServer.start()
        log = redisEventLog({ redis: server.url, onHealth: () => undefined })
      })

      afterEach(async () => {
        await log.close()
        await server.stop()
      })

      test.each(['a', 'a,b'])('are told of it, on a stream of %s', async (channels) => {
        // Nothing else makes Pushpin ask in the time of this test.
        const { eventStream, app, connect } = grip.setUp({ log, gripPollMs: 240_000 })
        app.get('/events', eventStream(channels.split(',')))
        const held = await (await connect('/events')).opened()
        const publish = async (...numbers: number[]) => {
          for (const n of numbers) await eventStream.publishEvent('a', { data: n })
        }
        await publish(1, 2, 3)
        await held.received(3)
        await until(() => grip.links.length > 0)
        await server.cli('SAVE')
        await publish(4, 5, 6)
        await held.received(6)
        await server.restart()
        await until(() => seen(held).includes('reset unknown'), 4000)
        await publish(10)
        await held.received(7)
        expect(seen(held)).toEqual(['stream-open', 1, 2, 3, 4, 5, 6, 'reset unknown', 10])
      })
    })
  },
)
