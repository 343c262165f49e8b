import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from '@jest/globals'
import { type EventLog, EventStream, memoryEventLog, type NewEvent } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { wrapLog } from '../support/wrap-log.js'

const all = { maxEvents: 100_000, maxLength: 100_000_000 }

async function stored(log: EventLog, channel = 'a'): Promise<unknown[]> {
  const { entries } = await log.read(channel, 'earliest', all)
  return entries.map(({ event, data }) => (event === undefined ? data : [event, data]))
}

/** A memory log that counts appends, and the most that were under way at once. */
function countingLog(maxEvents = 1000) {
  const inner = memoryEventLog({ maxEvents })
  const calls = { appends: 0, underWay: 0, most: 0, fail: undefined as unknown }
  const log = wrapLog(inner, {
    append: async (channel, entries) => {
      calls.appends += 1
      calls.underWay += 1
      calls.most = Math.max(calls.most, calls.underWay)
      await new Promise((resolve) => setImmediate(resolve))
      calls.underWay -= 1
      if (calls.fail !== undefined) throw calls.fail
      return inner.append(channel, entries)
    },
  })
  return { log, calls }
}

describe('publishEvent', () => {
  test('resolves to the id that clients see', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    const { id } = await eventStream.publishEvent('a', { event: 'tick', data: { n: 1 } })
    const [event] = await client.received(1)
    expect(event).toEqual({ event: 'tick', data: '{"n":1}', id })
  })

  test('sends raw text as it is, line by line', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    await eventStream.publishEvent('a', { raw: 'one\r\ntwo\rthree\n' })
    const [event] = await client.received(1)
    expect(event?.data).toBe('one\ntwo\nthree\n')
  })

  test('publishes once for one idempotency key', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log })
    const event = { data: 1, idempotencyKey: 'order-17' }
    const [first, second] = await Promise.all([
      eventStream.publishEvent('a', event),
      eventStream.publishEvent('a', event),
    ])
    expect([first?.id === second?.id, await stored(log)]).toEqual([true, ['1']])
  })

  test('rejects what cannot be sent, and nothing was appended', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log, maxEventBytes: 100 })
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    const bad: [string, NewEvent][] = [
      ['ERR_DATA', { data: cycle }],
      ['ERR_DATA', { data: 1n }],
      ['ERR_DATA', { data: () => 1 }],
      ['ERR_FIELD', { event: 'a\rdata: injected', data: 1 }],
      ['ERR_EVENT', null as never],
      ['ERR_EVENT_TOO_LARGE', { raw: 'ü'.repeat(51) }],
    ]
    for (const [code, event] of bad) {
      await expect(eventStream.publishEvent('a', event)).rejects.toMatchObject({ code })
    }
    await expect(eventStream.publishEvent('a\nb', { data: 1 })).rejects.toMatchObject({
      code: 'ERR_CHANNEL',
    })
    await eventStream.publishEvent('a', { event: 'ping' })
    expect(await stored(log)).toEqual([['ping', 'null']])
  })

  test('maxEventBytes counts what is sent: the name, and what each line begins and ends with', async () => {
    const { eventStream, app, serve } = setUp({ maxEventBytes: 10_000 })
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    const opened = client.text.length
    // `event: tick`, and `data: ` before each of 1426 lines.
    const lines = '\n'.repeat(1425)
    await eventStream.publishEvent('a', { event: 'tick', raw: `${lines}123456` })
    await client.received(1)
    const sent = client.text.slice(opened).replace(/id: .*\n\n/, '')
    expect(Buffer.byteLength(sent)).toBe(10_000)
    const tooLarge: NewEvent[] = [
      { event: 'tick', raw: `${lines}1234567` },
      { event: 'ticks', raw: `${lines}123456` },
      { raw: '\n'.repeat(2000) },
      { raw: '\r'.repeat(2000) },
      { raw: '\r\n'.repeat(2000) },
      { data: 'ü'.repeat(5000) },
    ]
    for (const event of tooLarge) {
      await expect(eventStream.publishEvent('a', event)).rejects.toMatchObject({
        code: 'ERR_EVENT_TOO_LARGE',
      })
    }
    await expect(eventStream.publishEvent('a', { raw: '\n'.repeat(2000) })).rejects.toThrow(
      /"message" takes 14007 bytes on the wire, and maxEventBytes is 10000/,
    )
  })

  test('by default, no event is larger than a mebibyte on the wire', async () => {
    const { eventStream } = setUp()
    await expect(
      eventStream.publishEvent('a', { raw: '\n'.repeat(1_048_576) }),
    ).rejects.toMatchObject({ code: 'ERR_EVENT_TOO_LARGE' })
  })

  test('an event name has 255 bytes at most', async () => {
    const { eventStream } = setUp()
    for (const event of ['x'.repeat(20_000_000), 'x'.repeat(256), '漢'.repeat(86)]) {
      const published = eventStream.publishEvent('a', { event, data: 1 })
      await expect(published).rejects.toMatchObject({ code: 'ERR_FIELD' })
      await expect(published).rejects.toThrow(/must have 255 bytes at most, got \d+/)
    }
    for (const event of ['x'.repeat(255), '漢'.repeat(85)]) {
      await eventStream.publishEvent('a', { event, data: 1 })
    }
  })

  test('keeps the order of calls that nobody waits for', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    await Promise.all(
      Array.from({ length: 500 }, (_, n) => eventStream.publishEvent('a', { data: n })),
    )
    await client.received(500)
    expect(client.data).toEqual(Array.from({ length: 500 }, (_, n) => n))
  })

  test('makes JSON once, however many clients there are', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/one', eventStream('a'))
    app.get('/two', eventStream('a', 'b'))
    const request = await serve()
    const clients = await Promise.all(
      ['/one', '/one', '/two', '/two'].map(async (path) => (await request(path)).opened()),
    )
    let made = 0
    const data = {
      toJSON: () => {
        made += 1
        return made
      },
    }
    await eventStream.publishEvent('a', { data })
    for (const client of clients) await client.received(1)
    expect([made, clients.map((client) => client.data)]).toEqual([1, [[1], [1], [1], [1]]])
  })

  test('lets sockets have their turn in a loop that awaits nothing else', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    const pad = 'x'.repeat(1000)
    // Far more than the log keeps and sockets hold: who falls behind is told so.
    for (let n = 0; n < 20_000; n++) await eventStream.publishEvent('a', { data: { n, pad } })
    await client.received(20_000)
    expect(client.data).toEqual(Array.from({ length: 20_000 }, (_, n) => ({ n, pad })))
    expect(client.control).toHaveLength(1)
  }, 30_000)
})

describe('a channel publisher', () => {
  test('publishes to its channel, and is not remembered', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log })
    const publisher = eventStream.getChannelPublisher('a')
    const { id } = await publisher.publishEvent({ data: 1 })
    expect([publisher.channel, await log.heads(['a'])]).toEqual(['a', [id]])
    expect(() => eventStream.getChannelPublisher('a\n')).toThrow(/is no channel name/)
  })
})

describe('a channel writable', () => {
  test('publishes what is written, in order', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log })
    const source = Array.from({ length: 300 }, (_, n) => ({ event: 'n', data: n }))
    await pipeline(Readable.from(source), eventStream.createChannelWritable('a'))
    expect(await stored(log)).toEqual(source.map(({ event, data }) => [event, `${data}`]))
  })

  test('calls back when the event is accepted', async () => {
    const { log } = countingLog()
    const eventStream = new EventStream({ log })
    const writable = eventStream.getChannelPublisher('a').createWritable()
    const seen = await new Promise<unknown[]>((resolve) => {
      writable.write({ data: 1 }, () => resolve(stored(log)))
    })
    expect(seen).toEqual(['1'])
  })

  test('publishes what waits in one batch, one batch at a time, and lets no more wait than it may', async () => {
    const { log, calls } = countingLog()
    const writable = new EventStream({ log }).createChannelWritable('a', { highWaterMark: 10 })
    let waiting = 0
    const source = async function* () {
      for (let n = 0; n < 500; n++) {
        yield { data: n }
        waiting = Math.max(waiting, writable.writableLength)
      }
    }
    await pipeline(Readable.from(source(), { highWaterMark: 1 }), writable)
    expect(await stored(log)).toHaveLength(500)
    expect(calls.most).toBe(1)
    expect(waiting).toBeLessThanOrEqual(10)
    expect(calls.appends).toBeLessThan(150)
  })

  test('fails with what went wrong, and takes the source with it', async () => {
    const { log, calls } = countingLog()
    const away = new Error('the log is away')
    const eventStream = new EventStream({ log })
    const source = Readable.from([{ data: 1 }, { data: 2 }])
    calls.fail = away
    await expect(pipeline(source, eventStream.createChannelWritable('a'))).rejects.toBe(away)
    expect(source.destroyed).toBe(true)
    calls.fail = undefined
    const text = pipeline(Readable.from(['text']), eventStream.createChannelWritable('a'))
    await expect(text).rejects.toMatchObject({ code: 'ERR_EVENT' })
  })

  test('keeps memory flat while a source that never waits is piped to a client', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await await (await serve())('/events', { paused: true })
    const pad = 'x'.repeat(1000)
    let most = 0
    const source = function* () {
      for (let n = 0; n < 100_000; n++) {
        if (n % 1000 === 0) {
          const queued = eventStream.connections().map(({ queuedBytes }) => queuedBytes)
          most = Math.max(most, ...queued)
        }
        yield { data: { n, pad } }
      }
    }
    await pipeline(Readable.from(source()), eventStream.createChannelWritable('a'))
    // 100 MB have passed; what one client that reads nothing holds up is its queue.
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThan(1_048_576 + 65_536 + 1100)
    client.destroy()
  }, 60_000)
})
