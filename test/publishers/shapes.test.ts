import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { EventStream, memoryEventLog, type NewEvent } from '../../src/index.js'
import { resilience } from '../../src/resilience.js'

const log = memoryEventLog()
const errors: unknown[] = []
const eventStream: EventStream = new EventStream({
  log,
  schemas: { checked: { message: z.unknown() } },
  onError: (error) => errors.push(error),
})
const { registry, sendStreamEvent, completions } = resilience(eventStream)

/** What is no event, and what the message says of it. */
const noEvents: [string, unknown, RegExp][] = [
  ['an object of the application', { text: 'hi' }, /got the key "text".*\{ data: object \}/],
  ['type and data', { type: 'chat', data: 1 }, /got the key "type"; did you mean "event"\?/],
  ['id and data', { id: 7, data: 1 }, /got the key "id"; the log gives ids.*idempotencyKey/],
  ['a misspelt name', { evnet: 'chat' }, /got the key "evnet"; did you mean "event"\?/],
  ['a misspelt name beside data', { evnet: 'chat', data: 1 }, /did you mean "event"\?/],
  ['misspelt data', { event: 'chat', date: 1 }, /got the key "date"; did you mean "data"\?/],
  [
    'a part of a UI message',
    { type: 'data-weather', id: 'w1', data: { city: 'Bonn' } },
    /got the key "type".*\{ data: object \}/,
  ],
  ['nothing', {}, /got an object without any of them/],
  ['a key alone', { idempotencyKey: 'k' }, /got an object without any of them/],
  ['a name that is undefined', { event: undefined }, /got an object without any of them/],
  ['a list', [{ data: 1 }], /got an array.*\{ data: value \}/],
  ['an empty list', [], /got an array/],
  ['a date', new Date(0), /got a Date/],
  ['a map', new Map([['data', 1]]), /got a Map/],
  ['a promise that nobody awaited', Promise.resolve({ data: 1 }), /got a Promise/],
  ['an error', new Error('no'), /got an Error/],
  ['text', 'hi', /got "hi".*\{ raw: text \}/],
  ['a number', 7, /got 7/],
  ['null', null, /got null/],
]
const bytes: [string, unknown, RegExp] = ['bytes', Buffer.from('hi'), /got a Uint8Array.*raw/]

/** Resolves when the event is accepted. */
const entrances: Record<string, (event: NewEvent) => Promise<unknown>> = {
  publishEvent: (event) => eventStream.publishEvent('a', event),
  'publishEvent, with schemas': (event) => eventStream.publishEvent('checked', event),
  'a channel publisher': (event) => eventStream.getChannelPublisher('a').publishEvent(event),
  'a writable': (event) =>
    new Promise((resolve, reject) => {
      const writable = eventStream.createChannelWritable('a').on('error', reject)
      // A stream cannot be given null, which is its end.
      writable.write(event ?? 0, (error) => error ?? resolve(undefined))
    }),
  storeEvent: (event) => completions.storeEvent('job', event),
}

/** Text and bytes are chunks of streams as they are. */
const chunks = noEvents.filter(([, value]) => typeof value !== 'string')

describe('what is no event', () => {
  describe.each(Object.entries(entrances))('is refused by %s:', (entrance, publish) => {
    test.each([...noEvents, bytes])('%s', async (_name, event, message) => {
      await registry.register({ streamId: 'job' })
      const refused = publish(event as NewEvent)
      // A writable takes no null at all.
      const said = event === null && entrance === 'a writable' ? /got 0/ : message
      await expect(refused).rejects.toMatchObject({
        name: 'EventStreamError',
        code: 'ERR_EVENT',
        message: expect.stringMatching(said),
      })
      await expect(refused).rejects.toThrow(
        /An event must be \{ event\?, data \} or \{ event\?, raw \}/,
      )
      const { entries } = await log.read('a', 'earliest', { maxEvents: 1, maxLength: 1 })
      expect(entries).toEqual([])
      expect((await completions.getEvents('job')).events).toEqual([])
    })
  })

  test.each(chunks)('fails the stream whose source gives it: %s', async (name, chunk, message) => {
    const id = `source-${chunks.findIndex(([other]) => other === name)}`
    const { ended } = await eventStream.streams.create(id, ['before', chunk as NewEvent])
    await ended
    const { events } = await completions.getEvents(id)
    expect(events.map(({ data }) => data)).toEqual(['before'])
    expect((await eventStream.streams.status(id))?.state).toBe('failed')
    const refused = errors.splice(0)
    expect(refused).toEqual([
      expect.objectContaining({
        code: 'ERR_STREAM_SOURCE',
        cause: expect.objectContaining({ code: 'ERR_EVENT' }),
        message: expect.stringMatching(message),
      }),
    ])
    expect(String(refused[0])).toMatch(
      /A chunk must be a string, a Uint8Array, \{ event\?, data \}/,
    )
  })

  test('is refused when a file is piped to a channel', async () => {
    const piped = pipeline(createReadStream(__filename), eventStream.createChannelWritable('a'))
    await expect(piped).rejects.toMatchObject({ code: 'ERR_EVENT' })
    expect((await log.read('a', 'earliest', { maxEvents: 1, maxLength: 1 })).entries).toEqual([])
  })

  test('fails the stream whose source gives it: a chunk with an idempotency key', async () => {
    const keyed: object = { data: 1, idempotencyKey: 'k' }
    const { ended } = await eventStream.streams.create('keyed', [keyed])
    await ended
    expect(errors.splice(0)).toEqual([
      expect.objectContaining({
        code: 'ERR_STREAM_SOURCE',
        cause: expect.objectContaining({ code: 'ERR_EVENT' }),
        message: expect.stringMatching(/has no idempotencyKey/),
      }),
    ])
  })
})

describe('what is an event', () => {
  class ServerSentEvent {
    id: string | undefined
    retry: number | undefined
    event = 'message'
    data = { b: 2 }
  }

  class Late {
    get data() {
      return { late: true }
    }
  }

  test.each<[string, object, unknown]>([
    ['event and data', { event: 'message', data: { a: 1 } }, { a: 1 }],
    ['data alone', { data: [1] }, [1]],
    ['an event without data', { event: 'ping' }, null],
    ['data that is undefined', { data: undefined }, null],
    ['a name that is null', { event: null, data: 1 }, 1],
    ['keys that are undefined', { data: 1, id: undefined, retry: undefined }, 1],
    ['an instance of a class', new ServerSentEvent(), { b: 2 }],
    ['data by a getter', new Late(), { late: true }],
    ['no prototype', Object.assign(Object.create(null), { data: 3 }), 3],
    [
      'a UI message part as data',
      { data: { type: 'data-weather', id: 'w1', data: {} } },
      {
        type: 'data-weather',
        id: 'w1',
        data: {},
      },
    ],
  ])('is published: %s', async (name, event, data) => {
    const channel = `good ${name}`
    await eventStream.publishEvent(channel, event)
    await pipeline(Readable.from([event]), eventStream.createChannelWritable(channel))
    const { entries } = await log.read(channel, 'earliest', { maxEvents: 9, maxLength: 999 })
    expect(entries.map((entry) => JSON.parse(entry.data))).toEqual([data, data])
  })

  test('is sent to a job by its name and its data', async () => {
    await registry.register({ streamId: 'sent' })
    await sendStreamEvent('sent', 'message', { text: 'hi' })
    expect((await completions.getEvents('sent')).events).toMatchObject([{ data: { text: 'hi' } }])
  })
})
