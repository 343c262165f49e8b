import { inspect } from 'node:util'
import { Publisher } from '@fanoutio/grip'
import { describe, expect, test } from '@jest/globals'
import { EventStream, EventStreamError } from '../../src/index.js'

const grip = 'http://127.0.0.1:5561/?iss=pushpin&key=5ecret'
const config = { control_uri: 'http://127.0.0.1:5561/', control_iss: 'pushpin', key: '5ecret' }
const whatToGive =
  "Give a URL such as 'http://127.0.0.1:5561/?iss=pushpin&key=changeme', a configuration " +
  '{ control_uri, control_iss, key }, an array of these, or a Publisher.'

function refusal(options: object): EventStreamError {
  try {
    new EventStream(options)
  } catch (error) {
    if (error instanceof EventStreamError) return error
    throw error
  }
  throw new Error('The options were taken.')
}

describe('an option that begins with grip', () => {
  test.each<[string, unknown, string]>([
    ['a URL that is none', 'http://[5ecret/?key=5ecret', 'it cannot be read (ERR_INVALID_URL)'],
    ['a path', '/?key=5ecret', 'it cannot be read (ERR_INVALID_URL)'],
    ['no text', '', 'it cannot be read (ERR_INVALID_URL)'],
    [
      'a host without http',
      'localhost:5561/?key=5ecret',
      'a URL of it does not begin with http:// or https://',
    ],
    ['an empty array', [], 'it names no proxy'],
    ['an array of something else', [grip, 7], 'it has 7'],
    ['a configuration without its URL', { key: '5ecret' }, 'it has an object'],
    [
      'a configuration whose URL is none',
      { ...config, control_uri: '5ecret' },
      'it cannot be read (ERR_INVALID_URL)',
    ],
    [
      'a configuration with a password in its URL',
      { control_uri: 'http://us:5ecret@127.0.0.1:5561/' },
      'its control_uri has a password, which goes in pass',
    ],
    ['something else', true, 'it has true'],
    ['a Publisher without clients', new Publisher([]), 'it names no proxy'],
    [
      'a Publisher that checks no signatures',
      { clients: new Publisher(config).clients },
      'its Publisher cannot check signatures; use @fanoutio/grip 4.2 or later',
    ],
  ])('refuses %s as grip, and says what to give', (_what, value, why) => {
    const error = refusal({ grip: value })
    expect([error.code, error.message]).toEqual([
      'ERR_OPTION',
      `grip cannot be used: ${why}. ${whatToGive}`,
    ])
    expect(inspect(error)).not.toContain('5ecret')
  })

  test.each<[object, RegExp]>([
    [
      { gripPrefix: 7 },
      /^gripPrefix is 7; give letters, digits and \._~:\/-, such as 'events-'\.$/,
    ],
    [{ gripPrefix: 'a,b' }, /^gripPrefix is "a,b"; give letters/],
    [{ gripPrefix: 'a b' }, /^gripPrefix is "a b"; give letters/],
    [{ gripPrefix: 'a*' }, /^gripPrefix is "a\*"; give letters/],
    [{ gripPrefix: 'a\n' }, /^gripPrefix is "a\\n"; give letters/],
    [{ gripLinkPath: 'links' }, /^gripLinkPath is "links"; give a path such as '\/event-links'\.$/],
    [{ gripLinkPath: '//evil.example' }, /^gripLinkPath is "\/\/evil.example"; give a path/],
    [{ gripLinkPath: '/links?a=1' }, /^gripLinkPath is "\/links\?a=1"; give a path/],
    [{ gripLinkPath: '/links>' }, /^gripLinkPath is "\/links>"; give a path/],
    [{ gripLinkPath: '/a,b' }, /^gripLinkPath is "\/a,b"; give a path/],
    [{ gripLinkPath: '' }, /^gripLinkPath is ""; give a path/],
    [{ gripBasePath: 'api' }, /^gripBasePath is "api"; give a path such as '\/api'\.$/],
    [{ gripBasePath: 'https://example.org' }, /^gripBasePath is "https:\/\/example.org"; give/],
    [{ gripBasePath: '/a\r\nb' }, /^gripBasePath is "\/a\\r\\nb"; give/],
    [{ gripPollMs: 999 }, /^gripPollMs is 999; give a whole number from 1000 to 240000\.$/],
    [{ gripPollMs: 240_001 }, /^gripPollMs is 240001; give a whole number/],
    [{ gripPollMs: 1000.5 }, /^gripPollMs is 1000.5; give a whole number/],
    [{ gripSecret: '' }, /^gripSecret is no text; give the same to all processes\.$/],
    [{ gripSecret: ['5ecret'] }, /^gripSecret is no text; give the same to all processes\.$/],
    [{ gripRequired: 'yes' }, /^gripRequired is "yes"; give true or false\.$/],
    [{ gripRequireExpiry: 0 }, /^gripRequireExpiry is 0; give true or false\.$/],
    [
      { grip: undefined, gripRequired: true },
      /^gripRequired is true without a proxy; give grip its URL\.$/,
    ],
    [{ grip: null, gripRequired: true }, /^gripRequired is true without a proxy/],
    [
      { grip: new Publisher(config, { prefix: 'a;' }) },
      /^The prefix of the Publisher in grip is "a;events-"; give letters/,
    ],
    [{ gripKey: '5ecret' }, /^EventStream has no option "gripKey"; it has .*gripSecret/],
  ])('%j is refused, and what to give is said', (options, message) => {
    const error = refusal({ grip, ...options })
    expect([error.code, error.message]).toEqual(['ERR_OPTION', expect.stringMatching(message)])
    expect(inspect(error)).not.toContain('5ecret')
  })

  test.each<[object]>([
    [{ grip: 'https://api.fastly.com/service/1?key=token&verify-key=theirs' }],
    [{ grip: [grip, config] }],
    [{ grip: new Publisher(config, { prefix: 'own:' }), gripPrefix: '' }],
    [{ grip: [null, grip].slice(1), gripSecret: 'x', gripRequired: false }],
    [{ grip, gripLinkPath: '/a/b.c~d%20(e)', gripBasePath: '/', gripPollMs: 1000 }],
    [{ grip: null, gripPrefix: 'x-', gripPollMs: 240_000 }],
  ])('%j is taken', async (options) => {
    const eventStream = new EventStream(options)
    expect(eventStream.health().isHealthy).toBe(true)
    await eventStream.close()
  })
})
