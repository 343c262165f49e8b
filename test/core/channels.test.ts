import { describe, expect, test } from '@jest/globals'
import { checkChannel, compileTemplate } from '../../src/core/channels.js'

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

describe('a channel template', () => {
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
