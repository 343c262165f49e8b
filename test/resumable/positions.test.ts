import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createParser } from 'eventsource-parser'
import { memoryEventLog } from '../../src/index.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { resilience } from '../../src/resilience.js'
import type { StreamsOptions } from '../../src/resumable/options.js'
import { openSource } from '../client/open-source.js'
import { setUp } from '../support/app.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Faucet } from '../support/faucet.js'
import { startServer } from '../support/server.js'
import { type ClientOptions, connect, type SseClient } from '../support/sse-client.js'
import { openLog, type StoreName, type StreamStore, startStore } from '../support/stream-stores.js'
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
  let store: StreamStore | undefined
  const logs: StreamLog[] = []
  let streamCount = 0

  beforeAll(async () => {
    if (name !== 'memory') store = await startStore(name)
  })

  afterAll(async () => {
    for (const log of logs) await log.close()
    await store?.stop()
  })

  /** Two processes, as far as the store can tell: the first one is asked first, and so produces. */
  async function replicas(streams: StreamsOptions = {}) {
    const shared = name === 'memory' ? memoryEventLog() : undefined
    const faucet = new Faucet<unknown>()
    const join = async () => {
      const log = shared ?? openLog(name, store?.url ?? '')
      logs.push(log)
      const { app, eventStream } = setUp({ log, streams, onError: () => undefined })
      const source = () => faucet as Faucet<string>
      const track = { type: 'answer' }
      app.get('/answers/:id', eventStream.streams.handler('{id}', source, { track }))
      app.get('/following/:id', eventStream.streams.handler('{id}'))
      const { completions, recoveryHandler } = resilience(eventStream)
      app.get('/recover/:streamId', recoveryHandler({ authorize: () => true }))
      const { url } = await startServer(app)
      return { eventStream, completions, url }
    }
    const id = `a-${++streamCount}`
    const [producing, other] = [await join(), await join()]
    const ask = (replica: typeof other, options: ClientOptions = {}, path = 'answers') =>
      connect(`${replica.url}/${path}/${id}`, options)
    return { id, faucet, producing, other, ask }
  }

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

  const cuts = 28

  /** Chunks as they come while a client listens, until the client has one of them. */
  async function give(faucet: Faucet<unknown>, given: { count: number }, has: () => boolean) {
    for (let n = 0; n < 6; n++) {
      faucet.give(`${++given.count}`)
      await sleep(2)
    }
    await until(has)
  }

  const allOf = ({ count }: { count: number }) =>
    Array.from({ length: count }, (_, n) => `${n + 1}`)

  test('of a client that changes replica again and again miss nothing, and nothing comes twice', async () => {
    const { faucet, producing, other, ask } = await replicas()
    const got: unknown[] = []
    const given = { count: 0 }
    let resets = 0
    let lastEventId: string | undefined
    for (let cut = 0; cut < cuts; cut++) {
      const client = await ask([producing, other][cut % 2] as typeof other, { lastEventId })
      await client.opened()
      const before = client.events.length
      await give(faucet, given, () => client.events.length > before)
      client.destroy()
      got.push(...client.data)
      resets += resetsOf(client)
      lastEventId = client.lastEventId
    }
    faucet.end()
    const last = await ask(other, { lastEventId })
    await last.end()
    got.push(...last.data)
    expect([resets, got]).toEqual([0, allOf(given)])
  })

  test('of a Web reader that does so are good as well', async () => {
    const { id, faucet, producing, other } = await replicas()
    const given = { count: 0 }
    const got: string[] = []
    const resets: string[] = []
    let last: Record<string, string> = {}
    const parser = createParser({
      onEvent: ({ event, data, id: position }) => {
        if (position !== undefined) last = { 'Last-Event-ID': position }
        if (event === undefined) got.push(JSON.parse(data))
        if (event === 'stream-reset') resets.push(data)
      },
    })
    const open = async ({ eventStream }: typeof other) => {
      const leaving = new AbortController()
      const request = new Request('http://x/', { headers: last, signal: leaving.signal })
      const response = await eventStream.streams.fetch(request, id, () => faucet as Faucet<string>)
      return { leaving, reader: textOf(response) }
    }
    for (let cut = 0; cut < cuts; cut++) {
      const { leaving, reader } = await open([producing, other][cut % 2] as typeof other)
      const before = got.length
      parser.reset()
      const read = async () => {
        for await (const text of reader) parser.feed(text)
      }
      const reading = read()
      await give(faucet, given, () => got.length > before)
      leaving.abort()
      await reading
    }
    faucet.end()
    parser.reset()
    for await (const text of (await open(other)).reader) parser.feed(text)
    expect([resets, got]).toEqual([[], allOf(given)])
  })

  test('of a reader in code that does so are good as well', async () => {
    const { id, faucet, producing, other } = await replicas()
    await producing.eventStream.streams.create(id, faucet as Faucet<string>)
    const given = { count: 0 }
    const got: unknown[] = []
    let after: string | undefined
    for (let cut = 0; cut < cuts; cut++) {
      const { eventStream } = [producing, other][cut % 2] as typeof other
      const reader = (await eventStream.streams.read(id, { after })).getReader()
      const before = got.length
      const read = async () => {
        for (;;) {
          const { value, done } = await reader.read()
          if (done) return
          got.push(value.data)
          after = value.id
        }
      }
      const reading = read()
      await give(faucet, given, () => got.length > before)
      await reader.cancel()
      await reading
    }
    faucet.end()
    for await (const { data } of await other.eventStream.streams.read(id, { after })) got.push(data)
    expect(got).toEqual(allOf(given))
  })

  test('of the client in the browser are good as well', async () => {
    const { id, faucet, producing, other } = await replicas()
    let asked = 0
    const address = () => `${(asked++ % 2 ? other : producing).url}/answers/${id}`
    const { told, data, closes } = openSource(address, { maxRetryMs: 20 })
    const given = { count: 0 }
    for (let cut = 0; cut < cuts; cut++) {
      const before = data.length
      await until(() => told.filter(({ type }) => type === 'open').length > cut)
      await give(faucet, given, () => data.length > before)
      for (const { eventStream } of [producing, other]) {
        for (const connection of eventStream.connections()) connection.end(1)
      }
    }
    faucet.end()
    await closes()
    expect(told.filter(({ type }) => type === 'reset')).toEqual([])
    expect(data.map((text) => JSON.parse(text))).toEqual(allOf(given))
    expect(asked).toBeGreaterThan(cuts)
  })
}

async function* textOf({ body }: Response): AsyncGenerator<string> {
  for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) yield text
}

async function endOf(asking: Promise<SseClient>): Promise<SseClient> {
  const client = await asking
  await client.end()
  return client
}

function resetsOf({ control }: SseClient): number {
  return control.filter(({ event }) => event === 'stream-reset').length
}
