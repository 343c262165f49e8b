import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { checkChannel, compileTemplate } from '../../src/core/channels.js'
import { channelName } from '../../src/index.js'

describe('channel names', () => {
  test.each([
    'a',
    'room 7',
    'x'.repeat(255),
    'ä'.repeat(127),
    '豆😀',
    'a,b;c="d"',
    '%0A',
    '__proto__',
  ])('take %j', (name) => expect(checkChannel(name)).toBe(name))

  test.each([
    '',
    'x'.repeat(256),
    'ä'.repeat(128),
    'a\nb',
    'a\r',
    '\0',
    'a\tb',
    '\x7f',
    '\x85',
    '\ud800',
    undefined,
    null,
    7,
    ['a'],
    {},
  ])('refuse %j', (name) => {
    expect(() => checkChannel(name)).toThrow(
      expect.objectContaining({ code: 'ERR_CHANNEL', status: 400 }),
    )
  })

  test('say in the error what was given, escaped and short', () => {
    expect(() => checkChannel(`a\n${'x'.repeat(300)}`)).toThrow(/^"a\\nx{70,}…/)
  })
})

/** What fits between tokens and into them, so that one is often taken for the other. */
const text = (minLength: number) =>
  fc.string({ unit: fc.constantFrom('-', '.', 'a', '{'), minLength, maxLength: 4 })

const templates = fc
  .array(text(1), { minLength: 1, maxLength: 3 })
  .chain((separators) => fc.record({ separators: fc.constant(separators), end: text(0) }))
  .map(({ separators, end }) => `{v0}${separators.map((s, i) => `${s}{v${i + 1}}`).join('')}${end}`)
  .filter((template) => template.replace(/\{v\d\}/g, '').search('{') === -1)

describe('a channel template', () => {
  test.each([
    ['dm-{me}-{peer}', { me: 'a-b', peer: 'c' }],
    ['dm-{me}-{peer}', { me: 'a-', peer: 'c' }],
    ['dm-{me}--{peer}', { me: 'a-', peer: 'c' }],
    ['{tenant}.{room}.{seat}', { tenant: 'a', room: 'b.c', seat: '1' }],
    ['{a}-{b}-log', { a: 'x-y', b: 'z' }],
  ])('%s refuses %j, whose value holds what ends it', (template, values) => {
    const refused = expect.objectContaining({ code: 'ERR_CHANNEL', status: 400 })
    expect(() => compileTemplate(template)(values)).toThrow(refused)
    expect(() => channelName(template, values)).toThrow(/so its value cannot be/)
  })

  test('lets its last value be anything, and others what does not end them', () => {
    const name = channelName('dm-{me}-{peer}', { me: 'a.b', peer: 'c-d' })
    expect(name).toBe('dm-a.b-c-d')
    expect(channelName('room-{id}-staff', { id: '7-staff' })).toBe('room-7-staff-staff')
  })

  test('never makes one name of two different lists of values', () => {
    let pairs = 0
    fc.assert(
      fc.property(templates, fc.infiniteStream(text(1)), (template, texts) => {
        const make = compileTemplate(template)
        const tokens = template.match(/(?<=\{)v\d(?=\})/g) as string[]
        const seen = new Map<string, string>()
        for (let i = 0; i < 60; i++) {
          const values = tokens.map((token) => [token, texts.next().value as string])
          const all = JSON.stringify(values)
          let name: string
          try {
            name = make(Object.fromEntries(values))
          } catch {
            continue
          }
          expect(seen.get(name) ?? all).toBe(all)
          seen.set(name, all)
          pairs += 1
        }
      }),
      { numRuns: 500 },
    )
    expect(pairs).toBeGreaterThan(5000)
  })

  test('without anything between two tokens can never work', () => {
    expect(() => compileTemplate('room-{a}{b}')).toThrow(/nothing between {a} and {b}/)
  })

  test('puts route values in place of its tokens', () => {
    const template = compileTemplate('room-{id}-{_user2}')
    expect(template({ id: '7', _user2: 'ann' })).toBe('room-7-ann')
  })

  test('takes a value as it is, whatever the value looks like', () => {
    const template = compileTemplate('user-{id}')
    expect(template({ id: 'a,user-b; prev-id=9' })).toBe('user-a,user-b; prev-id=9')
    expect(template({ id: '{7}$&' })).toBe('user-{7}$&')
    expect(compileTemplate('{__proto__}')({ ['__proto__']: 'x' })).toBe('x')
  })

  test.each([
    {},
    { id: '' },
    { id: undefined },
    { id: null },
    { id: ['a', 'b'] },
    { id: ['a'] },
    { id: 7 },
    { id: {} },
    { other: 'x' },
  ])('refuses %j instead of making a name that strangers share', (values) => {
    expect(() => compileTemplate('room-{id}')(values)).toThrow(
      expect.objectContaining({ code: 'ERR_CHANNEL', status: 400 }),
    )
  })

  test('does not find values that objects inherit', () => {
    expect(() => compileTemplate('room-{toString}')({})).toThrow(/needs one value for {toString}/)
    expect(() => compileTemplate('{constructor}')({})).toThrow(/needs one value/)
  })

  test('refuses a template without any values', () => {
    expect(() => channelName('dm-{me}', undefined as never)).toThrow(
      expect.objectContaining({ code: 'ERR_CHANNEL' }),
    )
  })

  test('refuses values that make no channel name', () => {
    const template = compileTemplate('room-{id}')
    expect(() => template({ id: 'a\r\nb' })).toThrow(/is no channel name/)
    expect(() => template({ id: 'x'.repeat(251) })).toThrow(/is no channel name/)
    expect(() => template({ id: '{id}' })).toThrow(/is no channel name: fill in "{id}"/)
    // A template that is too long without its values has no name at all.
    expect(() => compileTemplate(`${'x'.repeat(255)}{id}`)).toThrow(/is no channel name/)
  })

  test('has no braces but those of tokens, and a fixed name is checked when it is compiled', () => {
    for (const template of ['{a-b}', '{}', 'a{1}', '{', '}']) {
      expect(() => compileTemplate(template)).toThrow(/a token has letters, digits and "_"/)
    }
    expect(() => compileTemplate('')).toThrow(/is no channel name/)
    expect(() => compileTemplate('a\nb')).toThrow(/is no channel name/)
  })
})
