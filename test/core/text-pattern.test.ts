import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { fits, patternOf, type TextPattern } from '../../src/core/text-pattern.js'
import { ChannelSchemas } from '../../src/publishers/channel-schemas.js'

/** Text that counts the characters that are looked at. */
class CountedText extends String {
  looked = 0

  override startsWith(part: string): boolean {
    this.looked += part.length
    return super.startsWith(part)
  }

  override endsWith(part: string): boolean {
    this.looked += part.length
    return super.endsWith(part)
  }

  override indexOf(part: string, from: number): number {
    const found = super.indexOf(part, from)
    this.looked += (found === -1 ? this.length : found) - from + part.length
    return found
  }
}

/** The plainest rule, which tries all ways. */
function expression(pattern: TextPattern): RegExp {
  const parts = pattern.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 'su')
}

const letters = fc.array(fc.constantFrom('a', 'b', '-', '😀'), { maxLength: 12 })
const text = letters.map((it) => it.join(''))
const template = fc
  .array(fc.oneof(fc.constantFrom('{x}', '{token}'), text), { minLength: 1, maxLength: 8 })
  .map((parts) => `${parts.join('')}{end}`)

describe('a pattern of channel names', () => {
  test('fits what its parts stand in, in their order, and nothing else', () => {
    fc.assert(
      fc.property(template, text, (given, name) => {
        const pattern = patternOf(given) as TextPattern
        expect(fits(pattern, name)).toBe(expression(pattern).test(name))
      }),
      { numRuns: 2000 },
    )
  })

  test('looks at each character of a name once, and at no more than its parts have beside', () => {
    fc.assert(
      fc.property(template, text, fc.integer({ min: 1, max: 500 }), (given, piece, times) => {
        const pattern = patternOf(given) as TextPattern
        const name = new CountedText(piece.repeat(times))
        fits(pattern, name as unknown as string)
        expect(name.looked).toBeLessThanOrEqual(name.length + 2 * given.length)
      }),
      { numRuns: 2000 },
    )
  })

  test('four tokens and a hostile name: as soon done as any other', () => {
    const schemas = new ChannelSchemas({ 'a{w}a{x}a{y}a{z}b': {}, '{w}-{x}-{y}-{z}': {} })
    // By way of all of them, an expression tries 10^20 ways.
    expect(schemas.of('a'.repeat(100_000))).toBeUndefined()
    expect(schemas.of(`${'-'.repeat(100_000)}-`)).toBeDefined()
    expect(schemas.of(`${'a'.repeat(100_000)}b`)).toBeDefined()
  })

  test('no expression is made of text that somebody gives', () => {
    const folder = join(__dirname, '../../src')
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    const sources = files.filter((file) => /\.tsx?$/.test(file))
    expect(sources.length).toBeGreaterThan(100)
    // Of a literal text it is one of our own.
    const making = sources.filter((file) =>
      /\bRegExp\(\s*[^'\s]/.test(readFileSync(join(folder, file), 'utf8')),
    )
    expect(making).toEqual([])
  })
})
