import { describe, expect, test } from '@jest/globals'
import { fetchHandler } from '../../src/fetch.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'

describe('the channels of a request', () => {
  test('come from lists, arguments, tokens and functions', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/list', eventStream(['a', 'b']))
    app.get('/arguments', eventStream('a', 'b'))
    app.get('/token/:id', eventStream('room-{id}', 'a'))
    app.get(
      '/function/:id',
      eventStream((req) => [`fn-${Object(req.params).id}`, 'a', 'a']),
    )
    app.get(
      '/async/:id',
      eventStream(async (req) => `async-${Object(req.params).id}`),
    )
    app.get('/run/:id', async (req, res) => {
      await eventStream.run(req, res, [`x-${req.params.id}`, 'a'])
    })
    const request = await serve()
    for (const path of ['/list', '/arguments', '/token/7', '/function/7', '/async/7', '/run/7']) {
      await request(path)
    }
    expect(eventStream.connections().map(({ channels }) => [...channels].sort())).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'room-7'],
      ['a', 'fn-7'],
      ['async-7'],
      ['a', 'x-7'],
    ])
    expect([eventStream.count('a'), eventStream.count('b'), eventStream.count('c')]).toEqual([
      5, 2, 0,
    ])
  })

  test('come from the query only where there are no route parameters, as in Next.js pages', async () => {
    const { eventStream } = setUp()
    const handler = eventStream('room-{id}')
    const { url } = await startServer((req, res) => {
      const query = { id: '7' }
      void handler(Object.assign(req, { query }), res)
    })
    await connect(`${url}/api/rooms/7`)
    expect(eventStream.count('room-7')).toBe(1)

    const { app, eventStream: other, serve } = setUp()
    app.get('/events', other('room-{id}'))
    const client = await (await serve())('/events?id=7')
    expect([client.status, other.connections().length]).toEqual([400, 0])
  })

  test('are refused where a value holds what ends it, in every entrance', async () => {
    const { eventStream, app, serve, errors } = setUp()
    app.get('/dm/:me/:peer', eventStream('dm-{me}-{peer}'))
    app.get(
      '/streams/:me/:peer',
      eventStream.streams.handler('dm-{me}-{peer}', () => ['x']),
    )
    const get = await serve()
    expect((await get('/dm/a/b-c')).status).toBe(200)
    expect((await get('/dm/a-b/c')).status).toBe(400)
    expect((await get('/streams/a-b/c')).status).toBe(400)
    expect(errors).toMatchObject([{ code: 'ERR_CHANNEL' }, { code: 'ERR_CHANNEL' }])

    const page = eventStream('dm-{me}-{peer}')
    const { url } = await startServer((req, res) => {
      void page(Object.assign(req, { query: { me: 'a-b', peer: 'c' } }), res)
    })
    expect((await connect(`${url}/api/dm`)).status).toBe(400)

    const route = fetchHandler(eventStream, 'dm-{me}-{peer}')
    const params = Promise.resolve({ me: 'a-b', peer: 'c' })
    expect((await route(new Request(url), { params })).status).toBe(400)
    expect(eventStream.connections().map(({ channels }) => channels)).toEqual([['dm-a-b-c']])
  })

  test('are never more than the one that the route means', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/u/:id', eventStream('user-{id}'))
    const client = await (await serve())('/u/1%2Cuser-2%3B%20prev-id=9')
    await client.opened()
    expect(eventStream.connections()[0]?.channels).toEqual(['user-1,user-2; prev-id=9'])
    await eventStream.publishEvent('user-2', { data: 'secret' })
    await eventStream.publishEvent('user-1,user-2; prev-id=9', { data: 'mine' })
    await client.received(1)
    expect(client.data).toEqual(['mine'])
  })

  test.each([
    ['a line break', '/u/a%0Ab'],
    ['CR and LF', '/u/a%0D%0Ab'],
    ['NUL', '/u/%00'],
    ['too long a name', `/u/${'x'.repeat(300)}`],
    ['an array', '/wild/a/b'],
    ['a missing value', '/missing'],
    ['an empty list', '/none'],
    ['a name that is none', '/bad-name'],
    ['too many', '/many'],
    ['names too long for a cursor', '/long'],
  ])('with %s are answered 400, and the process lives', async (_what, path) => {
    const { eventStream, app, errors, serve } = setUp()
    app.get('/u/:id', eventStream('user-{id}'))
    app.get('/wild/*id', eventStream('user-{id}'))
    app.get('/missing', eventStream('user-{id}'))
    app.get(
      '/none',
      eventStream(() => []),
    )
    app.get(
      '/bad-name',
      eventStream(() => 'a\nb'),
    )
    app.get('/many', eventStream(Array.from({ length: 21 }, (_, i) => `${i}`)))
    app.get('/long', eventStream(Array.from({ length: 20 }, (_, i) => `${i}${'豆'.repeat(80)}`)))
    app.get('/fine', eventStream('a'))
    const request = await serve()
    const client = await request(path)
    expect([client.status, errors]).toMatchObject([
      400,
      [{ name: 'EventStreamError', status: 400 }],
    ])
    expect((await request('/fine')).status).toBe(200)
    expect(eventStream.connections()).toHaveLength(1)
  })

  test('that can never work are refused when the route is made', () => {
    const { eventStream } = setUp()
    expect(() => eventStream('')).toThrow(/is no channel name/)
    expect(() => eventStream('a', 7 as unknown as string)).toThrow(/A channel is 7/)
    expect(() => eventStream('a', { retryMs: -1 })).toThrow(/retryMs is -1; give a whole number/)
    expect(() => eventStream('a', { startFrom: 'then' as 'now' })).toThrow(
      /startFrom is "then"; give 'now' or/,
    )
    expect(() => eventStream('a', { startFrom: { last: -1 } })).toThrow(/startFrom.last is -1/)
    expect(() => eventStream('a', { authorise: true } as object)).toThrow(
      /no option "authorise"; it has authorize/,
    )
    expect(() => eventStream('a', { authorize: true as never })).toThrow(
      /authorize is true; give a function/,
    )
  })
})
