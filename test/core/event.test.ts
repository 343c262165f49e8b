import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { EventStreamError } from '../../src/core/errors.js'
import { encodeEvent, type NewEvent, wireBytes } from '../../src/core/event.js'
import { encodeFields } from '../../src/core/wire.js'

function codeOf(event: unknown): string {
  try {
    encodeEvent(event as NewEvent)
  } catch (error) {
    expect(error).toBeInstanceOf(EventStreamError)
    return (error as EventStreamError).code
  }
  return 'none'
}

test('the size of an event is that of the lines that it becomes', () => {
  const text = fc
    .array(fc.constantFrom('\r', '\n', '\r\n', 'a', 'ü', '漢', '😀', '\ud800'))
    .map((it) => it.join(''))
  const event = fc.option(fc.constantFrom('tick', 'né 😀'), { nil: undefined })
  fc.assert(
    fc.property(fc.record({ event, data: text }), (given) => {
      expect(wireBytes(given)).toBe(Buffer.byteLength(encodeFields(given)))
    }),
  )
})

describe('an event to publish', () => {
  test('becomes JSON', () => {
    expect(encodeEvent({ event: 'tick', data: { n: 1, at: new Date(0) } })).toEqual({
      event: 'tick',
      data: '{"n":1,"at":"1970-01-01T00:00:00.000Z"}',
    })
  })

  test('has null for data that is absent or undefined, and no name for the default one', () => {
    expect([
      encodeEvent({ event: 'ping' }),
      encodeEvent({ event: undefined, data: undefined }),
    ]).toEqual([
      { event: 'ping', data: 'null' },
      { event: undefined, data: 'null' },
    ])
  })

  test('has {} for what has nothing in it', () => {
    for (const data of [{}, Object.create(null), new Error('no')]) {
      expect(encodeEvent({ data }).data).toBe('{}')
    }
  })

  test('has text as it is when it is raw', () => {
    expect(encodeEvent({ raw: 'one\ntwo' }).data).toBe('one\ntwo')
    expect(encodeEvent({ raw: '' }).data).toBe('')
  })

  test('is refused when JSON cannot hold it, with the cause', () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    const throwing = {
      toJSON: () => {
        throw new TypeError('no')
      },
    }
    for (const data of [
      cycle,
      1n,
      { big: 1n },
      () => 1,
      Symbol('x'),
      throwing,
      { toJSON: () => undefined },
      Promise.resolve(1),
      new Map([['a', 1]]),
      new Set([1]),
      /a/,
      new URLSearchParams('a=1'),
    ]) {
      expect(codeOf({ data })).toBe('ERR_DATA')
    }
    expect(() => encodeEvent({ data: 1n })).toThrow(
      expect.objectContaining({ cause: expect.any(TypeError) }),
    )
  })

  test('is refused when its name would break the stream or pretend to be about it', () => {
    for (const event of ['a\rb', 'a\nb', 'a\0b', '']) expect(codeOf({ event })).toBe('ERR_FIELD')
    for (const event of ['stream-open', 'stream-reset', 'stream-error', 7, {}]) {
      expect(codeOf({ event })).toBe('ERR_EVENT')
    }
  })

  test('is refused when it is not an event', () => {
    for (const event of [undefined, null, 'text', 7, {}, [], Buffer.from('x'), { text: 'hi' }]) {
      expect(codeOf(event)).toBe('ERR_EVENT')
    }
    expect(codeOf({ raw: 7 })).toBe('ERR_EVENT')
    expect(codeOf({ raw: 'x', data: 1 })).toBe('ERR_EVENT')
    for (const idempotencyKey of ['', 'x'.repeat(256), 7, null]) {
      expect(codeOf({ data: 1, idempotencyKey })).toBe('ERR_EVENT')
    }
  })
})
