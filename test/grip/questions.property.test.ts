import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { gripChannel, gripProofChannel } from '../../src/core/grip.js'
import { readAsked } from '../../src/middleware/grip/headers.js'
import { readLink } from '../../src/middleware/grip/link.js'
import { ChannelProof } from '../../src/middleware/grip/proof.js'

const prefix = 'events-'
const proof = new ChannelProof(Buffer.from('secret'), prefix)

/** Whatever may be the name of a channel. */
const channel = fc
  .string({
    unit: fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
      fc.constantFrom('%', '*', '.', '=', '&', '?', '#', ',', ';', '~', '%2A', '+', ' ', '\u2028'),
    ),
    minLength: 1,
    maxLength: 40,
  })
  .filter((name) => name.isWellFormed() && !/\p{Cc}/u.test(name))
const channels = fc
  .uniqueArray(channel, { minLength: 1, maxLength: 19 })
  .map((names) => names.sort())
const id = fc.tuple(fc.nat(), fc.nat()).map(([seq, nonce]) => `${seq}-${nonce}`)
const marks = fc.record({
  generation: fc.constantFrom('', 'Zm9v.1', '-_-_.77'),
  group: fc.constantFrom(0, 1, 79),
})
const form = fc.constantFrom('plain', 'composed')

const read = (last: string) => readAsked({ headers: { 'grip-last': last } }, prefix)

describe('Grip-Last', () => {
  test('gives back channels and positions, whatever their names, and the proof is of no others', () => {
    fc.assert(
      fc.property(channels, id, form, channel, marks, (names, at, kind, other, mark) => {
        const parts = names.map((name) => `${gripChannel(prefix, name, kind)}; last-id=${at}`)
        const signature = proof.sign(names, mark)
        const last = [`${gripProofChannel(prefix)}; last-id=${signature}`, ...parts.reverse()].join(
          ', ',
        )
        expect(last).toMatch(/^[ -~]+$/)
        expect(read(last)).toEqual({
          form: kind,
          channels: names,
          positions: names.map(() => at),
          proof: signature,
        })
        expect(proof.verify(names, signature)).toEqual(mark)
        if (!names.includes(other)) {
          expect(proof.verify([...names, other].sort(), signature)).toBeUndefined()
          expect(proof.verify([other, ...names.slice(1)].sort(), signature)).toBeUndefined()
        }
        const others = [
          new ChannelProof(Buffer.from('other'), prefix),
          new ChannelProof(Buffer.from('secret'), 'other-'),
        ]
        expect(others.map((one) => one.verify(names, signature))).toEqual([undefined, undefined])
      }),
    )
  })

  test('that somebody else has written is never proved, and reading it never throws', () => {
    const signature = proof.sign(['a'], { generation: '', group: 0 })
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.constantFrom('events-', 'a', 'b', '*', '~', '; ', 'last-id=', '1-2', ', ', '%', signature),
    )
    const text = fc.array(piece, { maxLength: 16 }).map((pieces) => pieces.join(''))
    const part = fc
      .tuple(fc.constantFrom('a', 'b', 'c', 'a*', '~'), fc.constantFrom('1-2', signature))
      .map(([name, last]) => `events-${name}; last-id=${last}`)
    const like = fc.array(part, { maxLength: 4 }).map((parts) => parts.join(', '))
    let understood = 0
    fc.assert(
      fc.property(fc.oneof(text, like), (last) => {
        const asked = read(last)
        if (asked === undefined || `${asked.channels}` === 'a') return
        understood += 1
        expect(proof.verify(asked.channels, asked.proof ?? '')).toBeUndefined()
      }),
      { numRuns: 2000 },
    )
    expect(understood).toBeGreaterThan(50)
  })
})

describe('the parameter of a link', () => {
  test('is found among others, and nowhere else', () => {
    const found = [
      '/?grip-link=',
      '/a?x=1&grip-link=p',
      '/?grip-link=p&x',
      '/?grip-link=p&grip-link=q',
    ]
    expect(found.map((url) => readLink({ url }))).toEqual(['', 'p', 'p', 'p'])
    const none = ['', '/', '/grip-link=', '/?grip-link', '/?xgrip-link=', '/?x=grip-link=', '?']
    expect(none.map((url) => readLink({ url }))).toEqual(none.map(() => undefined))
  })
})
