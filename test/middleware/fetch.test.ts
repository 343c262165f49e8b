import { getEventListeners } from 'node:events'
import { describe, expect, test } from '@jest/globals'
import { fetchHandler } from '../../src/fetch.js'
import { memoryEventLog } from '../../src/index.js'
import { resilience } from '../../src/resilience.js'
import { countTimers } from '../support/count-timers.js'
import { Faucet } from '../support/faucet.js'
import { until } from '../support/until.js'
import { readBody, requestOf, setUpFetch } from '../support/web-requests.js'
import { countFollowers } from '../support/wrap-log.js'

describe('a Web request', () => {
  test('is answered with a stream of plain channels, and resumed on all of them', async () => {
    const { eventStream, get } = setUpFetch()
    const response = await get(['a', 'b'], { retryMs: 7 })
    expect([response.status, Object.fromEntries(response.headers)]).toEqual([
      200,
      {
        'cache-control': 'no-store, no-transform',
        'content-type': 'text/event-stream',
        'x-accel-buffering': 'no',
      },
    ])
    const client = readBody(response)
    await eventStream.publishEvent('a', { data: 1 })
    await eventStream.publishEvent('b', { data: 2 })
    expect(await client.data(2)).toEqual([1, 2])
    expect(client.text).toMatch(/^event: stream-open\nretry: 7\n/)
    await client.cancel()
    await eventStream.publishEvent('b', { data: 3 })
    const headers = { 'Last-Event-ID': client.lastEventId() }
    expect(await readBody(await get(['a', 'b'], {}, { headers })).data(1)).toEqual([3])
  })

  test('starts where the route says', async () => {
    const { eventStream, get } = setUpFetch()
    for (const n of [1, 2, 3]) await eventStream.publishEvent('a', { data: n })
    expect(await readBody(await get('a', { startFrom: { last: 2 } })).data(2)).toEqual([2, 3])
    const head = await get('a', { startFrom: 'earliest' }, { method: 'HEAD' })
    expect([head.status, head.body, head.headers.get('content-type')]).toEqual([
      200,
      null,
      'text/event-stream',
    ])
    expect(eventStream.connections()).toHaveLength(1)
  })

  test('is refused with the status of what is wrong with it', async () => {
    const { eventStream, get } = setUpFetch({ maxChannelsPerConnection: 1 })
    const teapot = Object.assign(new Error('teapot'), { status: 418 })
    const authorize = async (request: Request, channel: string) => {
      if (channel === 'teapot') throw teapot
      return request.headers.get('x-user') === channel
    }
    const wrong: [number, () => Promise<Response>][] = [
      [405, () => get('a', {}, { method: 'DELETE' })],
      [406, () => get('a', {}, { headers: { Accept: 'text/html' } })],
      [400, () => get('a', {}, { headers: { 'Last-Event-ID': 'error' } })],
      [400, () => get('a\n')],
      [400, () => get([])],
      [400, () => get(['a', 'b'])],
      [403, () => get('a', { authorize })],
      [418, () => get('teapot', { authorize })],
    ]
    for (const [status, ask] of wrong) await expect(ask()).rejects.toMatchObject({ status })
    await expect(get('a', { startFrom: 'then' as never })).rejects.toMatchObject({
      code: 'ERR_OPTION',
    })
    expect(eventStream.connections()).toEqual([])
    expect((await get('ann', { authorize }, { headers: { 'x-user': 'ann' } })).status).toBe(200)
  })

  test('is told of to the application, when its stream opens and when it ends', async () => {
    const { eventStream } = setUpFetch()
    const seen: unknown[] = []
    const request = requestOf()
    const response = await eventStream.fetch(request, 'a', {
      onOpen: (stream, req) => seen.push('open', stream.channels, req === request),
      onClose: (stream, req) => seen.push('close', stream.state, req === request),
    })
    await readBody(response).cancel()
    expect(seen).toEqual(['open', ['a'], true, 'close', 'closed', true])
  })

  test('hands to onError what callbacks throw, also later, and goes on', async () => {
    const errors: unknown[] = []
    const { eventStream, get } = setUpFetch({ onError: (error) => void errors.push(error) })
    const later = async (what: string) => {
      await eventStream.publishEvent('seen', { data: what })
      throw new Error(what)
    }
    const client = readBody(
      await get('a', { onOpen: () => later('open'), onClose: () => later('close') }),
    )
    await eventStream.publishEvent('a', { data: 1 })
    expect(await client.data(1)).toEqual([1])
    await client.cancel()
    await until(() => errors.length === 2)
    expect(errors).toEqual([new Error('open'), new Error('close')])
  })

  test('is on the list while its stream is open', async () => {
    const { eventStream, get } = setUpFetch()
    const { registry } = resilience(eventStream)
    const track = { type: 'page', user: (request: Request) => request.headers.get('x-user') ?? 0 }
    const client = readBody(await get('a', { track }, { headers: { 'x-user': 'ann' } }))
    await until(async () => (await registry.getActiveCount()) === 1)
    expect(await registry.getUserStreams('ann')).toMatchObject([
      { streamType: 'page', kind: 'connection', metadata: { channels: ['a'] } },
    ])
    await client.cancel()
    await until(async () => (await registry.getActiveCount()) === 0)
  })

  test('is counted with all others, and by its own key', async () => {
    const { get } = setUpFetch({ maxConnections: 3, maxConnectionsPerKey: 1 })
    const connectionKey = (request: Request) => request.headers.get('x-user')
    const as = (user: string) => get('a', { connectionKey }, { headers: { 'x-user': user } })
    const ann = readBody(await as('ann'))
    const isSentAway = async (response: Response) => /^retry: \d{4}\n$/.test(await response.text())
    expect(await isSentAway(await as('ann'))).toBe(true)
    await as('bob')
    await get('a')
    expect(await isSentAway(await as('cid'))).toBe(true)
    await ann.cancel()
    const again = readBody(await as('ann'))
    await until(() => again.text.includes('stream-open'))
  })

  test.each([
    ['a promise', async () => 'ann'],
    ['an object', () => ({ id: 'ann' })],
  ])('whose key is %s is an error, as that limits nobody', async (_what, key) => {
    const { eventStream, get } = setUpFetch({ maxConnections: 1 })
    await expect(get('a', { connectionKey: key as never })).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringMatching(
        /^connectionKey gave .*; give a string, or undefined for none\.$/,
      ),
    })
    await get('a', { connectionKey: () => 'ann' })
    expect(eventStream.connections()).toHaveLength(1)
  })

  test('is answered 503 over a limit where the application wants that', async () => {
    const { eventStream, get } = setUpFetch({ maxConnections: 1, whenUnavailable: 'reject' })
    await get('a')
    const handler = fetchHandler(eventStream, 'a')
    await expect(get('a')).rejects.toMatchObject({ code: 'ERR_UNAVAILABLE', status: 503 })
    const response = await handler(requestOf())
    expect([response.status, Number(response.headers.get('retry-after')) > 0]).toEqual([503, true])
  })

  test('whose client does not read costs its queue, and loses nothing', async () => {
    const log = memoryEventLog({ maxEvents: 5000, maxBytes: 100_000_000 })
    const { eventStream, get } = setUpFetch({ log, maxQueueBytes: 200_000 })
    const response = await get('a')
    const pad = 'x'.repeat(10_000)
    let queued = 0
    for (let n = 0; n < 1000; n++) {
      await eventStream.publishEvent('a', { data: { n, pad } })
      queued = Math.max(queued, eventStream.connections()[0]?.queuedBytes ?? 0)
    }
    expect(eventStream.connections()[0]?.state).toBe('behind')
    expect(queued).toBeLessThan(200_000 + 65_536 + 10_500)
    const data = await readBody(response).data(1000)
    expect(data.map((item) => Object(item).n)).toEqual(Array.from({ length: 1000 }, (_, n) => n))
    await until(() => eventStream.connections()[0]?.state === 'live')
    await log.close()
  })

  test('whose client reads nothing at all is closed', async () => {
    const { eventStream, get } = setUpFetch({ maxQueueBytes: 50_000, stallTimeoutMs: 100 })
    const response = await get('a')
    for (let n = 0; n < 100; n++) await eventStream.publishEvent('a', { raw: 'x'.repeat(10_000) })
    await until(() => eventStream.connections().length === 0)
    await expect(response.text()).rejects.toThrow('The stream was closed.')
  })

  test('that was taken back before its answer opens nothing', async () => {
    const { log, counts } = countFollowers(memoryEventLog())
    const { eventStream, get } = setUpFetch({ log })
    const controller = new AbortController()
    const authorize = async () => {
      controller.abort()
      return true
    }
    await get('a', { authorize }, { signal: controller.signal })
    expect([eventStream.connections(), counts.follows]).toEqual([[], 0])
    await log.close()
  })
})

describe('a Web request for a stream with one source', () => {
  test('has rights, limits and callbacks as any other one', async () => {
    const { eventStream } = setUpFetch({ maxConnectionsPerKey: 1, whenUnavailable: 'reject' })
    const seen: string[] = []
    const never = () => new ReadableStream<string>()
    const options = {
      authorize: (request: Request, id: string) => request.headers.get('x-user') === id,
      connectionKey: (request: Request) => request.headers.get('x-user') ?? undefined,
      onOpen: ({ channels }: { readonly channels: readonly string[] }) => seen.push(...channels),
    }
    const ask = (user: string) =>
      eventStream.streams.fetch(requestOf({ headers: { 'x-user': user } }), 'ann', never, options)
    await expect(ask('bob')).rejects.toMatchObject({ code: 'ERR_FORBIDDEN' })
    const first = readBody(await ask('ann'))
    await expect(ask('ann')).rejects.toMatchObject({ code: 'ERR_UNAVAILABLE' })
    await first.cancel()
    expect(seen).toEqual(['ann'])
    await eventStream.streams.stop('ann')
  })

  test('puts the stream on the list, and not each of its readers', async () => {
    const { eventStream } = setUpFetch()
    const { registry } = resilience(eventStream)
    const options = { track: { type: 'answer', user: () => 'ann' } }
    const source = new Faucet<string>()
    const ask = async () =>
      readBody(await eventStream.streams.fetch(requestOf(), 'a', () => source, options))
    const clients = [await ask(), await ask()]
    source.give('one')
    for (const client of clients) expect(await client.data(1)).toEqual(['one'])
    await until(async () => (await registry.getActiveCount()) > 0)
    expect(await registry.getUserStreams('ann')).toMatchObject([
      { streamId: 'a', kind: 'stream', streamType: 'answer' },
    ])
    source.end()
    await until(() => clients.every(({ isEnded }) => isEnded))
    await until(async () => (await registry.getActiveCount()) === 0)
  })
})

describe('of streams of Web requests', () => {
  test('no listener, timer or subscription remains, whoever ends them', async () => {
    const { log, counts } = countFollowers(memoryEventLog())
    const { eventStream } = setUpFetch({ log })
    await eventStream.publishEvent('a', { data: 0 })
    const timers = countTimers()
    const before = timers.alive
    const requests: Request[] = []
    for (let n = 0; n < 300; n++) {
      const controller = new AbortController()
      const request = requestOf({ signal: controller.signal })
      requests.push(request)
      const client = readBody(await eventStream.fetch(request, 'a'))
      if (n % 3 === 0) controller.abort()
      else if (n % 3 === 1) await client.cancel()
      else await eventStream.kick('a')
    }
    await until(() => eventStream.connections().length === 0)
    await timers.fallsTo(before)
    timers.stop()
    expect(timers.alive).toBeLessThanOrEqual(before)
    expect([counts.followers, eventStream.count('a')]).toEqual([0, 0])
    expect(requests.flatMap(({ signal }) => getEventListeners(signal, 'abort'))).toEqual([])
    await log.close()
  })

  test('all end with the event stream, and say when to come back', async () => {
    const { eventStream, get } = setUpFetch()
    const client = readBody(await get('a'))
    await eventStream.publishEvent('a', { data: 1 })
    await eventStream.close()
    await until(() => client.isEnded)
    expect(client.text).toMatch(/data: 1\nid: .*\n\nretry: \d+\n$/)
    expect(await (await get('a')).text()).toMatch(/^retry: \d+\n$/)
  })
})
