import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { toText } from '../../../src/resumable/generic/entry-text.js'
import {
  type Ask,
  encodeAsk,
  encodeTell,
  parseAsk,
  repliesOf,
  type Tell,
  TellReader,
} from '../../../src/resumable/generic/volatile-protocol.js'

const text = fc.string({ unit: 'binary' })
const count = fc.nat()
const nonce = fc.integer({ min: 0, max: 0xffff_ffff })
const id = fc.tuple(fc.nat(), nonce).map(([seq, random]) => `${seq}-${random}`)
const from = fc.oneof(id, fc.constant('earliest' as const), fc.record({ last: count }))
const event = fc.option(text, { nil: undefined })

const ending = fc.constantFrom('completed', 'failed', 'aborted', 'orphaned').map((state) => ({
  event: 'stream-end',
  data: JSON.stringify({ state }),
}))

const ask: fc.Arbitrary<Ask> = fc.record({
  to: text.map(repliesOf),
  id: count,
  question: fc.oneof(
    fc.record({ kind: fc.constantFrom('info' as const, 'follow' as const, 'leave' as const) }),
    fc.record({ kind: fc.constant('read' as const), from, maxEvents: count, maxLength: count }),
    fc.record({
      kind: fc.constant('end' as const),
      ending,
    }),
  ),
})

const entries = fc.array(fc.tuple(nonce, event, text)).map((rows) => {
  let prevId = '0-0'
  return rows.map(([random, name, data], i) => {
    const entry = { id: `${i + 1}-${random}`, prevId, event: name, data }
    prevId = entry.id
    return entry
  })
})

const tell: fc.Arbitrary<Tell> = fc.oneof(
  fc.record({ kind: fc.constant('live' as const), channel: text, entries }),
  fc.record({
    kind: fc.constant('page' as const),
    id: count,
    entries,
    gap: fc.constantFrom('trimmed' as const, 'unknown' as const, undefined),
    head: id,
  }),
  fc.record({
    kind: fc.constant('info' as const),
    id: count,
    info: fc.option(
      fc.oneof(
        fc.record({ origin: id, head: id, startedAt: count, end: fc.constant(undefined) }),
        fc.tuple(id, id, count, ending).map(([origin, prevId, startedAt, last]) => {
          const head = `${Number.parseInt(prevId, 10) + 1}-0`
          return { origin, head, startedAt, end: { id: head, prevId, ...last } }
        }),
      ),
      { nil: undefined },
    ),
  }),
)

/** What looks like a message until it is looked at closely. */
const garbage = fc.oneof(
  text,
  fc.json(),
  fc.jsonValue().map(toText),
  fc
    .record({
      kind: fc.oneof(
        fc.constantFrom('info', 'follow', 'read', 'end', 'page', 'live', 'part'),
        text,
      ),
      id: fc.oneof(count, text),
      to: fc.oneof(text, count),
      from: fc.jsonValue(),
      info: fc.jsonValue(),
      entries: fc.jsonValue(),
      index: fc.jsonValue(),
      count: fc.jsonValue(),
      of: text,
    })
    .map(toText),
)

describe('what processes tell each other about volatile streams', () => {
  test('comes as it was sent', () => {
    fc.assert(fc.property(ask, (given) => expect(parseAsk(encodeAsk(given))).toEqual(given)))
    const reader = new TellReader()
    fc.assert(
      fc.property(tell, (given) => {
        const got = encodeTell(given).map((message) => reader.read(message))
        expect(got).toEqual([given])
      }),
    )
  })

  test('comes in parts below 512 KiB when it is large', () => {
    const data = ['\ud83d😀\0"\\'.repeat(200_000), 'é€'.repeat(100_000)]
    const given: Tell = {
      kind: 'live',
      channel: 'a',
      entries: data.map((it, i) => ({
        id: `${i + 1}-${i + 5}`,
        prevId: i === 0 ? '0-1' : '1-5',
        event: undefined,
        data: it,
      })),
    }
    const parts = encodeTell(given)
    for (const part of parts) expect(Buffer.byteLength(part)).toBeLessThan(524_288)
    const reader = new TellReader()
    const got = parts.map((part) => reader.read(part))
    expect(got.at(-1)).toEqual(given)
    expect(got.slice(0, -1).every((it) => it === 'part')).toBe(true)
    const [first, , ...others] = parts
    expect(reader.read(String(first))).toBe('part')
    for (const part of others) expect(reader.read(part)).toBeUndefined()
  })

  test('is ignored when it is garbage, or only what could have been sent', () => {
    const reader = new TellReader()
    fc.assert(
      fc.property(garbage, (given) => {
        const asked = parseAsk(given)
        if (asked !== undefined) expect(parseAsk(encodeAsk(asked))).toEqual(asked)
        const told = reader.read(given)
        if (typeof told === 'object')
          expect(reader.read(encodeTell(told)[0] as string)).toEqual(told)
      }),
      { numRuns: 2000 },
    )
  })
})
