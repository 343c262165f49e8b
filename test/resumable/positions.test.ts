import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import type { Faucet } from '../support/faucet.js'
import { resetsOf, withReplicas } from '../support/replicas.js'
import type { SseClient } from '../support/sse-client.js'
import type { StoreName } from '../support/stream-stores.js'
import { until } from '../support/until.js'

/** Positions that other systems give, or that nobody does. */
const foreign = [
  // Redis Streams, and what is built on them: milliseconds and a counter.
  '1718000000000-0',
  '1718000000000-1',
  '9007199254740991-0',
  '9007199254740991-4294967295',
  '4294967296-0',
  '100000000-0',
  '0-0',
  '1-0',
  '2-0',
  '2-4294967295',
  '00-0',
  '-1',
  'now',
  'earliest',
  '5',
  '99999999999999999999-0',
  '2-0-0',
  '2:0',
  'other~2-0',
  'other~1718000000000-0*a~',
  '{"last":5}',
]

describe('positions of streams in memory', () => positions('memory'))
describeWithRedis('positions of streams in Redis', () => positions('redis'))
describeWithPostgres('positions of streams in Postgres', () => positions('postgres'))

function positions(name: StoreName | 'memory'): void {
  const { replicas } = withReplicas(name)

  test('are answered by stream-reset when they are none of it, and never by 204 or silence', async () => {
    const { id, faucet, producing, other, ask } = await replicas()
    const first = await ask(producing)
    faucet.give('1', '2', '3')
    await first.received(3)
    await until(async () => (await other.eventStream.streams.status(id))?.lastEventId[0] === '3')
    for (const replica of [producing, other]) {
      for (const path of ['answers', 'following']) {
        const clients = await Promise.all(
          foreign.map((lastEventId) => ask(replica, { lastEventId }, path)),
        )
        expect(clients.map(({ status }) => status)).toEqual(foreign.map(() => 200))
        for (const client of clients) await until(() => resetsOf(client) === 1)
        for (const client of clients) client.destroy()
      }
    }
    faucet.end()
    await first.end()
    expect((await ask(other, { lastEventId: first.lastEventId })).status).toBe(204)
  })

  test('that are none of a stream that has ended, or no longer kept, are answered by a reset and the end', async () => {
    const { id, faucet, producing, other, ask } = await replicas({ maxEvents: 2 })
    const first = await ask(producing)
    faucet.give('1', '2', '3', '4', '5')
    faucet.end()
    await first.end()
    const [one] = first.events
    await until(async () => (await other.eventStream.streams.status(id))?.state === 'completed')
    const asked = [...foreign, String(one?.id)]
    for (const replica of [producing, other]) {
      for (const path of ['answers', 'following']) {
        const all = asked.map(async (lastEventId) => {
          const client = await endOf(ask(replica, { lastEventId }, path))
          const back = await ask(replica, { lastEventId: client.lastEventId }, path)
          return [client.control.map(({ event }) => event), client.data, back.status]
        })
        const events = ['stream-open', 'stream-reset', 'stream-end']
        expect(await Promise.all(all)).toEqual(asked.map(() => [events, [], 204]))
      }
    }
  })

  test('of another replica are waited for, which is ahead of the log', async () => {
    const { faucet, producing, other, ask } = await replicas({ flushMs: 1000 })
    const first = await ask(producing)
    faucet.give('1')
    await first.received(1)
    // The first write has gone; these wait for the next one.
    await sleep(50)
    faucet.give('2', '3')
    await first.received(3)
    first.destroy()
    const moving = ask(other, { lastEventId: first.lastEventId })
    await sleep(300)
    faucet.give('4')
    faucet.end()
    const moved = await moving
    await moved.end()
    expect([moved.status, moved.data, resetsOf(moved)]).toEqual([200, ['4'], 0])
  })

  test('of another replica are waited for by readers in code', async () => {
    const { id, faucet, producing, other } = await replicas({ flushMs: 1000 })
    await producing.eventStream.streams.create(id, faucet as Faucet<string>)
    const reader = (await producing.eventStream.streams.read(id)).getReader()
    faucet.give('1')
    await reader.read()
    await sleep(50)
    faucet.give('2', '3')
    await reader.read()
    const { value } = await reader.read()
    await reader.cancel()
    const moved = (await other.eventStream.streams.read(id, { after: value?.id })).getReader()
    const next = moved.read()
    await sleep(300)
    faucet.give('4')
    faucet.end()
    expect([value?.data, (await next).value?.data]).toEqual(['3', '4'])
    expect((await moved.read()).done).toBe(true)
  })

  test('of a client that recovers are waited for, in the process of the source too', async () => {
    const { id, faucet, producing, other, ask } = await replicas({ flushMs: 1000 })
    const first = await ask(producing)
    faucet.give('1')
    await first.received(1)
    await sleep(50)
    faucet.give('2', '3')
    await first.received(3)
    const { lastEventId } = first
    const asking = [producing, other].map((replica) => ask(replica, { lastEventId }, 'recover'))
    await sleep(300)
    faucet.give('4')
    faucet.end()
    for (const answer of await Promise.all(asking)) {
      await answer.end()
      const { events, isReset } = JSON.parse(answer.text)
      expect([events.map(({ data }: { data: string }) => data), isReset]).toEqual([['4'], false])
    }
    for (const { completions } of [producing, other]) {
      for (const after of foreign) {
        const { events, isReset } = await completions.getEvents(id, { after })
        expect([events.map(({ data }) => data), isReset]).toEqual([['1', '2', '3', '4'], true])
      }
    }
    for (const after of foreign) {
      const answer = await ask(other, { lastEventId: after }, 'recover')
      await answer.end()
      expect(JSON.parse(answer.text)).toMatchObject({ isReset: true, isComplete: true })
    }
    const end = JSON.parse((await endOf(ask(other, {}, 'recover'))).text).lastEventId
    expect((await ask(other, { lastEventId: end }, 'recover')).status).toBe(204)
  })

  test('are told apart by readers in code: the end from what is none of the stream', async () => {
    const { id, producing, other } = await replicas()
    await (await producing.eventStream.streams.create(id, ['1', '2'])).ended
    const end = (await other.eventStream.streams.status(id))?.lastEventId
    for (const { eventStream } of [producing, other]) {
      const { streams } = eventStream
      const atEnd = (await streams.read(id, { after: end })).getReader()
      expect((await atEnd.read()).done).toBe(true)
      for (const after of foreign) {
        const reader = (await streams.read(id, { after })).getReader()
        await expect(reader.read()).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
      }
    }
  })

  test('that are forged ahead of the log are told so when the log gets there', async () => {
    const { id, faucet, producing, other, ask } = await replicas()
    const first = await ask(producing)
    faucet.give('1')
    await first.received(1)
    const asking = ['2-7', '2-0', `${id}~2-7`].map((lastEventId) => ask(other, { lastEventId }))
    await sleep(100)
    faucet.give('2')
    for (const client of await Promise.all(asking)) await until(() => resetsOf(client) === 1)
    faucet.end()
    await first.end()
  })
}

async function endOf(asking: Promise<SseClient>): Promise<SseClient> {
  const client = await asking
  await client.end()
  return client
}
