import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { checkChannel } from '../../src/core/channels.js'
import {
  cursorFits,
  encodeChannelName,
  encodeCursor,
  maxCursorLength,
  parseCursor,
} from '../../src/core/cursor.js'
import { formatEntryId, isEntryId, seqOf } from '../../src/core/entry-id.js'

const entryId = fc
  .tuple(fc.maxSafeNat(), fc.nat(0xffff_ffff))
  .filter(([seq]) => seq < 1e16)
  .map(([seq, nonce]) => formatEntryId(seq, nonce))
const channel = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter((name) => {
  try {
    return checkChannel(name) === name
  } catch {
    return false
  }
})

describe('a cursor', () => {
  test('of one channel is the entry id', () => {
    expect(encodeCursor(['a'], () => '4-7781')).toBe('4-7781')
    expect(parseCursor('4-7781')).toEqual({ id: '4-7781' })
  })

  test('of several channels has the position in each', () => {
    const ids = ['4-7781', '19-332']
    expect(encodeCursor(['a', 'b'], (i) => ids[i] as string)).toBe('a~4-7781*b~19-332')
    expect(parseCursor('a~4-7781*b~19-332')).toEqual({
      positions: new Map([
        ['a', '4-7781'],
        ['b', '19-332'],
      ]),
    })
  })

  test('comes back as it was, for any channels and positions', () => {
    const positions = fc.uniqueArray(fc.tuple(channel, entryId), {
      minLength: 2,
      maxLength: 8,
      selector: ([name]) => name,
    })
    fc.assert(
      fc.property(positions, (pairs) => {
        const encoded = pairs.map(([name]) => encodeChannelName(name))
        const text = encodeCursor(encoded, (i) => pairs[i]?.[1] as string)
        fc.pre(text.length <= maxCursorLength)
        expect(text).toMatch(/^[A-Za-z0-9._~*%-]+$/)
        expect(parseCursor(text)).toEqual({ positions: new Map(pairs) })
      }),
    )
  })

  test('that was made up is refused as a whole, or would have been written the same', () => {
    const noise = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[a~*%0-9-]{0,30}$/),
      fc.stringMatching(/^(a|b|%[0-9A-F]{2})~[0-9]{1,3}-[0-9]{1,3}(\*(a|b)~[0-9]-[0-9])?$/),
    )
    fc.assert(
      fc.property(noise, (text) => {
        const cursor = parseCursor(text)
        if (cursor === undefined) return
        const again =
          'id' in cursor
            ? cursor.id
            : [...cursor.positions]
                .map(([name, id]) => `${encodeChannelName(name)}~${id}`)
                .join('*')
        expect(again).toBe(text)
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    '',
    ' ',
    'error',
    '4',
    '4-',
    '-4',
    '04-1',
    '4-01',
    '4-4294967296',
    '9007199254740993-1',
    'a~4-1*',
    '*a~4-1',
    'a~4-1*a~5-1',
    'a~4-1, a~4-1',
    '4-1, 4-1',
    'a~',
    '~4-1',
    'a~4-1~',
    '%61~4-1',
    '%e4~4-1',
    '%E4~4-1',
    '%ZZ~4-1',
    'ä~4-1',
    'a b~4-1',
    'x'.repeat(maxCursorLength + 1),
  ])('is not %j', (text) => expect(parseCursor(text)).toBeUndefined())

  test('fits into a header for every position that its channels can have', () => {
    const names = Array.from({ length: 20 }, (_, i) => encodeChannelName(`channel ${i}`))
    const longest = formatEntryId(Number.MAX_SAFE_INTEGER, 0xffff_ffff)
    expect(cursorFits(names)).toBe(true)
    expect(encodeCursor(names, () => longest).length).toBeLessThanOrEqual(maxCursorLength)
    expect(cursorFits(Array.from({ length: 20 }, () => encodeChannelName('豆'.repeat(85))))).toBe(
      false,
    )
  })
})

describe('an entry id', () => {
  test('tells its place', () => {
    expect([isEntryId('41-991'), seqOf('41-991'), seqOf('0-7')]).toEqual([true, 41, 0])
  })
})
