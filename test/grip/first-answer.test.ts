import { randomUUID } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import {
  gripHeadersOf,
  lastOf,
  linkOf,
  proxyHeaders,
  serveChannels,
} from '../support/played-proxy.js'

/** What Pushpin takes of a first body with a filter. */
const maxComposed = 100_000

const timeoutOf = ({ headers }: { readonly headers: object }) =>
  Number(/timeout=(\d+)$/.exec(String(Object(headers)['grip-link']))?.[1])

/** An interval that leaves no choice, and its seconds. */
const [gripPollMs, later] = [3000, 2]

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('the first answer to a client of a proxy', () => {
  test.each([
    ['plain', '/events/a', 'x', 600_000],
    ['composed', '/events/a,b', 'x', maxComposed],
    ['composed, of characters that are doubled,', '/events/a,b', '%', maxComposed],
    ['composed, of characters of three bytes,', '/events/a,b', '豆', maxComposed],
  ])(
    'that is %s has what fits, and the links have the rest',
    async (_what, path, character, max) => {
      const { eventStream, open, follow } = await serveChannels({ gripPollMs })
      const { lastEventId } = await open(path)
      const pad = character.repeat(1000)
      for (const n of numbers(800)) await eventStream.publishEvent('a', { data: { n, pad } })
      if (path.endsWith('b')) await eventStream.publishEvent('b', { data: { n: 800, pad } })

      let answer = await open(path, { lastEventId })
      expect(Buffer.byteLength(answer.text)).toBeLessThan(max)
      expect(Buffer.byteLength(answer.text)).toBeGreaterThan(max / 2)
      expect(timeoutOf(answer)).toBe(1)
      const data = [...answer.data]
      while (timeoutOf(answer) === 1) {
        answer = await follow(linkOf(answer), lastOf(answer))
        data.push(...answer.data)
      }
      expect(timeoutOf(answer)).toBe(later)
      expect(data.map((event) => Object(event).n)).toEqual(numbers(path.endsWith('b') ? 801 : 800))
      const back = character === '%' ? pad.repeat(2) : pad
      expect(data.every((event) => Object(event).pad === back)).toBe(true)
    },
  )

  test('has an event that is larger than all that fits where it can, and a link where not', async () => {
    const { eventStream, open, follow } = await serveChannels({ gripPollMs })
    const [plain, composed] = [await open('/events/a'), await open('/events/a,b')]
    const pad = 'x'.repeat(1_000_000)
    await eventStream.publishEvent('a', { data: pad })
    await eventStream.publishEvent('a', { data: 2 })

    const first = await open('/events/a', { lastEventId: plain.lastEventId })
    expect([first.data, timeoutOf(first)]).toEqual([[pad], 1])
    const second = await follow(linkOf(first), lastOf(first))
    expect([second.data, timeoutOf(second)]).toEqual([[2], later])

    const none = await open('/events/a,b', { lastEventId: composed.lastEventId })
    expect([none.data, timeoutOf(none)]).toEqual([[], 1])
    expect(none.lastEventId).toBe(composed.lastEventId)
    const large = await follow(linkOf(none), lastOf(none))
    expect([large.data, timeoutOf(large)]).toEqual([[pad], 1])
    const rest = await follow(linkOf(large), lastOf(large))
    expect([rest.data, timeoutOf(rest)]).toEqual([[2], later])
  })

  test('is 400 for more channels than a proxy takes, and holds as many as it takes', async () => {
    const { open, direct, errors } = await serveChannels({ maxChannelsPerConnection: 50 })
    const most = await open(`/events/${numbers(20)}`)
    expect([most.status, lastOf(most).split(', ').length]).toEqual([200, 20])
    const tooMany = await open(`/events/${numbers(21)}`)
    expect([tooMany.status, errors]).toMatchObject([
      400,
      [
        {
          code: 'ERR_TOO_MANY_CHANNELS',
          message: 'The request names 21 channels, and a GRIP proxy takes 20 per connection.',
        },
      ],
    ])
    expect((await direct(`/events/${numbers(21)}`)).status).toBe(200)
  })

  test('subscribes to no more than a proxy takes', async () => {
    const { open } = await serveChannels()
    for (const count of [18, 19, 20]) {
      const { headers } = await open(`/events/${numbers(count)}`)
      const names = String(headers['grip-channel']).split(', ')
      expect(names.length).toBe(Math.min(count + 2, 20))
    }
  })

  test('has the channels that the client does not know from now on', async () => {
    const { eventStream, open } = await serveChannels()
    const { lastEventId } = await open('/events/a')
    const a = await eventStream.publishEvent('a', { data: 1 })
    const b = await eventStream.publishEvent('b', { data: 2 })
    const answer = await open('/events/a,b', { lastEventId: `a~${lastEventId}*c~7-1` })
    expect([answer.data, lastOf(answer)]).toEqual([
      [1],
      expect.stringContaining(`events-a*; last-id=${a.id}, events-b*; last-id=${b.id}, `),
    ])
  })

  test('is a head alone to HEAD, and instructs the proxy to hold nothing', async () => {
    const { open } = await serveChannels()
    const { status, headers, text } = await open('/events/a', { method: 'HEAD' })
    expect([status, headers['content-type'], headers['grip-hold'], text]).toEqual([
      200,
      'text/event-stream',
      undefined,
      '',
    ])
  })

  test('is 406 to a client that takes no event stream', async () => {
    const { open } = await serveChannels()
    const refused = await open('/events/a', { headers: { Accept: 'application/json' } })
    expect([refused.status, refused.headers['grip-hold']]).toEqual([406, undefined])
  })

  test('holds the stream of a POST, where links have a path of their own', async () => {
    const { eventStream, open, follow } = await serveChannels({ gripLinkPath: '/links' })
    const held = await open('/events/a', { method: 'POST' })
    expect([held.status, held.headers['grip-hold']]).toEqual([200, 'stream'])
    await eventStream.publishEvent('a', { data: 1 })
    expect((await follow(linkOf(held), lastOf(held))).data).toEqual([1])
  })

  test('passes on the stream of a POST, where nothing may answer a GET at its path', async () => {
    const { direct, eventStream } = await serveChannels()
    const client = await direct('/events/a', { method: 'POST', headers: proxyHeaders() })
    expect(gripHeadersOf(await client.opened())).toEqual([])
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    expect([client.data, client.ended]).toEqual([[1], false])
  })
})

describeWithPushpin('the largest first answer', () => {
  const grip = usePushpin()

  test.each([
    ['one channel', ''],
    ['several channels', `,${randomUUID()}`],
  ])('of %s is taken by Pushpin, and so is the rest', async (_what, others) => {
    const { eventStream, app, connect } = grip.setUp()
    app.get(
      '/events/:ids',
      eventStream((req) => String(Object(req.params).ids).split(',')),
    )
    const channel = randomUUID()
    const { lastEventId } = await (await connect(`/events/${channel}${others}`)).opened()
    const pad = '%豆%'.repeat(200)
    const publish = (n: number) => eventStream.publishEvent(channel, { data: { n, pad } })
    await Promise.all(numbers(800).map(publish))
    const client = await connect(`/events/${channel}${others}`, { lastEventId })
    await client.received(800)
    await publish(800)
    await client.received(801)
    expect(client.data).toEqual(numbers(801).map((n) => ({ n, pad })))
    expect(client.control.map(({ event }) => event)).toEqual(['stream-open'])
  })
})
