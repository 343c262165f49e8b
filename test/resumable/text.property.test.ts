import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Skip } from '../../src/resumable/text.js'

const text = fc.string({
  unit: fc.oneof(fc.constantFrom('a', '😀', 'é', '\ud83d', '\ude00'), fc.string()),
})

describe('what is left of a text that comes in pieces', () => {
  test('is the text from there on, whatever the pieces', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(40)), fc.nat(60), (whole, cuts, units) => {
        const places = [0, ...cuts.filter((cut) => cut <= whole.length), whole.length].sort(
          (a, b) => a - b,
        )
        const skip = new Skip(units)
        let rest = ''
        for (let i = 1; i < places.length; i++) {
          rest += skip.rest(whole.slice(places[i - 1], places[i]))
        }
        const start = Math.min(units, whole.length)
        const isWithinPair =
          start > 0 && (whole.codePointAt(start - 1) ?? 0) > 0xffff && start < whole.length
        const expected = whole.slice(isWithinPair ? start - 1 : start)
        expect(rest).toBe(expected)
      }),
      { numRuns: 2000 },
    )
  })

  test('begins with the whole of a character that it was to begin within', () => {
    expect(new Skip(2).rest('a😀b')).toBe('😀b')
    const split = new Skip(2)
    expect([split.rest('a\ud83d'), split.rest('\ude00b')]).toEqual(['', '😀b'])
    const none = new Skip(2)
    expect([none.rest('a\ud83d'), none.rest('b')]).toEqual(['', 'b'])
  })
})
