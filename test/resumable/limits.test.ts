import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { streamName } from '../../src/core/log-names.js'
import { encodeFields } from '../../src/core/wire.js'
import { type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { resilience } from '../../src/resilience.js'
import { createContext } from '../../src/resumable/context.js'
import { resolveStreamsOptions } from '../../src/resumable/options.js'
import { setUp } from '../support/app.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Faucet } from '../support/faucet.js'
import { ownStreamLog } from '../support/own-stream-log.js'
import { openLog, type StoreName, type StreamStore, startStore } from '../support/stream-stores.js'
import { until } from '../support/until.js'

/** An app whose streams run until the test ends them; `x-key` and `x-user` say who asks. */
async function serveAnswers(options: EventStreamOptions = {}) {
  const { app, eventStream, serve, errors } = setUp({
    connectionKey: ({ headers }) => headers['x-key'] as string | undefined,
    ...options,
  })
  const running = new Map<string, Faucet<string>>()
  const source = (_req: unknown, { id }: { readonly id: string }) => {
    const faucet = new Faucet<string>()
    running.set(id, faucet)
    return faucet
  }
  const track = {
    type: 'answer',
    user: ({ headers }: { headers: Record<string, unknown> }) => headers['x-user'] as string,
  }
  app.get('/answers/:id', eventStream.streams.handler('{id}', source))
  app.get('/tracked/:id', eventStream.streams.handler('{id}', source, { track }))
  app.get('/following/:id', eventStream.streams.handler('{id}'))
  const get = await serve()
  const ask = (id: string, headers: Record<string, string> = {}, path = 'answers') =>
    get(`/${path}/${id}`, { headers })
  const end = async (id: string) => {
    running.get(id)?.end()
    await until(async () => (await eventStream.streams.status(id))?.state === 'completed')
  }
  return { eventStream, errors, get, ask, end, running }
}

const isSentAway = (text: string) => /^retry: \d+\n$/.test(text)

describe('streams that run in a process', () => {
  test('are so many at most, however many strangers start one and leave', async () => {
    const { eventStream } = setUp({ streams: { maxRunning: 50 } })
    const running: Faucet<string>[] = []
    const source = () => {
      const faucet = new Faucet<string>()
      running.push(faucet)
      return faucet
    }
    const texts: string[] = []
    for (let n = 0; n < 3000; n++) {
      const request = new Request(`http://x/${n}`)
      const response = await eventStream.streams.fetch(request, `stranger-${n}`, source)
      expect(response.status).toBe(200)
      const reader = (response.body as ReadableStream<Uint8Array>).getReader()
      texts.push(Buffer.from((await reader.read()).value ?? '').toString())
      await reader.cancel()
    }
    expect([running.length, texts.filter(isSentAway).length]).toEqual([50, 2950])
    expect(eventStream.connections()).toHaveLength(0)
    expect(eventStream.metrics().connections.sentAway.admission).toBe(2950)
    for (const faucet of running) faucet.end()
  }, 60_000)

  test('are 1000 at most by default, and 20 of one owner', async () => {
    const { eventStream } = setUp()
    const { streams } = eventStream
    const started: Faucet<string>[] = []
    const source = () => {
      const faucet = new Faucet<string>()
      started.push(faucet)
      return faucet
    }
    const user = (n: number) => ({ track: { type: 'answer', user: n } })
    for (let n = 0; n < 20; n++) await streams.create(`of-7-${n}`, source, user(7))
    await expect(streams.create('of-7-more', source, user(7))).rejects.toMatchObject({
      code: 'ERR_STREAM_KEY_LIMIT',
      status: 429,
    })
    for (let n = 20; n < 1000; n++) await streams.create(`of-none-${n}`, source)
    await expect(streams.open('one-more', source)).rejects.toMatchObject({
      code: 'ERR_STREAM_LIMIT',
      status: 503,
      message: expect.stringContaining('1000'),
    })
    expect((await streams.open('of-7-1', source, user(7))).isNew).toBe(false)
    expect(started).toHaveLength(1000)
    for (const faucet of started) faucet.end()
    await until(() => streams.log.producers.length === 0)
    expect((await streams.open('one-more', [], user(7))).isNew).toBe(true)
  })

  test('are followed by whoever may start none, and started once there is room', async () => {
    const { ask, end, running } = await serveAnswers({ streams: { maxRunning: 1 } })
    const first = await (await ask('a')).opened()
    const full = await ask('b')
    await full.end()
    expect([full.status, isSentAway(full.text)]).toEqual([200, true])
    const second = await (await ask('a')).opened()
    running.get('a')?.give('x')
    await Promise.all([first.received(1), second.received(1)])
    await end('a')
    await (await ask('b')).opened()
    const ended = await ask('a')
    await ended.end()
    expect(ended.data).toEqual(['x'])
    await end('b')
  })

  test('are so many at most of one key or owner, whatever others start', async () => {
    const { ask, end } = await serveAnswers({ streams: { maxRunningPerKey: 2 } })
    const opened = async (...args: Parameters<typeof ask>) => (await ask(...args)).opened()
    await opened('a', { 'x-key': 'ann' })
    await opened('b', { 'x-key': 'ann' })
    const third = await ask('c', { 'x-key': 'ann' })
    await third.end()
    expect(isSentAway(third.text)).toBe(true)
    await opened('d', { 'x-key': 'bob' })
    await opened('e')
    // An owner counts as such, from whichever address he comes.
    await opened('f', { 'x-key': 'ann', 'x-user': 'ann' }, 'tracked')
    await opened('g', { 'x-key': 'bob', 'x-user': 'ann' }, 'tracked')
    const owned = await ask('h', { 'x-key': 'carl', 'x-user': 'ann' }, 'tracked')
    await owned.end()
    expect(isSentAway(owned.text)).toBe(true)
    await opened('h', { 'x-key': 'carl' }, 'tracked')
    await end('a')
    await opened('c', { 'x-key': 'ann' })
    for (const id of ['b', 'c', 'd', 'e', 'f', 'g', 'h']) await end(id)
  })

  test('are refused by status where the application wants that', async () => {
    const { ask, end, eventStream, errors } = await serveAnswers({
      whenUnavailable: 'reject',
      streams: { maxRunning: 2, maxRunningPerKey: 1 },
    })
    await (await ask('a', { 'x-key': 'ann' })).opened()
    const own = await ask('b', { 'x-key': 'ann' })
    expect([own.status, Number(own.headers['retry-after'])]).toEqual([429, expect.any(Number)])
    await (await ask('c', { 'x-key': 'bob' })).opened()
    const full = await ask('d', { 'x-key': 'carl' })
    expect([full.status, Number(full.headers['retry-after'])]).toEqual([503, expect.any(Number)])
    const options = { connectionKey: () => 'ann' }
    const asked = eventStream.streams.fetch(new Request('http://x/'), 'e', () => [], options)
    await expect(asked).rejects.toMatchObject({ code: 'ERR_STREAM_LIMIT', status: 503 })
    expect(errors).toMatchObject([{ code: 'ERR_STREAM_KEY_LIMIT' }, { code: 'ERR_STREAM_LIMIT' }])
    await Promise.all([end('a'), end('c')])
  })

  test('do not count for who is not the one that started them', async () => {
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { log } = ownStreamLog((inner) => ({
      inspect: async (...args) => {
        await held
        return inner.inspect(...args)
      },
    }))
    const { ask, end } = await serveAnswers({ log, streams: { maxRunningPerKey: 1 } })
    await (await ask('a', { 'x-key': 'ann' })).opened()
    const [over, other] = [ask('b', { 'x-key': 'ann' }), ask('b', { 'x-key': 'bob' })]
    setTimeout(release, 100)
    const [refused, started] = await Promise.all([over, other])
    await refused.end()
    expect(isSentAway(refused.text)).toBe(true)
    await started.opened()
    await Promise.all([end('a'), end('b')])
    await log.close()
  })

  test('of a context have the limit of the process', async () => {
    const context = createContext({
      log: memoryEventLog(),
      options: resolveStreamsOptions({ maxRunning: 1 }),
      keyPrefix: 'limits',
      waitUntil: null,
      serveEnded: false,
      onError: () => undefined,
    })
    const source = new Faucet<string>()
    await context.createNewResumableStream('a', () => ReadableStream.from(source))
    const second = context.resumableStream('b', () => ReadableStream.from(new Faucet<string>()))
    await expect(second).rejects.toMatchObject({ code: 'ERR_STREAM_LIMIT' })
    source.end()
    await context.close()
  })
})

describe('what streams hold, in memory,', () => holds('memory'))
describeWithRedis('what streams hold, in Redis,', () => holds('redis'))
describeWithPostgres('what streams hold, in Postgres,', () => holds('postgres'))

describe('what waits for a reader in code that is slow', () => {
  test('is little, and the rest is read from the log', async () => {
    let reads = 0
    const { log } = ownStreamLog((inner) => ({
      read: (...args) => {
        reads += 1
        return inner.read(...args)
      },
    }))
    const [{ eventStream: producing }, { eventStream: other }] = [setUp({ log }), setUp({ log })]
    const source = new Faucet<string>()
    const { ended } = await producing.streams.create('a', source)
    source.give('first')
    const reader = (await other.streams.read('a')).getReader()
    expect((await reader.read()).value?.data).toBe('first')
    const next = reader.read()
    const chunk = 'x'.repeat(200_000)
    source.give(...Array.from({ length: 40 }, () => chunk))
    source.end()
    await ended
    const before = reads
    expect((await next).value?.data).toBe(chunk)
    let length = chunk.length
    for (;;) {
      const { value, done } = await reader.read()
      if (done) break
      length += (value.data as string).length
    }
    expect(length).toBe(40 * chunk.length)
    expect(reads - before).toBeGreaterThan(15)
    await log.close()
  })
})

function holds(name: StoreName | 'memory'): void {
  let store: StreamStore | undefined
  const logs: StreamLog[] = []

  beforeAll(async () => {
    if (name !== 'memory') store = await startStore(name)
  })

  afterAll(async () => {
    for (const log of logs) await log.close()
    await store?.stop()
  })

  const open = (options: EventStreamOptions = {}) => {
    const log = openLog(name, store?.url ?? '')
    logs.push(log)
    const errors: unknown[] = []
    const { eventStream } = setUp({ log, onError: (error) => errors.push(error), ...options })
    return { eventStream, errors, log, ...resilience(eventStream) }
  }

  const large = 'x'.repeat(20_000_000)
  const tooLarge = { code: 'ERR_EVENT_TOO_LARGE' }

  test('is no end of 20 MB: neither its result nor its reason', async () => {
    const { eventStream, registry, completions, sendStreamEvent } = open()
    await registry.register({ streamId: 'job' })
    const store = (completion: object) => completions.storeCompletion('job', completion)
    await expect(store({ result: large })).rejects.toMatchObject(tooLarge)
    await expect(store({ result: { lines: ['\u0001'.repeat(200_000)] } })).rejects.toMatchObject(
      tooLarge,
    )
    await expect(store({ reason: large })).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringContaining('16384 characters'),
    })
    await expect(eventStream.streams.stop('job', large)).rejects.toMatchObject({
      code: 'ERR_OPTION',
    })
    await expect(sendStreamEvent('job', 'done', large, true)).rejects.toMatchObject(tooLarge)
    const event = { event: 'done', data: large }
    await expect(completions.storeEvent('job', event)).rejects.toMatchObject(tooLarge)
    expect((await eventStream.streams.status('job'))?.state).toBe('active')
    const reason = 'y'.repeat(16_384)
    expect(await store({ result: 'x'.repeat(1_000_000), reason })).toBe(true)
  })

  test('is no chunk of a source that is larger than an event: text and bytes come in pieces', async () => {
    const maxEventBytes = 4096
    const { eventStream, errors, log } = open({ maxEventBytes })
    const text = `${'é'.repeat(5000)}${'\u0001'.repeat(3000)}${'😀'.repeat(2000)}end`
    const bytes = new Uint8Array(10_000).map((_, i) => i)
    const { ended, origin } = await eventStream.streams.create('pieces', [text, bytes, ''])
    await ended
    const pieces: unknown[] = []
    for await (const { data } of await eventStream.streams.read('pieces')) pieces.push(data)
    expect(pieces.pop()).toBe('')
    const isText = (piece: unknown) => typeof piece === 'string'
    expect(pieces.filter(isText).join('')).toBe(text)
    const binary = pieces.filter((piece) => !isText(piece)) as Uint8Array[]
    expect(Buffer.concat(binary)).toEqual(Buffer.from(bytes))
    const page = { maxEvents: 1000, maxLength: 10_000_000 }
    const { entries } = await log.read(streamName('pieces'), origin, page)
    const sizes = entries.map((entry) => Buffer.byteLength(encodeFields(entry)))
    expect(Math.max(...sizes)).toBeLessThanOrEqual(maxEventBytes)
    // They are as large as they may be, but for what escapes take.
    expect(entries.length).toBeLessThan(40)
    const event = { event: 'tool', data: 'x'.repeat(maxEventBytes) }
    await (await eventStream.streams.create('event', [event])).ended
    expect(errors).toMatchObject([{ code: 'ERR_STREAM_SOURCE', cause: tooLarge }])
    expect(await eventStream.streams.status('event')).toMatchObject({ state: 'failed' })
  })

  test('is written at once when its source has to wait for that', async () => {
    const { eventStream } = open({ streams: { maxAheadBytes: 10_000, flushMs: 1000 } })
    const startedAt = performance.now()
    const chunks = Array.from({ length: 2000 }, () => '')
    await (await eventStream.streams.create('small', chunks)).ended
    // Fewer than 40 chunks fit, so their writes would take 50 s one second apart.
    expect(performance.now() - startedAt).toBeLessThan(15_000)
    expect((await eventStream.streams.status('small'))?.lastEventId).toBe('2001-0')
  })

  test('is no more of a huge chunk than a stream may be ahead', async () => {
    const { eventStream } = open({ streams: { maxAheadBytes: 1_000_000 } })
    let peak = 0
    const watch = setInterval(() => {
      peak = Math.max(peak, eventStream.streams.log.get(streamName('huge'))?.aheadBytes ?? 0)
    }, 1)
    const { ended } = await eventStream.streams.create('huge', [large])
    let length = 0
    for await (const { data } of await eventStream.streams.read('huge')) {
      length += (data as string).length
    }
    await ended
    clearInterval(watch)
    expect(length).toBe(large.length)
    // Memory has each piece in the turn in which it is made.
    if (name !== 'memory') expect(peak).toBeGreaterThan(0)
    expect(peak).toBeLessThan(1_000_000 + 270_000)
  })
}
