import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from '@jest/globals'
import * as v from 'valibot'
import { z } from 'zod'
import {
  type EventLog,
  EventStream,
  type EventStreamOptions,
  memoryEventLog,
  type StandardSchema,
} from '../../src/index.js'
import { wrapLog } from '../support/wrap-log.js'

const all = { maxEvents: 1000, maxLength: 1_000_000 }

async function stored(log: EventLog, channel: string): Promise<unknown[]> {
  const { entries } = await log.read(channel, 'earliest', all)
  return entries.map(({ event, data }) => (event === undefined ? data : [event, data]))
}

const message = z.object({ text: z.string(), tags: z.array(z.string()).default([]) })
const schemas = {
  'room-{id}': { message, left: v.object({ user: v.pipe(v.string(), v.trim()) }) },
  'room-lobby': { hello: z.literal(1) },
}

/** A schema that answers when the test says so. */
function slowSchema() {
  const answers: ((value: unknown) => void)[] = []
  const failures: ((error: unknown) => void)[] = []
  const schema: StandardSchema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) =>
        value === 'at once'
          ? { value }
          : new Promise((resolve, reject) => {
              answers.push((value) => resolve({ value }))
              failures.push(reject)
            }),
    },
  }
  return { schema, answers, failures }
}

describe('schemas', () => {
  test('give what is published, whichever library they are of', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log, schemas })
    await eventStream.publishEvent('room-7', { data: { text: 'hi' } })
    await eventStream.publishEvent('room-7', { event: 'left', data: { user: ' ann ' } })
    await eventStream.getChannelPublisher('room-lobby').publishEvent({ event: 'hello', data: 1 })
    expect([await stored(log, 'room-7'), await stored(log, 'room-lobby')]).toEqual([
      ['{"text":"hi","tags":[]}', ['left', '{"user":"ann"}']],
      [['hello', '1']],
    ])
  })

  test('refuse what does not fit, say where, and nothing is published', async () => {
    const log = memoryEventLog()
    const eventStream: EventStream = new EventStream({ log, schemas: { ...schemas, none: {} } })
    const refused = async (channel: string, event: object) => {
      const error = await eventStream.publishEvent(channel, event).catch((error: unknown) => error)
      expect(error).toMatchObject({ name: 'EventStreamError', code: 'ERR_SCHEMA' })
      return error as Error & { cause: { issues: { path: unknown[] }[] } }
    }
    const error = await refused('room-7', { data: { text: 7, tags: ['a', 1] } })
    expect(error.message).toMatch(
      /^The data of "message" does not fit its schema: text: ".*"; tags\.1: ".*"$/,
    )
    expect(error.cause.issues.map(({ path }) => path)).toEqual([['text'], ['tags', 1]])
    const messages = [
      await refused('room-7', { event: 'left', data: { user: 1 } }),
      await refused('room-7', { event: 'gone' }),
      await refused('room-7', { event: 'toString' }),
      await refused('room-7', { raw: 'text' }),
      await refused('room-lobby', { data: { text: 'hi' } }),
      await refused('none', { data: 1 }),
    ].map(({ message }) => message)
    expect(messages).toEqual([
      expect.stringMatching(/^The data of "left" does not fit its schema: user: /),
      'The channel "room-7" has no event "gone"; it has "message", "left".',
      'The channel "room-7" has no event "toString"; it has "message", "left".',
      'The channel "room-7" has schemas, and raw text fits none: give data.',
      'The channel "room-lobby" has no event "message"; it has "hello".',
      'The channel "none" has no event "message"; it has none at all.',
    ])
    await expect(eventStream.publishEvent('room-7', null as never)).rejects.toMatchObject({
      code: 'ERR_EVENT',
    })
    expect(await stored(log, 'room-7')).toEqual([])
    expect(eventStream.metrics()).toMatchObject({ publishing: { events: 0, failures: 8 } })
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['text', 'ok'],
    ['issues that are no list', { issues: 'wrong' }],
  ])('that answer %s are told of as such', async (_what, answer) => {
    const schemaOf = (validate: () => unknown) => ({
      message: { '~standard': { version: 1, vendor: 'test', validate } } as StandardSchema,
    })
    const schemas = { now: schemaOf(() => answer), later: schemaOf(async () => answer) }
    const eventStream: EventStream = new EventStream({ schemas })
    for (const channel of ['now', 'later']) {
      await expect(eventStream.publishEvent(channel, { data: 1 })).rejects.toMatchObject({
        code: 'ERR_SCHEMA',
        message: expect.stringMatching(
          /^The schema of "message" answered .*; give \{ value \} or \{ issues \}\.$/,
        ),
      })
    }
  })

  test('may say where in whatever manner', async () => {
    const paths = [null, [null], [undefined], [Symbol('s')], [{ key: 'b' }], 'text']
    const issues = paths.map((path) => ({ message: 'wrong', path }))
    const validate = (n: unknown) => ({ issues: [issues[Number(n)]] })
    const schema = { '~standard': { version: 1, vendor: 'test', validate } } as StandardSchema
    const eventStream: EventStream = new EventStream({ schemas: { a: { message: schema } } })
    for (const n of paths.keys()) {
      await expect(eventStream.publishEvent('a', { data: n })).rejects.toMatchObject({
        code: 'ERR_SCHEMA',
        message: expect.stringMatching(/"wrong"$/),
      })
    }
  })

  test('do not concern other channels', async () => {
    const log = memoryEventLog()
    const eventStream: EventStream = new EventStream({ log, schemas })
    await eventStream.publishEvent('news', { raw: 'text' })
    await eventStream.publishEvent('a-room-7', { event: 'any', data: 1 })
    expect([await stored(log, 'news'), await stored(log, 'a-room-7')]).toEqual([
      ['text'],
      [['any', '1']],
    ])
  })

  test('hold what is written to a channel writable, and a batch is published as a whole or not', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log, schemas })
    const good = { data: { text: 'hi' } }
    await pipeline([good, good], eventStream.createChannelWritable('room-7'))
    const bad = pipeline([good, { data: {} }], eventStream.createChannelWritable('room-8'))
    await expect(bad).rejects.toMatchObject({ code: 'ERR_SCHEMA' })
    expect(await stored(log, 'room-7')).toHaveLength(2)
    expect((await stored(log, 'room-8')).length).toBeLessThan(2)
  })

  test('keep an idempotency key', async () => {
    const log = memoryEventLog()
    const eventStream = new EventStream({ log, schemas })
    const event = { data: { text: 'hi' }, idempotencyKey: 'a' }
    const first = await eventStream.publishEvent('room-7', event)
    expect(await eventStream.publishEvent('room-7', event)).toEqual(first)
    expect(await stored(log, 'room-7')).toHaveLength(1)
  })

  test('of the most specific template count, and of the first where none is', async () => {
    const log = memoryEventLog()
    const eventStream: EventStream = new EventStream({
      log,
      schemas: {
        '{any}': { wide: z.any() },
        'room-{id}': { any: z.any() },
        'room-{id}-staff': { staff: z.any() },
        'a-{x}': { both: z.string(), a: z.any() },
        '{x}-b': { both: z.number(), b: z.any() },
      },
    })
    const takes = async (channel: string, event: string, data: unknown = 1) =>
      eventStream.publishEvent(channel, { event, data }).then(
        () => true,
        () => false,
      )
    expect([await takes('room-7', 'any'), await takes('room-7', 'wide')]).toEqual([true, false])
    expect([await takes('room-7-staff', 'staff'), await takes('room-7-staff', 'any')]).toEqual([
      true,
      false,
    ])
    expect([await takes('else', 'wide'), await takes('else', 'any')]).toEqual([true, false])
    expect([await takes('a-b', 'a'), await takes('a-b', 'b'), await takes('a-b', 'wide')]).toEqual([
      true,
      true,
      false,
    ])
    expect([await takes('a-b', 'both', 'text'), await takes('a-b', 'both', 1)]).toEqual([
      true,
      false,
    ])
  })
})

describe('a schema that takes its time', () => {
  test('lets nothing overtake it in its channel, and holds up no other one', async () => {
    const log = memoryEventLog()
    const { schema, answers } = slowSchema()
    const eventStream: EventStream = new EventStream({
      log,
      schemas: { '{x}': { message: schema } },
    })
    const publish = (channel: string, data: string) => eventStream.publishEvent(channel, { data })
    const published = [publish('a', 'first'), publish('a', 'at once'), publish('a', 'third')]
    await publish('b', 'at once')
    answers[1]?.('third')
    await publish('c', 'at once')
    expect([await stored(log, 'a'), await stored(log, 'b')]).toEqual([[], ['"at once"']])
    answers[0]?.('first')
    await Promise.all(published)
    await publish('a', 'at once')
    expect(await stored(log, 'a')).toEqual(['"first"', '"at once"', '"third"', '"at once"'])
  })

  test('that fails does not let those behind it pass what is still awaited', async () => {
    const log = memoryEventLog()
    const { schema, answers, failures } = slowSchema()
    const eventStream: EventStream = new EventStream({ log, schemas: { a: { message: schema } } })
    const publish = (data: string) => eventStream.publishEvent('a', { data })
    const first = publish('first')
    const second = publish('second')
    const third = publish('at once')
    const cause = new Error('database away')
    failures[1]?.(cause)
    await new Promise((resolve) => setImmediate(resolve))
    expect(await stored(log, 'a')).toEqual([])
    answers[0]?.('first')
    await expect(second).rejects.toMatchObject({
      code: 'ERR_SCHEMA',
      message: 'The schema of "message" has thrown.',
      cause,
    })
    await Promise.all([first, third])
    expect(await stored(log, 'a')).toEqual(['"first"', '"at once"'])
  })

  test('holds a batch together, whose other events may have failed by then', async () => {
    const log = memoryEventLog()
    const { schema, failures } = slowSchema()
    const eventStream: EventStream = new EventStream({
      log,
      schemas: { a: { message: schema, n: z.number() } },
    })
    const writable = eventStream.createChannelWritable('a')
    writable.cork()
    writable.write({ data: 'slow' })
    writable.write({ event: 'n', data: 'no number' })
    const failed = new Promise((resolve) => writable.on('error', resolve))
    writable.uncork()
    expect(await failed).toMatchObject({ code: 'ERR_SCHEMA' })
    // Nobody waits for it any more, so it must not become an unhandled rejection.
    failures[0]?.(new Error('late'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(await stored(log, 'a')).toEqual([])
  })

  test('is kept in order by the time the log is asked, not by the time it answers', async () => {
    const inner = memoryEventLog()
    const asked: string[] = []
    const log = wrapLog(inner, {
      append: (channel, entries) => {
        asked.push(...entries.map(({ data }) => data))
        return inner.append(channel, entries)
      },
    })
    const schema = z.string().refine(async (text) => {
      for (let n = 0; n < 20 - Number(text); n++) await null
      return true
    })
    const eventStream = new EventStream({ log, schemas: { a: { message: schema } } })
    const numbers = Array.from({ length: 20 }, (_, n) => String(n))
    await Promise.all(numbers.map((data) => eventStream.publishEvent('a', { data })))
    expect(asked).toEqual(numbers.map((data) => JSON.stringify(data)))
  })
})

test.each<[string, unknown, RegExp]>([
  ['no object', 7, /schemas is 7; give schemas such as/],
  ['no events', { a: z.string() }, /schemas\["a"\] is a schema itself; give .* of events/],
  ['no schema', { a: { message: {} } }, /schemas\["a"\]\["message"\] is an object; give a schema/],
  ['no channel', { 'a\n': {} }, /is no channel name/],
  ['a reserved event', { a: { 'stream-end': z.any() } }, /tells clients about the stream itself/],
  [
    'the same channels twice',
    { 'a-{x}': {}, 'a-{y}': {} },
    /"a-{x}" and "a-{y}", which are the same/,
  ],
])('schemas that are %s are refused', (_what, wrong, message) => {
  const options = { schemas: wrong } as EventStreamOptions
  expect(() => new EventStream(options)).toThrow(message)
})
