import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { channelKeys } from '../../src/log/redis/format.js'
import { redisEventLog } from '../../src/redis.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer } from '../support/redis-server.js'
import type { SseClient } from '../support/sse-client.js'
import { openDriverLog } from '../support/store-app.js'
import { StoreApp } from '../support/store-app-process.js'

const page = { maxEvents: 100, maxLength: 100_000 }

/** What something else may add to the stream of a channel, whose head is `3-<nonce>`. */
const foreignEntries: readonly (readonly [name: string, ...args: string[]])[] = [
  ['an id of its own', '*', 'foo', 'bar'],
  ['several fields', '*', 'e', '1 2 3\n\nx', 'f', 'g'],
  ['our field without a header', '*', 'e', 'text'],
  ['a header that is none', '*', 'e', '1 x 3\n\n1'],
  ['the next id', '4-1', 'foo', 'bar'],
  ['an id beside the last one', '3-4294967295', 'foo', 'bar'],
  ['ids beyond all numbers', '18446744073709551615-18446744073709551614', 'foo', 'bar'],
  ['the looks of an entry of ours', '5-7', 'e', '99 1700000000000 0\n\n"forged"'],
  [
    'the looks of the end of a stream',
    '4-0',
    'e',
    '99 1700000000000 0\nstream-end\n{"state":"completed"}',
  ],
]

for (const driver of ['ioredis', 'redis'] as const) {
  describeWithRedis(`entries of others in Redis, by ${driver}`, () => {
    let server: RedisServer
    let redis: Redis
    let log: ReturnType<typeof redisEventLog>
    let app: StoreApp
    let tests = 0
    let channel = ''
    let [stream, meta] = ['', '']

    beforeAll(async () => {
      server = await RedisServer.start()
      redis = new Redis(server.url)
      log = redisEventLog({ redis: server.url })
      app = await StoreApp.start(driver, server.url)
    })

    beforeEach(() => {
      tests += 1
      channel = `a${tests}`
      const { keys } = channelKeys('headwater', channel)
      stream = keys[0]
      meta = keys[1]
    })

    afterAll(async () => {
      app.kill()
      redis.disconnect()
      await log.close()
      await server.stop()
    })

    const publish = async (...numbers: number[]) => {
      for (const n of numbers) await log.append(channel, [{ data: String(n) }])
    }

    const kindsOf = ({ control }: SseClient) => control.map(({ event }) => event)

    test.each(foreignEntries)(
      'with %s are left out, and appends go on',
      async (_name, ...entry) => {
        await publish(1)
        const live = await app.follow(channel)
        await publish(2, 3)
        await redis.xadd(stream, ...entry)
        await publish(4, 5)
        await live.received(4)
        const opening = live.control[0]?.id
        const { entries, gap } = await log.read(channel, String(opening), page)
        expect([entries.map(({ data }) => data), gap]).toEqual([['2', '3', '4', '5'], undefined])
        const late = await app.follow(channel, opening)
        await late.received(4)
        await publish(6)
        for (const client of [live, late]) {
          await client.received(5)
          expect([client.data, kindsOf(client)]).toEqual([[2, 3, 4, 5, 6], ['stream-open']])
        }
        await app.expectWell()
      },
    )

    test('at the largest possible id do not stop their channel', async () => {
      await publish(1)
      const live = await app.follow(channel)
      await redis.xadd(stream, '18446744073709551615-18446744073709551615', 'foo', 'bar')
      await publish(2, 3)
      await live.received(2)
      expect(live.data).toEqual([2, 3])
    })

    test('do not keep an append from saying that it was done, where something is to be dropped', async () => {
      const small = redisEventLog({ redis: server.url, maxBytes: 10 })
      await small.append(channel, [{ data: '1' }, { data: '2' }, { data: '3' }])
      await redis.xadd(stream, '4-1', 'foo', 'bar')
      const appended = await small.append(channel, [{ data: '"0123456789"' }])
      expect(appended).toMatchObject([{ id: expect.stringMatching(/^4-/), duplicate: false }])
      const { entries } = await small.read(channel, 'earliest', page)
      expect(entries.map(({ data }) => data)).toEqual(['"0123456789"'])
      await small.close()
    })

    test.each([
      ['before', 'xadd', 'Nothing was done.', 0],
      ['after', 'publish', 'It is in the log', 1],
    ])(
      'and a user who may not do all: what fails %s the entry is added says so',
      async (...row) => {
        const [, command, message, count] = row
        await redis.call(
          'ACL',
          'SETUSER',
          'app',
          'on',
          'nopass',
          '~*',
          '&*',
          '+@all',
          `-${command}`,
        )
        const url = server.url.replace('//', '//app:any@')
        const own = openDriverLog(driver, url)
        const failure = own.append(channel, [{ data: '1' }])
        await expect(failure).rejects.toMatchObject({ code: 'ERR_LOG_REFUSED' })
        await expect(failure).rejects.toThrow(message)
        const { entries } = await own.read(channel, 'earliest', page)
        expect(entries).toHaveLength(count)
        await own.close()
      },
    )

    test('that are missing are told of at their place, and what is behind them is had', async () => {
      const [first] = await log.append(channel, [{ data: '1' }])
      const ids = await log.append(
        channel,
        ['2', '3', '4', '5'].map((data) => ({ data })),
      )
      await redis.xdel(stream, String(ids[1]?.id))
      const client = await app.follow(channel, first?.id)
      await client.received(3)
      expect([client.data, kindsOf(client)]).toEqual([
        [2, 4, 5],
        ['stream-open', 'stream-reset'],
      ])
      expect(client.control[1]).toMatchObject({
        id: ids[1]?.id,
        data: JSON.stringify({ channels: [channel], reason: 'invalid' }),
      })
      // A channel in use serves what it has read before it was dropped.
      await app.leave(channel, client)
      const last = ids.at(-1)?.id
      await redis.xdel(stream, String(last))
      const late = await app.follow(channel, ids[2]?.id)
      await publish(6)
      await late.received(1)
      expect([late.data, kindsOf(late), late.control[1]?.id]).toEqual([
        [6],
        ['stream-open', 'stream-reset'],
        last,
      ])
    })

    test.each([
      ['no JSON', '\r\n{bad'],
      ['no texts', '\r\n[1,2]'],
      ['a name that no stream can hold', 'a\rb\n1'],
      ['nothing', ''],
      ['the name of an end', 'stream-end\n{"state":"completed"}'],
      ['the name of a reset', 'stream-reset\n{"channels":["b"]}'],
      ['the name of a failure', 'stream-error\n{}'],
      ['the name of an opening', 'stream-open\n{}'],
    ])('in the place of ours, with %s, are told of, and end nothing', async (_name, text) => {
      const live = await app.follow(channel)
      const [one] = await log.append(channel, [{ data: '1' }])
      await live.received(1)
      await redis.xadd(stream, '2-77', 'e', `${one?.id.slice(2)} 1700000000000 1\n${text}`)
      await redis.hset(meta, 'h', '2-77')
      await publish(3)
      await live.received(2)
      const late = await app.follow(channel, one?.prevId)
      await late.received(2)
      for (const client of [live, late]) {
        expect(client.data).toEqual([1, 3])
        expect(kindsOf(client)).toEqual(['stream-open', 'stream-reset'])
        expect(client.control[1]?.id).toBe('2-77')
        expect(client.ended).toBe(false)
      }
      await app.expectWell()
    })
  })
}
