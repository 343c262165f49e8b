import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { createParser } from 'eventsource-parser'
import { openSource } from '../client/open-source.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import type { Faucet } from '../support/faucet.js'
import { resetsOf, withReplicas } from '../support/replicas.js'
import { connect } from '../support/sse-client.js'
import type { StoreName } from '../support/stream-stores.js'
import { until } from '../support/until.js'

describe('a reader that changes replica, with streams in memory,', () => changes('memory'))
describeWithRedis('a reader that changes replica, with streams in Redis,', () => changes('redis'))
describeWithPostgres('a reader that changes replica, with streams in Postgres,', () =>
  changes('postgres'),
)

function changes(name: StoreName | 'memory'): void {
  const { replicas, spawn, empty } = withReplicas(name)

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

  test('again and again misses nothing, and nothing comes twice', async () => {
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

  if (name !== 'memory') {
    test('from one process to another misses nothing, also while that of the source stands still', async () => {
      const [producing, other] = [await spawn(), await spawn()]
      const got: unknown[] = []
      let resets = 0
      let lastEventId: string | undefined
      let isOver = false
      for (let cut = 0; !isOver; cut++) {
        const isFirst = cut % 2 === 0
        const { url } = isFirst ? producing : other
        const client = await connect(`${url}/counted`, { lastEventId })
        await until(() => client.events.length > 5 || client.ended)
        // Then it can write nothing, and its reader has more than the log.
        const isFrozen = isFirst && cut % 8 === 0
        if (isFrozen) producing.child.kill('SIGSTOP')
        client.destroy()
        if (isFrozen) setTimeout(() => producing.child.kill('SIGCONT'), 700)
        got.push(...client.data)
        resets += resetsOf(client)
        lastEventId = client.lastEventId
        isOver = client.control.some(({ event }) => event === 'stream-end')
        if (cut > 200) throw new Error('There is no end.')
      }
      expect([resets, got]).toEqual([0, allOf({ count: 300 })])
      const back = await connect(`${other.url}/counted`, { lastEventId })
      expect(back.status).toBe(204)
    })

    test('and one that does not, each get all of a source, after the store was emptied and the stream began anew', async () => {
      const { id, faucet, producing, other, ask } = await replicas({ flushMs: 60_000 })
      await producing.eventStream.streams.create(id, faucet as Faucet<string>)
      const beside = await ask(producing, {}, 'following')
      faucet.give('one')
      await beside.received(1)
      // From here on its process writes nothing until the end.
      const { streams } = other.eventStream
      await until(async () => (await streams.status(id))?.lastEventId === beside.lastEventId)
      await empty()
      await streams.create(id, ['of another source'])
      faucet.give('two')
      await beside.received(2)
      const there = await ask(other, {}, 'following')
      await there.end()
      const moved = await ask(other, { lastEventId: beside.lastEventId }, 'following')
      await until(() => moved.control.length > 1)
      faucet.give('three')
      faucet.end()
      await beside.end()
      expect([resetsOf(beside), beside.data]).toEqual([0, ['one', 'two', 'three']])
      expect([resetsOf(there), there.data]).toEqual([0, ['of another source']])
      expect(resetsOf(moved)).toBe(1)
    })

    test('is told by a reset of what nobody has, since the process of the source was killed', async () => {
      const streams = { flushMs: 1000, leaseMs: 600 }
      const [producing, other] = [await spawn(streams), await spawn(streams)]
      const first = await connect(`${producing.url}/killed`)
      await first.received(20)
      producing.child.kill('SIGKILL')
      await first.end()
      const moved = await connect(`${other.url}/killed`, { lastEventId: first.lastEventId })
      await moved.end()
      const names = moved.control.map(({ event }) => event)
      expect([moved.status, moved.data]).toEqual([200, []])
      expect(names).toEqual(['stream-open', 'stream-reset', 'stream-end'])
      const back = await connect(`${other.url}/killed`, { lastEventId: moved.lastEventId })
      expect(back.status).toBe(204)
    })
  }

  test('as one of Web requests misses nothing either', async () => {
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

  test('as one in code misses nothing either', async () => {
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

  test('as the client of this package misses nothing either', async () => {
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
