import { describe, expect, test } from '@jest/globals'
import { streamName } from '../../src/core/log-names.js'
import { type EventLog, memoryEventLog } from '../../src/index.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { setUp } from '../support/app.js'
import { setUpBehindProxy } from '../support/played-proxy.js'
import { openStreams } from '../support/stream-stores.js'
import { wrapLog } from '../support/wrap-log.js'

const ending = { event: 'stream-end', data: '{"state":"completed"}' }

/** Names that tell clients about the stream itself, and what an event of such a name might have. */
const controlEvents = [
  ending,
  { event: 'stream-end', data: 'null' },
  { event: 'stream-open', data: '{}' },
  { event: 'stream-reset', data: '{"channels":["b"],"reason":"trimmed"}' },
  { event: 'stream-error', data: '{}' },
]

/** A log of another make, whose entries all have ids that only the ends of streams have. */
function logWithEnds(): EventLog {
  const inner = memoryEventLog()
  const real = new Map<string, string>()
  const idOf = (id: string) => {
    if (id.startsWith('0-')) return id
    const shown = `${id.split('-')[0]}-0`
    real.set(shown, id)
    return shown
  }
  const entryOf = <Entry extends { readonly id: string; readonly prevId: string }>(
    entry: Entry,
  ) => ({
    ...entry,
    id: idOf(entry.id),
    prevId: idOf(entry.prevId),
  })
  return wrapLog(inner, {
    append: async (...args) => (await inner.append(...args)).map(entryOf),
    heads: async (...args) => (await inner.heads(...args)).map(idOf),
    follow: (channel, listener) =>
      inner.follow(channel, {
        append: (entries) => listener.append(entries.map(entryOf)),
        suspect: () => listener.suspect(),
      }),
    read: async (channel, from, limit) => {
      const place = typeof from === 'string' ? (real.get(from) ?? from) : from
      const { entries, gap, head } = await inner.read(channel, place, limit)
      return { entries: entries.map(entryOf), gap, head: idOf(head) }
    },
  })
}

describe('an event of a channel that is named like one of the stream itself', () => {
  test('ends nothing, and those that listen are told of a gap', async () => {
    const log = memoryEventLog()
    const { eventStream, app, serve } = setUp({ log, onError: () => undefined })
    app.get('/:id', eventStream('{id}'))
    const request = await serve()
    const live = await (await request('/a')).opened()
    for (const event of controlEvents) {
      await log.append('a', [event])
      await eventStream.publishEvent('a', { data: 1 })
    }
    await live.received(controlEvents.length)
    const late = await request('/a', { lastEventId: String(live.control[0]?.id) })
    await late.received(controlEvents.length)
    for (const client of [live, late]) {
      const kinds = client.control.map(({ event, data }) => [event, JSON.parse(data)])
      const reset = ['stream-reset', { channels: ['a'], reason: 'invalid' }]
      expect(kinds).toEqual([['stream-open', {}], ...controlEvents.map(() => reset)])
      expect(client.ended).toBe(false)
    }
  })

  test('ends nothing at a proxy', async () => {
    const log = memoryEventLog()
    const { eventStream, app, serve } = setUpBehindProxy({ log })
    app.get('/:id', eventStream('{id}'))
    const { open } = await serve()
    const [{ prevId } = { prevId: '' }] = await log.append('a', [{ data: '1' }])
    await log.append('a', [ending])
    const held = await open('/a', { lastEventId: prevId })
    expect(held.headers['grip-hold']).toBe('stream')
    expect(held.control.map(({ event }) => event)).toEqual(['stream-open', 'stream-reset'])
  })

  test.each(['direct', 'held'])('ends nothing where its id is that of an end: %s', async (way) => {
    const log = logWithEnds()
    const { eventStream, app, serve, told } = setUpBehindProxy({ log })
    app.get('/:id', eventStream('{id}'))
    const { direct, open } = await serve()
    const [head] = await log.heads(['a'])
    await log.append('a', [ending])
    const position = String(head)
    if (way === 'held') {
      const held = await open('/a', { lastEventId: position })
      expect(held.headers['grip-hold']).toBe('stream')
      expect(held.control.map(({ event }) => event)).toEqual(['stream-open', 'stream-reset'])
    } else {
      const client = await direct('/a', { lastEventId: position })
      await client.opened()
      await log.append('a', [ending])
      const other = await direct('/a')
      await other.opened()
      expect([client.status, client.ended, other.status, other.ended]).toEqual([
        200,
        false,
        200,
        false,
      ])
      expect(client.control.some(({ event }) => event === 'stream-end')).toBe(false)
    }
    expect(told).not.toEqual([])
  })
})

describe('an event of a stream that is named like its end', () => {
  /** A log to whose streams something else has added an event. */
  const add = async (log: StreamLog, id: string, event: { event: string; data: string }) => {
    const name = streamName(id)
    const limits = { maxEvents: 100, maxBytes: 10_000, maxAgeMs: 60_000 }
    const { info } = await log.claim(name, { token: 't', leaseMs: 60_000, limits })
    const prevId = String(info?.head)
    const id1 = `${Number(prevId.split('-')[0]) + 1}-5`
    const entries = [{ id: id1, prevId, ...event }]
    await log.produce(name, { token: 't', leaseMs: 60_000, limits, entries })
  }

  test.each(controlEvents)('is no end to those that read it: %j', async (event) => {
    const log = memoryEventLog()
    await add(log, 'a', event)
    const reader = (await openStreams(log).read('a')).getReader()
    await expect(reader.read()).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
    await log.close()
  })

  test('is no end to those that listen, and its bytes that are none end nothing', async () => {
    const log = memoryEventLog()
    const { eventStream, app, serve } = setUp({ log, onError: () => undefined })
    await add(log, 'a', ending)
    app.get('/:id', eventStream.streams.handler('{id}'))
    const client = await (await serve())('/a')
    await client.opened()
    await eventStream.streams.stop('a')
    await client.end()
    expect(client.control.map(({ event, data }) => [event, JSON.parse(data)])).toEqual([
      ['stream-open', {}],
      ['stream-reset', { channels: ['a'], reason: 'invalid' }],
      ['stream-end', { state: 'aborted' }],
    ])
    await add(log, 'b', { event: 'stream-bytes', data: 'no JSON' })
    const reader = (await eventStream.streams.read('b')).getReader()
    await expect(reader.read()).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
  })
})
