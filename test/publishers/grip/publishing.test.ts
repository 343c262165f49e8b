import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterEach, describe, expect, test } from '@jest/globals'
import { EventStream, type EventStreamOptions, memoryEventLog } from '../../../src/index.js'
import { setUp as setUpApp } from '../../support/app.js'
import { ControlEndpoint, type PublishedItem } from '../../support/control-endpoint.js'
import { until } from '../../support/until.js'

const streams: EventStream[] = []

async function setUp(options: EventStreamOptions = {}) {
  const proxy = await ControlEndpoint.start()
  const errors: unknown[] = []
  const eventStream = new EventStream({
    grip: proxy.url,
    maxChannelsPerConnection: 1,
    onError: (error) => void errors.push(error),
    ...options,
  })
  streams.push(eventStream)
  return { proxy, eventStream, errors }
}

afterEach(async () => {
  for (const eventStream of streams.splice(0)) await eventStream.close({ graceMs: 0 })
})

const dataOf = ({ formats }: PublishedItem) =>
  /^data: (.*)$/m.exec(formats['http-stream'].content ?? '')?.[1]

describe('what a proxy is sent', () => {
  test('is the event as direct clients get it, with its id and the one before', async () => {
    const { proxy, eventStream } = await setUp()
    const first = await eventStream.publishEvent('room 7', { event: 'tick', data: { n: 1 } })
    const second = await eventStream.publishEvent('room 7', { data: { n: 2 } })
    expect(proxy.items).toEqual([
      {
        channel: 'events-room%207',
        id: first.id,
        'prev-id': expect.stringMatching(/^0-\d+$/),
        'no-seq': true,
        formats: { 'http-stream': { content: `event: tick\ndata: {"n":1}\nid: ${first.id}\n\n` } },
      },
      {
        channel: 'events-room%207',
        id: second.id,
        'prev-id': first.id,
        'no-seq': true,
        formats: { 'http-stream': { content: `data: {"n":2}\nid: ${second.id}\n\n` } },
      },
    ])
  })

  test('is signed with the key of the proxy', async () => {
    const { proxy, eventStream } = await setUp()
    await eventStream.publishEvent('a', { data: 1 })
    const [, payload = ''] = String(proxy.authorizations[0])
      .replace(/^Bearer /, '')
      .split('.')
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({ iss: 'proxy' })
  })

  test('does not ask the proxy to ignore the order where other processes publish too', async () => {
    const inner = memoryEventLog()
    const health = () => ({ state: 'up' as const, since: new Date() })
    const { proxy, eventStream } = await setUp({
      log: Object.assign(inner, { ready: async () => undefined, health }),
    })
    await eventStream.publishEvent('a', { data: 1 })
    expect(proxy.items[0]).not.toHaveProperty('no-seq')
  })

  test('goes in one request, when it was published in one tick', async () => {
    const { proxy, eventStream } = await setUp()
    const numbers = Array.from({ length: 100 }, (_, n) => n)
    await Promise.all(numbers.map((n) => eventStream.publishEvent(`c${n % 3}`, { data: n })))
    expect(proxy.requests).toHaveLength(1)
    expect(proxy.items.map(dataOf)).toEqual(numbers.map(String))
  })

  test('keeps its order and one request at a time, whatever is published meanwhile', async () => {
    const { proxy, eventStream } = await setUp()
    proxy.behave = (res) => setTimeout(() => res.end(), 20)
    const published: Promise<unknown>[] = []
    for (let n = 0; n < 60; n++) {
      published.push(eventStream.publishEvent('a', { data: n }))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await Promise.all(published)
    expect(proxy.items.map(dataOf)).toEqual(published.map((_, n) => String(n)))
    expect(proxy.mostUnderWay).toBe(1)
    expect(proxy.requests.length).toBeLessThan(30)
  })

  test('is split into requests below 1,000,000 bytes', async () => {
    const { proxy, eventStream } = await setUp()
    const filler = 'ü"'.repeat(20_000)
    const numbers = Array.from({ length: 40 }, (_, n) => n)
    await Promise.all(numbers.map((n) => eventStream.publishEvent('a', { data: { n, filler } })))
    expect(Math.max(...proxy.bytes)).toBeLessThan(1_000_000)
    expect(proxy.items.map((item) => JSON.parse(dataOf(item) ?? '').n)).toEqual(numbers)
  })

  test('is a hint behind a burst, of which the proxy may have dropped the end', async () => {
    const { proxy, eventStream } = await setUp()
    const publish = (channel: string, count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, n) => eventStream.publishEvent(channel, { data: n })),
      )
    await Promise.all([publish('a', 300), publish('b', 10)])
    await until(() => proxy.requests.length > 1)
    expect(proxy.requests.at(-1)).toEqual([
      { channel: 'events-a', formats: { 'http-stream': { content: ':\n' } } },
    ])
  })

  test('is a hint to ask for it, when an event is larger than a request may be', async () => {
    const { proxy, eventStream } = await setUp()
    await eventStream.publishEvent('a', { data: 'x'.repeat(950_000) })
    expect(proxy.items).toEqual([
      { channel: 'events-a', formats: { 'http-stream': { content: ':\n' } } },
    ])
  })

  test('is what is in the log, again, when a key is published again', async () => {
    const { proxy, eventStream } = await setUp()
    const { id } = await eventStream.publishEvent('a', { data: 1, idempotencyKey: 'k' })
    await eventStream.publishEvent('a', { data: 2, idempotencyKey: 'k' })
    expect(proxy.items.map((item) => [item.id, dataOf(item)])).toEqual([
      [id, '1'],
      [id, '1'],
    ])
  })
})

describe('a proxy that is away', () => {
  test('is tried again with the same ids', async () => {
    const { proxy, eventStream } = await setUp()
    let answers = 0
    proxy.behave = (res) => {
      answers += 1
      if (answers === 1) res.destroy()
      else res.writeHead(answers === 2 ? 502 : 200).end()
    }
    const { id } = await eventStream.publishEvent('a', { data: 1 })
    expect(proxy.items.map((item) => item.id)).toEqual([id, id, id])
  })

  test('rejects with ERR_PUBLISH_PARTIAL, and the event is in the log and with the other proxies', async () => {
    const other = await ControlEndpoint.start()
    const proxy = await ControlEndpoint.start()
    await proxy.stop()
    const log = memoryEventLog()
    const { eventStream, errors } = await setUp({ log, grip: [proxy.url, other.url] })
    const publishing = eventStream.publishEvent('a', { data: 1 })
    publishing.catch(() => undefined)
    await until(() => other.items.length === 1)
    const error = await publishing.catch((caught: unknown) => caught)
    const { entries } = await log.read('a', 'earliest', { maxEvents: 9, maxLength: 9 })
    expect(error).toMatchObject({
      code: 'ERR_PUBLISH_PARTIAL',
      published: [{ id: entries[0]?.id }],
      message: expect.stringMatching(/127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED/),
    })
    expect(String(error)).not.toContain('changeme')
    expect(errors).toMatchObject([{ code: 'ERR_PROXY_UNAVAILABLE' }])
  })

  test('is not waited for once it is known to be away, and its channels are told when it is back', async () => {
    const { proxy, eventStream } = await setUp()
    await proxy.stop()
    await expect(eventStream.publishEvent('a', { data: 1 })).rejects.toThrow(/cannot be reached/)
    expect(eventStream.health().proxies).toMatchObject([{ state: 'down' }])
    const began = performance.now()
    await expect(eventStream.publishEvent('b', { data: 1 })).rejects.toThrow(/cannot be reached/)
    expect(performance.now() - began).toBeLessThan(1000)
    await proxy.restart()
    await until(() => eventStream.health().proxies[0]?.state === 'up')
    expect(proxy.items).toEqual(
      ['events-a', 'events-b'].map((channel) => ({
        channel,
        formats: { 'http-stream': { content: ':\n' } },
      })),
    )
    await eventStream.publishEvent('a', { data: 2 })
    expect(proxy.contents('events-a')).toHaveLength(1)
  }, 15_000)

  test('has a channel told again, which missed something while it was being told', async () => {
    const { proxy, eventStream } = await setUp()
    proxy.behave = (res) => res.writeHead(401).end()
    await expect(eventStream.publishEvent('a', { data: 1 })).rejects.toThrow(/takes no events/)
    let isTold = false
    proxy.behave = async (res) => {
      if (!isTold) {
        isTold = true
        await expect(eventStream.publishEvent('a', { data: 2 })).rejects.toThrow(/takes no events/)
      }
      res.end()
    }
    await until(() => proxy.items.length === 3)
    expect(proxy.items.map(({ channel, id }) => [channel, id === undefined])).toEqual([
      ['events-a', false],
      ['events-a', true],
      ['events-a', true],
    ])
  })

  test('is looked after no more once the event stream is closed', async () => {
    const { proxy, eventStream } = await setUp()
    proxy.behave = () => undefined
    const published = eventStream.publishEvent('a', { data: 1 })
    const rejected = expect(published).rejects.toThrow(/takes no events/)
    await until(() => proxy.requests.length === 1)
    proxy.behave = (res) => res.writeHead(401).end()
    await eventStream.close({ graceMs: 0 })
    // It is tried again, since it was not answered.
    await rejected
    const { length } = proxy.requests
    // More than twice the time between looks.
    await new Promise((resolve) => setTimeout(resolve, 2600))
    expect(proxy.requests).toHaveLength(length)
  }, 15_000)

  test('does not delay direct clients', async () => {
    const proxy = await ControlEndpoint.start()
    proxy.behave = () => undefined
    const { eventStream, app, serve } = setUpApp({ grip: proxy.url, onError: () => undefined })
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    let isPublished = false
    const published = eventStream.publishEvent('a', { data: 1 }).finally(() => {
      isPublished = true
    })
    const rejected = expect(published).rejects.toMatchObject({ code: 'ERR_PUBLISH_PARTIAL' })
    await client.received(1)
    expect(isPublished).toBe(false)
    await rejected
  }, 15_000)

  test('is told so, when it refuses, at once', async () => {
    const { proxy, eventStream, errors } = await setUp()
    proxy.behave = (res) => res.writeHead(401).end('bad token')
    await expect(eventStream.publishEvent('a', { data: 1 })).rejects.toThrow(
      /takes no events: it answered 401 bad token. Check its URL and key/,
    )
    expect(proxy.requests).toHaveLength(1)
    expect(errors).toMatchObject([{ code: 'ERR_PROXY_REFUSED' }])
  })

  test('has no more waiting for it than its queue may hold', async () => {
    const { proxy, eventStream } = await setUp()
    const answers: (() => void)[] = []
    proxy.behave = (res) => answers.push(() => res.end())
    const data = 'x'.repeat(800_000)
    const published = Array.from({ length: 30 }, (_, n) =>
      eventStream.publishEvent(`c${n}`, { data }).then(
        () => 'published',
        (error: Error) => error.message,
      ),
    )
    const messages = await Promise.race(published.slice(-1))
    expect(messages).toMatch(/bytes wait for the GRIP proxy .* already; await what you publish/)
    expect(eventStream.health().proxies[0]?.queuedBytes).toBeLessThanOrEqual(16_777_216)
    proxy.behave = (res) => res.end()
    for (const answer of answers) answer()
    const results = await Promise.all(published)
    expect(results.filter((result) => result === 'published')).toHaveLength(20)
    // Who has missed something is told to ask for it.
    await until(() => proxy.items.some(({ channel, id }) => channel === 'events-c29' && !id))
  }, 20_000)
})

describe('a Writable', () => {
  test('is as fast as the proxy', async () => {
    const { proxy, eventStream } = await setUp()
    const answers: (() => void)[] = []
    proxy.behave = (res) => answers.push(() => res.end())
    let produced = 0
    const source = Readable.from(
      (function* produce() {
        for (; produced < 1000; produced++) yield { data: produced }
      })(),
    )
    const done = pipeline(source, eventStream.createChannelWritable('a', { highWaterMark: 8 }))
    await until(() => answers.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(produced).toBeLessThan(100)
    proxy.behave = (res) => res.end()
    answers[0]?.()
    await done
    expect(proxy.items.map(dataOf)).toEqual(Array.from({ length: 1000 }, (_, n) => String(n)))
  })

  test('goes on past a proxy that is away, since what it writes is in the log', async () => {
    const log = memoryEventLog()
    const { proxy, eventStream, errors } = await setUp({ log })
    await proxy.stop()
    const source = Readable.from(Array.from({ length: 200 }, (_, n) => ({ data: n })))
    await pipeline(source, eventStream.createChannelWritable('a'))
    const { entries } = await log.read('a', 'earliest', { maxEvents: 999, maxLength: 9999 })
    expect(entries).toHaveLength(200)
    expect(errors).toMatchObject([{ code: 'ERR_PROXY_UNAVAILABLE' }])
  }, 15_000)
})
