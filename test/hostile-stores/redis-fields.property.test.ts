import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { encodeEnding } from '../../src/core/stream-end.js'
import { channelKeys } from '../../src/log/redis/format.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { damaged, hostileText } from '../support/hostile-values.js'
import { RedisServer } from '../support/redis-server.js'
import { openDriverLog } from '../support/store-app.js'
import { unlessRefused } from '../support/unless-refused.js'

const page = { maxEvents: 100, maxLength: 100_000 }
const limits = { maxEvents: 100, maxBytes: 100_000, maxAgeMs: 60_000 }

/** What the hash of a channel or a stream has. */
const fields = ['h', 'c', 'b', 't', 'x', 'f', 'p', 'o', 's', 'l', 'a', 'e'] as const

const numbers = fc.constantFrom('-1', '0', '1e400', '-1e400', 'nan', '0x10', '9'.repeat(400), '1.5')

const ids = fc.constantFrom(
  '0-0',
  '1-0',
  '99-5',
  '9007199254740992-1',
  '5-4294967296',
  '05-1',
  '-1-2',
)

const change = fc.record({
  field: fc.constantFrom(...fields),
  text: fc.oneof(hostileText, numbers, ids, damaged('3-12345')),
})

for (const driver of ['ioredis', 'redis'] as const) {
  describeWithRedis(`what others write into the keys of a channel, by ${driver}`, () => {
    let server: RedisServer
    let redis: Redis
    let log: ReturnType<typeof openDriverLog>

    beforeAll(async () => {
      server = await RedisServer.start()
      redis = new Redis(server.url)
      log = openDriverLog(driver, server.url, { maxBytes: 2000 })
    })

    afterAll(async () => {
      redis.disconnect()
      await log.close()
      await server.stop()
    })

    test('costs the channel no more than what it had', async () => {
      const kind = fc.constantFrom('channel', 'stream', 'ended')
      const change3 = fc.array(change, { minLength: 1, maxLength: 3 })
      const property = fc.asyncProperty(change3, kind, async (changes, is) => {
        await redis.flushall()
        const { keys } = channelKeys('headwater', 'a')
        if (is !== 'channel') await log.claim('a', { token: 't', leaseMs: 60_000, limits })
        if (is === 'ended') await log.endStream('a', encodeEnding({ state: 'completed' }))
        if (is === 'channel')
          await log.append(
            'a',
            ['1', '2', '3'].map((data) => ({ data })),
          )
        const [before] = await log.heads(['a'])
        for (const { field, text } of changes) await redis.hset(keys[1], field, text)
        const all = [
          log.read('a', String(before), page),
          log.read('a', 'earliest', page),
          log.heads(['a']),
          log.inspect('a'),
          log.renew([{ channel: 'a', token: 't', leaseMs: 60_000 }]),
          log.claim('a', { token: 'other', leaseMs: 60_000, limits }),
        ]
        for (const call of all) await unlessRefused<unknown>(call)
        const [head] = await log.heads(['a'])
        const appended = await unlessRefused(log.append('a', [{ data: '4' }, { data: '5' }]))
        // A stream, or what looks like a closed channel, takes nothing.
        if (appended === undefined) return
        const { entries, gap } = await log.read('a', String(head), page)
        // What is behind a head that was never there is told by a gap.
        const added = gap === undefined ? ['4', '5'] : ['5']
        expect(entries.slice(-added.length).map(({ data }) => data)).toEqual(added)
        if (gap === undefined) expect(entries).toHaveLength(2)
      })
      await fc.assert(property, { numRuns: 300 })
    })
  })
}
