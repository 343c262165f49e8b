import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { EventStreamError, memoryEventLog } from '../../src/index.js'
import { signEs256 } from '../support/grip-signature.js'
import {
  acceptingPublisher,
  gripHeadersOf,
  lastOf,
  linkOf,
  proofOf,
  proxyHeaders,
  serveChannels,
  setUpBehindProxy,
} from '../support/played-proxy.js'
import type { SseClient } from '../support/sse-client.js'
import { wrapLog } from '../support/wrap-log.js'

const composite = 'a~0-7*b~0-7'

describe('a recovery link', () => {
  test('is the same for all clients, in whatever process, and the proof for all of a set of channels', async () => {
    const answers: SseClient[] = []
    for (const process of [await serveAll(), await serveAll()]) {
      answers.push(await process.open('/events?a'))
      answers.push(await process.open('/events?lastEventId=1-2&user=me'))
      answers.push(await process.open('/events', { lastEventId: composite }))
      const headers = { Cookie: 'session=1', Authorization: 'Bearer me', Accept: '*/*' }
      answers.push(await process.open('/events?order=other', { headers }))
    }
    const more = await (await serveAll()).open('/events?set=more')
    expect(new Set([...answers, more].map(linkOf))).toEqual(new Set(['/events?grip-link=']))
    expect(proofOf(more)).toMatch(/^[\w-]{22}$/)
    expect(new Set(answers.map(proofOf)).size).toBe(1)
    expect(proofOf(more)).not.toBe(proofOf(answers[0] as SseClient))

    async function serveAll() {
      const { eventStream, app, serve } = setUpBehindProxy()
      app.get(
        '/events',
        eventStream(({ url }) => {
          if (url?.includes('more')) return ['a', 'b', 'c']
          return url?.includes('other') ? ['b', 'a'] : ['a', 'b', 'a']
        }),
      )
      return serve()
    }
  })

  test("has the path of its client's own request, unless links have one", async () => {
    const { open, follow, eventStream } = await serveChannels()
    const [first, second] = [await open('/events/a'), await open('/events/b,c')]
    expect([first, second].map(linkOf)).toEqual([
      '/events/a?grip-link=',
      '/events/b%2Cc?grip-link=',
    ])
    await eventStream.publishEvent('a', { data: 'a' })
    await eventStream.publishEvent('c', { data: 'c' })
    expect((await follow(linkOf(second), lastOf(second))).data).toEqual(['c'])
    const { open: openThere } = await serveChannels({ gripLinkPath: '/links' })
    const elsewhere = [await openThere('/events/a'), await openThere('/events/b,c')]
    expect(elsewhere.map(linkOf)).toEqual(['/links?grip-link=', '/links?grip-link='])
  })

  test('has the proof in it, where there is no room for it beside the channels', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `c${n}`)
    const { open, follow, eventStream, told } = await serveChannels()
    const held = await open(`/events/${names}`)
    expect(linkOf(held)).toMatch(/\?grip-link=[\w-]{22}$/)
    expect(lastOf(held).split(', ')).toHaveLength(20)
    await eventStream.publishEvent('c7', { data: 7 })
    expect((await follow(linkOf(held), lastOf(held))).data).toEqual([7])
    const tampered = lastOf(held).replace('events-c7', 'events-x7')
    expect((await follow(linkOf(held), tampered)).text).toMatch(/^retry: \d+\n$/)
    expect(told).toMatchObject([{ code: 'ERR_GRIP_LINK' }])
  })

  test('is answered with what was missed, and with all that holds the stream', async () => {
    const { eventStream, open, follow } = await serveChannels({ gripPollMs: 60_000 })
    const held = await open('/events/a,b')
    await eventStream.publishEvent('a', { data: '100%' })
    await eventStream.publishEvent('b', { data: 2 })
    const answer = await follow(linkOf(held), lastOf(held))
    expect([answer.status, answer.data]).toEqual([200, ['100%%', 2]])
    expect(gripHeadersOf(answer)).toEqual(gripHeadersOf(held))
    const { 'grip-channel': _channel, 'grip-link': _link, ...others } = grip(held)
    expect(grip(answer)).toMatchObject(others)
    expect(Object.keys(others).sort()).toEqual(['grip-hold', 'grip-keep-alive', 'grip-set-meta'])
    expect([linkOf(answer), proofOf(answer)]).toEqual([linkOf(held), proofOf(held)])
    const positions = [...lastOf(answer).matchAll(/events-(\w)\*; last-id=([\d-]+)/g)]
    expect(answer.lastEventId).toBe(positions.map(([, name, id]) => `${name}~${id}`).join('*'))
    expect((await follow(linkOf(answer), lastOf(answer))).text).toBe('')
  })

  test('wants neither a cookie nor Accept: text/event-stream, and no position but Grip-Last', async () => {
    const { eventStream, open, follow } = await serveChannels()
    const held = await open('/events/a')
    const first = await eventStream.publishEvent('a', { data: 1 })
    const second = await eventStream.publishEvent('a', { data: 2 })
    for (const Accept of ['*/*', 'application/json']) {
      const answer = await follow(
        `${linkOf(held)}&lastEventId=${second.id}`,
        lastOf(held).replace(/events-a; last-id=[^,]*/, `events-a; last-id=${first.id}`),
        { 'Last-Event-ID': second.id, Accept },
      )
      expect([answer.status, answer.data]).toEqual([200, [2]])
    }
  })

  test('with a position that the log does not know has a stream-reset and the new position', async () => {
    const { eventStream, open, follow } = await serveChannels()
    const held = await open('/events/a')
    const { id } = await eventStream.publishEvent('a', { data: 1 })
    const last = lastOf(held).replace(/events-a; last-id=[^,]*/, 'events-a; last-id=77-1')
    const answer = await follow(linkOf(held), last)
    expect([answer.status, answer.events, answer.control]).toEqual([
      200,
      [],
      [{ event: 'stream-reset', data: '{"channels":["a"],"reason":"unknown"}', id }],
    ])
    expect(lastOf(answer)).toContain(`events-a; last-id=${id}`)
  })

  test('is refused with 403 to a client of the proxy, which has no Grip-Last', async () => {
    const { open, follow, errors, told } = await serveChannels()
    const held = await open('/events/a')
    const answer = await follow(linkOf(held), undefined, { Cookie: 'a=b' })
    expect([answer.status, gripHeadersOf(answer), told]).toEqual([403, [], []])
    expect(errors).toMatchObject([{ code: 'ERR_GRIP_LINK' }])
  })

  test('is nothing special of a client that has not come through the proxy', async () => {
    const { open, direct, eventStream } = await serveChannels()
    const held = await open('/events/a')
    const query = linkOf(held).replace(/^[^?]*/, '')
    const headers = { 'Grip-Last': lastOf(held) }
    const client = await direct(`/events/b${query}`, { headers })
    expect([client.status, gripHeadersOf(client)]).toEqual([200, []])
    expect(eventStream.connections().map(({ channels }) => channels)).toEqual([['b']])
  })
})

describe('a question for channels that are not those of the proof', () => {
  const one = /, events-b\*; last-id=[^,]*/
  test.each<[string, (last: string) => string]>([
    ['another channel', (last) => last.replace('events-b*', 'events-secret*')],
    ['one channel more', (last) => `${last}, events-secret*; last-id=0-1`],
    ['one channel more, in the other form', (last) => `${last}, events-secret; last-id=0-1`],
    ['one channel less', (last) => last.replace(one, '')],
    ['channels in the other form', (last) => last.replace('events-b*', 'events-b')],
    ['another proof', (last) => last.replace(/(events-~; last-id=).{22}/, `$1${'A'.repeat(22)}`)],
    ['half a proof', (last) => last.replace(/(events-~; last-id=.{11}).{11}/, '$1')],
    ['no proof', (last) => last.replace(/, events-~.*/, '')],
    ['nothing but the proof', (last) => last.replace(/.*(?=events-~)/, '')],
    ['what is no position', (last) => last.replace(one, ', events-b*; last-id=x')],
    ['no position', () => 'events-a*, events-b*'],
    ['what is no name', (last) => last.replace('events-b*', 'events-%b*')],
    ['nothing', () => ''],
  ])('since it has %s ends the stream, and is told of once', async (_what, tamper) => {
    const { open, follow, told, errors, eventStream } = await serveChannels()
    const held = await open('/events/a,b')
    for (const name of ['a', 'b', 'secret']) await eventStream.publishEvent(name, { data: name })
    const last = tamper(lastOf(held))
    expect(last).not.toBe(lastOf(held))
    for (const attempt of [1, 2]) {
      const answer = await follow(linkOf(held), last)
      expect([attempt, answer.status, answer.text, gripHeadersOf(answer)]).toEqual([
        attempt,
        200,
        expect.stringMatching(/^retry: \d+\n$/),
        [],
      ])
      expect(answer.headers['content-type']).toBe('text/event-stream')
    }
    expect([told, errors]).toMatchObject([[{ code: 'ERR_GRIP_LINK' }], []])
  })

  test.each([
    ['gripSecret', { gripSecret: 'other' }],
    ['gripPrefix', { gripPrefix: 'other-' }],
  ])('since another %s is in force ends the stream too', async (_what, options) => {
    const { open } = await serveChannels(options)
    const { follow, told } = await serveChannels()
    const held = await open('/events/a')
    const answer = await follow(linkOf(held), lastOf(held).replaceAll('other-', 'events-'))
    expect([answer.status, answer.text]).toEqual([200, expect.stringMatching(/^retry: \d+\n$/)])
    expect([gripHeadersOf(answer), told]).toMatchObject([[], [{ code: 'ERR_GRIP_LINK' }]])
  })
})

describe('a recovery link while it cannot be answered', () => {
  test.each([
    ['the log is away', new EventStreamError('ERR_LOG_UNAVAILABLE', 'away'), 503],
    ['the log fails', new Error('at 10.0.0.1'), 500],
  ])('since %s is an error that the proxy tries again after', async (_what, away, status) => {
    let isAway = false
    const inner = memoryEventLog()
    const log = wrapLog(inner, {
      read: async (...args) => {
        if (isAway) throw away
        return inner.read(...args)
      },
    })
    const { open, follow, errors, told } = await serveChannels({ log })
    const held = await open('/events/a')
    isAway = true
    const answer = await follow(linkOf(held), lastOf(held))
    expect([answer.status, answer.text, gripHeadersOf(answer)]).toEqual([
      status,
      'The event stream cannot be served.\n',
      [],
    ])
    expect([errors, told]).toEqual([[], [away]])
    isAway = false
    expect((await follow(linkOf(held), lastOf(held))).status).toBe(200)
  })

  test('since this process is closing is a 503', async () => {
    const { open, follow, eventStream, errors } = await serveChannels()
    const held = await open('/events/a')
    await eventStream.close()
    const answer = await follow(linkOf(held), lastOf(held))
    expect([answer.status, gripHeadersOf(answer), errors]).toEqual([503, [], []])
    const client = await open('/events/a')
    expect([client.status, client.text, gripHeadersOf(client)]).toEqual([
      200,
      expect.stringMatching(/^retry: \d+\n$/),
      [],
    ])
  })
})

describe('the secret of proofs', () => {
  test('is the same of one key, however it is given, and another one of another key', async () => {
    const of = async (options: object) =>
      proofOf(await (await serveChannels(options)).open('/events/a', signedBy))
    const signedBy = { headers: { 'Grip-Sig': proxyHeaders()['Grip-Sig'] } }
    const config = { control_uri: 'http://proxy.invalid', control_iss: 'pushpin', key: 'changeme' }
    const base64 = `base64:${Buffer.from('changeme').toString('base64')}`
    const same = [
      { grip: 'http://proxy.invalid/?iss=pushpin&key=changeme' },
      { grip: `http://elsewhere.invalid/x?key=${encodeURIComponent(base64)}&iss=other` },
      { grip: config },
      { grip: [config, { ...config, control_uri: 'http://second.invalid' }] },
      { grip: acceptingPublisher() },
      {},
    ]
    const proofs = await Promise.all(same.map(of))
    const others = await Promise.all([
      of({ grip: [config, { ...config, key: 'second' }] }),
      of({ gripSecret: 'changeme' }),
    ])
    expect([new Set(proofs).size, new Set([...proofs, ...others]).size]).toEqual([1, 3])
  })

  test('is another one at each start where there is no secret key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const grip = { control_uri: 'http://proxy.invalid/', verify_key: pem }
    const headers = { 'Grip-Sig': signEs256(privateKey) }
    const proofs = await Promise.all(
      [1, 2].map(async () =>
        proofOf(await (await serveChannels({ grip })).open('/events/a', { headers })),
      ),
    )
    expect(proofs[0]).toMatch(/^[\w-]{22}$/)
    expect(proofs[0]).not.toBe(proofs[1])
  })
})

function grip({ headers }: { readonly headers: object }): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('grip-')))
}
