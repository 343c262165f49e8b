import { describe, expect, test } from '@jest/globals'
import { type EventStream, memoryEventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import type { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'

async function publish(eventStream: EventStream, channel: string, from: number, to: number) {
  for (let n = from; n <= to; n++) await eventStream.publishEvent(channel, { data: n })
}

describe('a client that comes back', () => {
  test('gets what it missed, once and in order, and then what is published', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const request = await serve()
    await publish(eventStream, 'a', 1, 2)
    const first = await (await request('/events')).opened()
    await publish(eventStream, 'a', 3, 4)
    await first.received(2)
    first.destroy()
    await publish(eventStream, 'a', 5, 7)
    const second = await request('/events', { lastEventId: first.lastEventId })
    await second.received(3)
    await publish(eventStream, 'a', 8, 8)
    await second.received(4)
    expect([first.data, second.data]).toEqual([
      [3, 4],
      [5, 6, 7, 8],
    ])
    expect(second.control.map(({ event }) => event)).toEqual(['stream-open'])
  })

  test('gets what it missed though it was cut off before its first event', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const request = await serve()
    const first = await (await request('/events')).opened()
    first.destroy()
    await publish(eventStream, 'a', 1, 2)
    const second = await request('/events', { lastEventId: first.lastEventId })
    await second.received(2)
    expect(second.data).toEqual([1, 2])
  })

  test.each(['lastEventId', 'last_event_id', 'evs_last_event_id'])(
    'may say where it was by ?%s=',
    async (parameter) => {
      const { eventStream, app, serve } = setUp()
      app.get('/events', eventStream('a', 'b'))
      const request = await serve()
      const { lastEventId } = await (await request('/events')).opened()
      await publish(eventStream, 'a', 1, 2)
      const id = encodeURIComponent(lastEventId)
      const second = await request(`/events?x=1&${parameter}=${id}`)
      await second.received(2)
      expect(second.data).toEqual([1, 2])
    },
  )

  test('is believed by its header first', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const request = await serve()
    const first = await (await request('/events')).opened()
    await publish(eventStream, 'a', 1, 2)
    await first.received(2)
    const [early, late] = first.events.map(({ id }) => id as string)
    const second = await request(`/events?lastEventId=${late}`, { lastEventId: early })
    await second.received(1)
    expect(second.data).toEqual([2])
  })

  test('goes on in every channel of its connection', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('b', 'a', 'ä b'))
    const request = await serve()
    const first = await (await request('/events')).opened()
    await publish(eventStream, 'a', 1, 2)
    await publish(eventStream, 'ä b', 11, 11)
    await first.received(3)
    first.destroy()
    await publish(eventStream, 'b', 21, 22)
    await publish(eventStream, 'a', 3, 4)
    await publish(eventStream, 'ä b', 12, 12)
    const second = await request('/events', { lastEventId: first.lastEventId })
    await second.received(5)
    await publish(eventStream, 'b', 23, 23)
    await second.received(6)
    const numbers = second.data as number[]
    expect(numbers.filter((n) => n < 10)).toEqual([3, 4])
    expect(numbers.filter((n) => n > 20)).toEqual([21, 22, 23])
    expect(numbers.filter((n) => n > 10 && n < 20)).toEqual([12])
  })

  test('to other channels goes on in those it knew, and starts the rest now', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/ab', eventStream('a', 'b'))
    app.get('/bc', eventStream('b', 'c'))
    app.get('/b', eventStream('b'))
    const request = await serve()
    const { lastEventId } = await (await request('/ab')).opened()
    await publish(eventStream, 'b', 1, 2)
    await publish(eventStream, 'c', 11, 12)
    for (const path of ['/bc', '/b']) {
      const next = await request(path, { lastEventId })
      await next.received(2)
      expect(next.data).toEqual([1, 2])
      expect(next.control.map(({ event }) => event)).toEqual(['stream-open'])
    }
  })

  test('after more than a page gets all pages', async () => {
    const { eventStream, app, serve } = setUp({ log: memoryEventLog({ maxEvents: 5000 }) })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const first = await (await request('/events')).opened()
    first.destroy()
    await publish(eventStream, 'a', 1, 3000)
    const second = await request('/events', { lastEventId: first.lastEventId })
    await second.received(3000)
    expect(second.data).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1))
  })
})

describe('a client that cannot have what it missed', () => {
  const resetOf = async (request: ReturnType<typeof connect>) => {
    const client = await (await request).opened()
    const { data = '{}', id } = client.control.find(({ event }) => event === 'stream-reset') ?? {}
    return { client, id, ...(JSON.parse(data) as { channels?: string[]; reason?: string }) }
  }

  test('is told that it was trimmed, and goes on from now', async () => {
    const { eventStream, app, serve } = setUp({ log: memoryEventLog({ maxEvents: 3 }) })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const first = await (await request('/events')).opened()
    first.destroy()
    await until(() => eventStream.connections().length === 0)
    await publish(eventStream, 'a', 1, 300)
    const { client, channels, reason, id } = await resetOf(
      request('/events', { lastEventId: first.lastEventId }),
    )
    await publish(eventStream, 'a', 301, 301)
    await client.received(1)
    expect([channels, reason, client.data]).toEqual([['a'], 'trimmed', [301]])
    expect(id).toMatch(/^300-/)
  })

  test.each([
    ['an id of a lost log', '7-1', 'unknown'],
    ['an id from the future', '9007199254740991-4294967295', 'unknown'],
    ['garbage', 'garbage', 'invalid'],
    ['text that is not ASCII', 'ü\xff', 'invalid'],
    ['two headers in one', '1-1, 1-1', 'invalid'],
    ['a huge one', 'x'.repeat(12_000), 'invalid'],
    ['a script', '<script>alert(1)</script>', 'invalid'],
  ])('because it sends %s, is told, and its stream starts', async (_what, lastEventId, reason) => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    await publish(eventStream, 'a', 1, 3)
    const reset = await resetOf((await serve())('/events', { lastEventId }))
    await publish(eventStream, 'a', 4, 4)
    await reset.client.received(1)
    expect([reset.client.status, reset.channels, reset.reason, reset.client.data]).toEqual([
      200,
      ['a'],
      reason,
      [4],
    ])
    expect(reset.id).toMatch(/^3-/)
  })

  test('is told again when it is cut off before the reset has reached it', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events', { lastEventId: 'garbage' })
    await client.opened()
    expect(client.control.map(({ event, id }) => [event, id !== undefined])).toEqual([
      ['stream-open', false],
      ['stream-reset', true],
    ])
  })

  test('of several channels is told which, and has the others whole', async () => {
    const { eventStream, app, serve } = setUp({ log: memoryEventLog({ maxEvents: 3 }) })
    app.get('/events', eventStream('a', 'b'))
    const request = await serve()
    const first = await (await request('/events')).opened()
    first.destroy()
    await until(() => eventStream.connections().length === 0)
    await publish(eventStream, 'a', 1, 300)
    await publish(eventStream, 'b', 1001, 1002)
    const { client, channels } = await resetOf(
      request('/events', { lastEventId: first.lastEventId }),
    )
    await client.received(2)
    expect([channels, client.data]).toEqual([['a'], [1001, 1002]])
  })

  test('because one id is of none of several channels, is told so', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a', 'b'))
    await publish(eventStream, 'a', 1, 1)
    const { channels, reason } = await resetOf((await serve())('/events', { lastEventId: '1-1' }))
    expect([channels, reason]).toEqual([['a', 'b'], 'invalid'])
  })

  test('because one id says nothing of the other channels, is told so, and goes on in its own', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a', 'b', 'c'))
    const { id } = await eventStream.publishEvent('b', { data: 0 })
    await publish(eventStream, 'a', 1, 2)
    await publish(eventStream, 'b', 11, 12)
    const { client, channels, reason } = await resetOf(
      (await serve())('/events', { lastEventId: id }),
    )
    await client.received(2)
    expect([channels, reason, client.data]).toEqual([['a', 'c'], 'invalid', [11, 12]])
  })
})

describe('a client without a position', () => {
  test.each([
    ['now', []],
    ['earliest', [1, 2, 3]],
    [{ last: 2 }, [2, 3]],
    [{ last: 99 }, [1, 2, 3]],
    [{ last: 0 }, []],
  ] as const)('starts from %j', async (startFrom, expected) => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a', { startFrom }))
    await publish(eventStream, 'a', 1, 3)
    const request = await serve()
    const client = await (await request('/events')).opened()
    await publish(eventStream, 'a', 4, 4)
    await client.received(expected.length + 1)
    expect(client.data).toEqual([...expected, 4])
  })

  test('resumes at its start when it is cut off right behind stream-open', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a', { startFrom: { last: 2 } }))
    await publish(eventStream, 'a', 1, 3)
    const request = await serve()
    const first = await (await request('/events')).opened()
    const second = await request('/events', { lastEventId: first.control[0]?.id })
    await second.received(2)
    expect(second.data).toEqual([2, 3])
  })

  test('that comes back does not start over', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a', { startFrom: 'earliest' }))
    await publish(eventStream, 'a', 1, 3)
    const request = await serve()
    const first = await request('/events')
    await first.received(3)
    const second = await request('/events', { lastEventId: first.lastEventId })
    await publish(eventStream, 'a', 4, 4)
    await second.received(1)
    expect(second.data).toEqual([4])
  })
})
