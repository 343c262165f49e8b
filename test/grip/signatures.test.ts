import { generateKeyPairSync } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { inspect } from 'node:util'
import { Publisher } from '@fanoutio/grip'
import { describe, expect, test } from '@jest/globals'
import type { EventStreamOptions } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { signEs256, signHs256, signWithNone } from '../support/grip-signature.js'
import { gripHeadersOf } from '../support/played-proxy.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'

const control = 'http://127.0.0.1:5561'
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const otherPair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const jwk = JSON.stringify(pair.publicKey.export({ format: 'jwk' }))
const bytes = Buffer.from([0, 255, 7, 45, 128])
const inOneHour = () => Math.floor(Date.now() / 1000) + 3600
const expired = { iss: 'pushpin', exp: 1_000_000_000 }

const url = (query: Record<string, string>) => `${control}/?${new URLSearchParams(query)}`
const shared = url({ iss: 'pushpin', key: 'changeme' })
const verified = (key: string) => url({ iss: 'us', key: 'ours', 'verify-key': key })
const config = { control_uri: control, control_iss: 'pushpin', key: 'changeme' }

/** What a route answers to a request with this signature. */
async function ask(options: EventStreamOptions, signature?: string) {
  const { eventStream, app, errors, serve } = setUp(options)
  app.get('/events', eventStream('a'))
  const request = await serve()
  const headers = signature === undefined ? {} : { 'Grip-Sig': signature }
  return { answer: await request('/events', { headers }), eventStream, errors }
}

describe('a request whose Grip-Sig', () => {
  const base64 = `base64:${bytes.toString('base64')}`
  test.each<[string, EventStreamOptions['grip'], string]>([
    ['is of the key in the URL', shared, signHs256('changeme')],
    ['is of the key in the configuration', config, signHs256('changeme')],
    ['is of the second proxy of two', [url({ iss: 'x', key: 'x' }), config], signHs256('changeme')],
    ['is of the key to verify with', verified('theirs'), signHs256('theirs')],
    ['is of a key in base64', url({ iss: 'pushpin', key: base64 }), signHs256(bytes)],
    ['is of a private key, whose PEM is known', verified(pem), signEs256(pair.privateKey)],
    ['is of a private key, whose JWK is known', verified(jwk), signEs256(pair.privateKey)],
    ['is of a shared key, behind a PEM', [verified(pem), shared], signHs256('changeme')],
    [
      'is of the issuer to verify',
      url({ iss: 'pushpin', key: 'changeme', 'verify-iss': 'fastly:1' }),
      signHs256('changeme', { iss: 'fastly:1', exp: inOneHour() }),
    ],
    ['is of the key of a Publisher', new Publisher(config), signHs256('changeme')],
  ])('%s is told how to hold the stream', async (_what, grip, signature) => {
    const { answer, eventStream, errors } = await ask({ grip }, signature)
    expect([answer.status, answer.headers['grip-hold'], errors]).toEqual([200, 'stream', []])
    expect(eventStream.connections()).toEqual([])
  })

  test.each<[string, EventStreamOptions['grip'], string]>([
    ['is of another key', shared, signHs256('other')],
    ['is of no proxy of two', [url({ iss: 'x', key: 'x' }), config], signHs256('other')],
    ['has expired', shared, signHs256('changeme', expired)],
    ['never expires', shared, signHs256('changeme', { iss: 'pushpin' })],
    [
      'expires at the end of time',
      shared,
      signHs256('changeme', { iss: 'pushpin', exp: Infinity }),
    ],
    ['never expires, of a private key', verified(pem), signEs256(pair.privateKey, { iss: 'us' })],
    ['is garbage', shared, 'garbage'],
    ['is garbage of three parts', verified(pem), 'a.b.c'],
    ['is empty', shared, ''],
    ['says that it needs none', shared, signWithNone()],
    ['says that it needs none, to a PEM', verified(pem), signWithNone()],
    ['is a shared one with the public PEM as the key', verified(pem), signHs256(pem)],
    ['is a shared one with the public JWK as the key', verified(jwk), signHs256(jwk)],
    ['is of another private key', verified(pem), signEs256(otherPair.privateKey)],
    ['is of the key to publish with', verified('theirs'), signHs256('ours')],
    [
      'is of another issuer',
      url({ iss: 'pushpin', key: 'changeme', 'verify-iss': 'fastly:1' }),
      signHs256('changeme'),
    ],
    ['is of another key than that of a Publisher', new Publisher(config), signHs256('other')],
  ])('%s is refused with 403', async (_what, grip, signature) => {
    const { answer, eventStream, errors } = await ask({ grip }, signature)
    expect([answer.status, errors]).toMatchObject([403, [{ code: 'ERR_GRIP_SIGNATURE' }]])
    expect(gripHeadersOf(answer)).toEqual([])
    expect(eventStream.connections()).toEqual([])
  })

  test('is wrong is refused without next too', async () => {
    const { eventStream } = setUp({ grip: shared })
    const { url: origin } = await startServer(eventStream('a') as RequestListener)
    const answer = await connect(origin, { headers: { 'Grip-Sig': 'garbage' } })
    await answer.end()
    expect([answer.status, answer.text]).toEqual([
      403,
      'The signature in Grip-Sig is not from a proxy of this configuration: it is too old, or of ' +
        'another key than the one in grip.\n',
    ])
    expect(gripHeadersOf(answer)).toEqual([])
  })
})

describe('a request without Grip-Sig', () => {
  test('is served directly, whatever else of GRIP it has', async () => {
    const { eventStream, app, serve } = setUp({ grip: shared })
    app.get('/events', eventStream('a'))
    const headers = { 'Grip-Feature': 'filter:build-id', 'Grip-Last': 'events-a; last-id=0-1' }
    const client = await (await (await serve())('/events', { headers })).opened()
    expect([client.status, client.ended, gripHeadersOf(client)]).toEqual([200, false, []])
    expect(eventStream.connections()).toHaveLength(1)
  })

  test('is refused with 501 where gripRequired is set, and one that has it is not', async () => {
    const options = { grip: shared, gripRequired: true }
    const { answer, errors } = await ask(options)
    expect([answer.status, errors]).toMatchObject([501, [{ code: 'ERR_GRIP_REQUIRED' }]])
    expect(gripHeadersOf(answer)).toEqual([])
    const signed = await ask(options, signHs256('changeme'))
    expect([signed.answer.status, signed.answer.headers['grip-hold']]).toEqual([200, 'stream'])
    const wrong = await ask(options, 'garbage')
    expect([wrong.answer.status, wrong.errors]).toMatchObject([
      403,
      [{ code: 'ERR_GRIP_SIGNATURE' }],
    ])
  })
})

describe('a request whose Grip-Sig never expires', () => {
  const neverExpires = signHs256('changeme', { iss: 'pushpin' })

  test('is told how to hold the stream, where gripRequireExpiry is false', async () => {
    const options = { grip: shared, gripRequireExpiry: false }
    const { answer, errors } = await ask(options, neverExpires)
    expect([answer.status, answer.headers['grip-hold'], errors]).toEqual([200, 'stream', []])
    const { answer: late } = await ask(options, signHs256('changeme', expired))
    expect(late.status).toBe(403)
  })
})

function refusalOf(grip: EventStreamOptions['grip']): Error {
  try {
    setUp({ grip })
  } catch (error) {
    return error as Error
  }
  throw new Error('It was taken.')
}

describe('a proxy whose signatures cannot be verified', () => {
  const privatePem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const keyless = { control_uri: control }
  const ofOwnClient = new Publisher()
  ofOwnClient.addClient({ publish: async () => undefined })

  test.each<[string, EventStreamOptions['grip'], string?]>([
    ['no key', control],
    ['no key, in a configuration', keyless],
    ['a Bearer key', url({ key: 'token' })],
    [
      'a Bearer key and an issuer to verify, as Fastly has them',
      'https://api.fastly.com/service/1?key=token&verify-iss=fastly:1',
      'https://api.fastly.com/service/1',
    ],
    ['a user and a password', 'http://us:secret@127.0.0.1:5561/'],
    ['a private key to publish with', url({ iss: 'us', key: privatePem })],
    ['a private key to verify with', url({ key: 'token', 'verify-key': privatePem })],
    ['an issuer without a key', url({ iss: 'pushpin' })],
    ['an empty key', url({ iss: 'pushpin', key: '' })],
    ['an empty key to verify with', url({ key: 'token', 'verify-key': '' })],
    ['no key, beside one that has one', [shared, keyless]],
    ['no key, in a Publisher', new Publisher([config, keyless])],
    ['a client of the application, which knows no key', ofOwnClient, 'proxy 1'],
  ])('since it has %s is refused at the start', (_what, grip, name = control) => {
    const error = refusalOf(grip)
    expect(error).toMatchObject({ code: 'ERR_OPTION' })
    expect(error.message).toContain(
      `grip has no key that verifies the Grip-Sig of the proxy ${name}, so anybody could play that proxy. Give verify-key`,
    )
    expect(inspect(error)).not.toMatch(/token|secret|PRIVATE/)
  })

  test('is believed nothing when it comes to a Publisher later', async () => {
    const publisher = new Publisher(config)
    const { eventStream, app, serve } = setUp({ grip: publisher })
    app.get('/events', eventStream('a'))
    const request = await serve()
    publisher.applyConfig(keyless)
    const answer = await request('/events', { headers: { 'Grip-Sig': 'garbage' } })
    expect([answer.status, gripHeadersOf(answer)]).toEqual([403, []])
  })
})

describe('a Publisher', () => {
  test.each([
    [undefined, 'events-a'],
    ['own-', 'own-events-a'],
  ])('with the prefix %j names channels as it does to its clients', async (prefix, name) => {
    const published: string[] = []
    const publisher = new Publisher(config, {
      ...(prefix === undefined ? {} : { prefix }),
      fetch: async (_url, init) => {
        const { items } = JSON.parse(String(init?.body)) as { items: { channel: string }[] }
        published.push(...items.map(({ channel }) => channel))
        return new Response('Published\n')
      },
    })
    const options = { grip: publisher, maxChannelsPerConnection: 1 }
    const { answer, eventStream } = await ask(options, signHs256('changeme'))
    await eventStream.publishEvent('a', { data: 1 })
    expect(answer.headers['grip-channel']).toMatch(new RegExp(`^${name}; prev-id=0-\\d+, `))
    expect(published).toEqual([name])
  })
})

describeWithPushpin('through a Pushpin with another key', () => {
  const grip = usePushpin({ sigKey: 'other' })

  test('a client gets 403, and no stream', async () => {
    const options = { grip: `${grip.pushpin.controlUrl}/?iss=pushpin&key=changeme` }
    const { eventStream, app, connect: open } = grip.setUp(options)
    app.get('/events', eventStream('a'))
    const client = await open('/events')
    await client.end()
    expect([client.status, grip.requests.length]).toEqual([403, 1])
    expect(client.headers['content-type']).not.toContain('event-stream')
    expect(eventStream.connections()).toEqual([])
  })
})
