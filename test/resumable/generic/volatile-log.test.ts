import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { formatEntryId, seqOf } from '../../../src/core/entry-id.js'
import { encodeEnding, endId, isEndId, parseEnding } from '../../../src/core/stream-end.js'
import type { LogListener, StoredEvent } from '../../../src/log/event-log.js'
import type { StreamInfo, StreamLog } from '../../../src/log/stream-log.js'
import {
  type VolatileStreamLogOptions,
  volatileStreamLog,
} from '../../../src/resumable/generic/volatile-log.js'
import { streamLogSuite } from '../../../src/testing/stream-log-suite.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { spawnTypeScript } from '../../support/spawn-typescript.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'
import { plainClients } from './plain-clients.js'

const limits = { maxEvents: 1_000_000, maxBytes: 100_000_000, maxAgeMs: 60_000 }
const all = { maxEvents: 1_000_000, maxLength: 100_000_000 }
const completed = encodeEnding({ state: 'completed' })
const aborted = encodeEnding({ state: 'aborted' })

let server: RedisServer
const closers: (() => unknown)[] = []

/** A log with two connections of its own, as if it were in another process. */
async function open(own: Partial<VolatileStreamLogOptions> = {}): Promise<StreamLog> {
  const [publisher, subscriber] = [new Redis(server.url), new Redis(server.url)]
  const log = volatileStreamLog({ publisher, subscriber, prefix: 'test', aliveMs: 100, ...own })
  closers.push(async () => {
    await log.close()
    for (const client of [publisher, subscriber]) client.disconnect()
  })
  return log
}

/** The same through plain objects, which tell nobody how many got a message. */
async function openPlain(own: Partial<VolatileStreamLogOptions> = {}, url = server.url) {
  const clients = await plainClients(url)
  const log = volatileStreamLog({ ...clients, prefix: 'test', aliveMs: 100, ...own })
  closers.push(async () => {
    await log.close()
    await clients.close()
  })
  return log
}

function claim(token = 'mine') {
  return { token, leaseMs: 60_000, limits }
}

function production(entries: readonly StoredEvent[]) {
  return { token: 'mine', leaseMs: 60_000, limits, entries }
}

function made(after: string, data: readonly string[]): StoredEvent[] {
  let prevId = after
  return data.map((text) => {
    const id = formatEntryId(seqOf(prevId) + 1, 1 + Math.floor(Math.random() * 2 ** 31))
    const entry = { id, prevId, event: undefined, data: text }
    prevId = id
    return entry
  })
}

function ended(after: string): StoredEvent[] {
  return [{ id: endId(after), prevId: after, ...completed }]
}

async function begin(log: StreamLog, channel: string): Promise<string> {
  return ((await log.claim(channel, claim())).info as StreamInfo).origin
}

async function infoOf(log: StreamLog, channel: string): Promise<StreamInfo | undefined> {
  return (await log.inspect(channel)) as StreamInfo | undefined
}

/** Follows a stream from its beginning, as a reader does. */
async function follow(log: StreamLog, channel: string, from: string) {
  const seen: StoredEvent[] = []
  const take = (entries: readonly StoredEvent[]) => {
    for (const entry of entries) {
      if (entry.prevId === (seen.at(-1)?.id ?? from)) seen.push(entry)
      else if (seqOf(entry.id) > seqOf(seen.at(-1)?.id ?? from)) void catchUp()
    }
  }
  const catchUp = async () => {
    const page = await log.read(channel, seen.at(-1)?.id ?? from, all)
    take(page.entries)
  }
  const listener: LogListener = { append: take, suspect: () => void catchUp() }
  const leave = await log.follow(channel, listener)
  await catchUp()
  return { seen, leave }
}

async function subscriptions(): Promise<readonly string[]> {
  return (await server.cli('PUBSUB', 'CHANNELS', 'test*')) as string[]
}

describeWithRedis('volatileStreamLog', () => {
  beforeAll(async () => {
    server = await RedisServer.start()
  })

  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })

  afterAll(async () => {
    await server.stop()
  })

  describe('in one process', () => {
    streamLogSuite(test, () => open(), { streamsOnly: true })
  })

  test('costs the store four commands for a stream that nobody follows', async () => {
    const log = await open()
    await begin(log, 'warm-up')
    const client = new Redis(server.url)
    const monitor = await client.monitor()
    closers.push(() => [client, monitor].map((it) => it.disconnect()))
    const commands: string[][] = []
    monitor.on('monitor', (_time: string, args: string[]) => commands.push(args))
    const origin = await begin(log, 'cheap')
    const entries = made(origin, Array<string>(100).fill('token'))
    for (const entry of entries) {
      await log.produce('cheap', production([entry]))
      await log.renew([{ channel: 'cheap', token: 'mine', leaseMs: 60_000 }])
    }
    await log.produce('cheap', production(ended(entries.at(-1)?.id as string)))
    await until(() => commands.some(([name]) => name?.toLowerCase() === 'unsubscribe'))
    const own = commands.map(([name, ...rest]) => [name?.toLowerCase(), ...rest])
    expect(own).toEqual([
      ['subscribe', 'test:cheap:ask'],
      ['incr', 'test:cheap'],
      ['set', 'test:cheap', 'DONE', 'EX', '60'],
      ['unsubscribe', 'test:cheap:ask'],
    ])
    expect(await server.cli('TTL', 'test:cheap')).toBeGreaterThan(0)
  })

  test.each([
    ['clients', open],
    ['plain-objects', openPlain],
  ])('lets another process read, follow and stop a stream through %s', async (name, openLog) => {
    const channel = `shared-${name}`
    const [producer, reader] = [await openLog(), await openLog()]
    const origin = await begin(producer, channel)
    const texts = ['', '\0', '😀', '\ud83d', '=', 'DONE', '"\r\n\u2028']
    const first = made(origin, texts)
    await producer.produce(channel, production(first))
    expect((await reader.claim(channel, claim('other'))).outcome).toBe('taken')
    expect(await reader.produce(channel, production(first))).toBe('taken')
    expect(await reader.inspect(channel)).toEqual(await producer.inspect(channel))
    expect(await reader.heads([channel, 'nothing'])).toEqual(
      await producer.heads([channel, 'nothing']),
    )
    const { seen } = await follow(reader, channel, origin)
    const second = made(first.at(-1)?.id as string, texts)
    for (const entry of second) await producer.produce(channel, production([entry]))
    await until(() => seen.length === 2 * texts.length)
    expect(seen).toEqual([...first, ...second])
    const info = await reader.endStream(channel, aborted)
    expect(info).toEqual(await producer.inspect(channel))
    await until(() => seen.some(({ id }) => isEndId(id)))
    expect(parseEnding(seen.at(-1) as StoredEvent)).toEqual({ state: 'aborted' })
    expect(
      await producer.produce(channel, production(made(seen.at(-2)?.id as string, ['x']))),
    ).toBe('ended')
  })

  test('reads what is large in pages that are asked for one by one', async () => {
    const [producer, reader] = [await open(), await open()]
    const origin = await begin(producer, 'pages')
    const entries = made(origin, [
      ...Array.from({ length: 500 }, (_, i) => `${i}`.padEnd(1000, '\0')),
      '€'.repeat(1_000_000),
      'end',
    ])
    await producer.produce('pages', production(entries))
    expect(await reader.read('pages', origin, all)).toEqual(
      await producer.read('pages', origin, all),
    )
    const limit = { maxEvents: 300, maxLength: 1_000_000 }
    expect((await reader.read('pages', origin, limit)).entries).toEqual(entries.slice(0, 300))
  })

  test('has one subscription for all answers, and leaves none behind', async () => {
    const [producer, reader] = [await open(), await open()]
    const leaves = []
    for (const name of ['one', 'two', 'three']) {
      const origin = await begin(producer, name)
      leaves.push((await follow(reader, name, origin)).leave)
    }
    const replies = async () => (await subscriptions()).filter((name) => name.includes(':replies:'))
    expect(await replies()).toHaveLength(1)
    await reader.close()
    expect(await replies()).toHaveLength(0)
    await producer.close()
    expect(await subscriptions()).toEqual([])
  })

  test('keeps an ended stream for those who follow it, and lets it go when they leave', async () => {
    const [producer, reader, late] = [await open(), await open(), await open()]
    const origin = await begin(producer, 'over')
    const { seen, leave } = await follow(reader, 'over', origin)
    const entries = made(origin, ['a', 'b'])
    await producer.produce('over', production([...entries, ...ended(entries[1]?.id as string)]))
    expect((await infoOf(late, 'over'))?.end?.data).toBe(completed.data)
    await until(() => seen.length === 3)
    expect((await reader.read('over', origin, all)).entries).toEqual(seen)
    const page = await late.read('over', origin, all)
    expect(page.gap).toBe('unknown')
    expect((await late.claim('over', claim('late'))).outcome).toBe('ended')
    leave()
    await until(async () => !(await subscriptions()).includes('test:over:ask'))
    expect((await reader.read('over', 'earliest', all)).gap).toBe('unknown')
    expect((await producer.read('over', origin, all)).entries).toEqual(seen)
  })

  test('begins for a process that waited for it', async () => {
    const [producer, reader] = [await open(), await open()]
    const [origin] = await reader.heads(['awaited'])
    const { seen } = await follow(reader, 'awaited', origin as string)
    await begin(producer, 'awaited')
    const entries = made(origin as string, ['a'])
    await producer.produce('awaited', production(entries))
    await until(() => seen.length === 1)
    expect(seen).toEqual(entries)
  })

  test.each([
    ['clients', open],
    ['plain-objects', openPlain],
  ])('is orphaned for followers once its process was killed, with %s', async (name, openLog) => {
    const channel = `killed-${name}`
    const child = spawnTypeScript(producerScript, server.url, channel)
    closers.push(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const reader = await openLog({ replyTimeoutMs: 300 })
    const origin = (await infoOf(reader, channel))?.origin as string
    const { seen } = await follow(reader, channel, origin)
    await until(() => seen.length > 5)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await until(() => seen.some(({ id }) => isEndId(id)))
    expect(parseEnding(seen.at(-1) as StoredEvent)).toEqual({ state: 'orphaned' })
    expect((await reader.read(channel, seen.at(-2)?.id as string, all)).entries).toEqual(
      seen.slice(-1),
    )
    const late = await openLog()
    const info = await infoOf(late, channel)
    expect(info?.end && parseEnding(info.end)).toEqual({ state: 'orphaned' })
    expect((await late.read(channel, origin, all)).gap).toBe('unknown')
    expect(await server.cli('TTL', `test:${channel}`)).toBeGreaterThan(0)
  })

  test('tells whoever asks that a stream is orphaned when nobody is there', async () => {
    await server.cli('INCR', 'test:alone')
    const log = await open()
    const { outcome, info } = await log.claim('alone', claim())
    expect(outcome).toBe('ended')
    expect(info?.end && parseEnding(info.end)).toEqual({ state: 'orphaned' })
  })

  test('serves its own readers while the store is away, and says later that it ended', async () => {
    const proxy = await TcpProxy.start(server.url)
    closers.push(() => proxy.close())
    const log = await openPlain({ commandTimeoutMs: 200 }, proxy.url)
    const origin = await begin(log, 'cut')
    proxy.freeze()
    const { seen } = await follow(log, 'cut', origin)
    const entries = made(origin, ['a'])
    expect(await log.produce('cut', production(entries))).toBe('appended')
    const end = ended(entries[0]?.id as string)
    expect(await log.produce('cut', production(end))).toBe('appended')
    expect(seen).toEqual([...entries, ...end])
    await expect(log.inspect('elsewhere')).rejects.toMatchObject({ code: 'ERR_LOG_UNAVAILABLE' })
    await expect(log.claim('new', claim())).rejects.toMatchObject({ code: 'ERR_LOG_UNAVAILABLE' })
    proxy.thaw()
    await until(async () => (await server.cli('GET', 'test:cut')) === 'DONE')
  })

  test('ignores messages that are none', async () => {
    const [producer, reader] = [await open(), await open()]
    const origin = await begin(producer, 'noise')
    const { seen } = await follow(reader, 'noise', origin)
    for (const channel of await subscriptions()) {
      for (const text of ['', 'x', '={}', '={"kind":"read","id":1,"to":"a"}', '=[1]']) {
        await server.cli('PUBLISH', channel, text)
      }
    }
    const entries = made(origin, ['a'])
    await producer.produce('noise', production(entries))
    await until(() => seen.length === 1)
  })
})

const producerScript = `
import { Redis } from 'ioredis'
import { volatileStreamLog } from '../../src/resumable/generic/volatile-log.js'

const [url, channel] = process.argv.slice(1)
const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 60_000 }
const log = volatileStreamLog({ publisher: new Redis(url), subscriber: new Redis(url), prefix: 'test' })
async function run() {
  const { info } = await log.claim(channel, { token: 'theirs', leaseMs: 60_000, limits })
  console.log('claimed')
  let prevId = info.head
  for (let n = 1; ; n++) {
    const id = n + '-7'
    const entries = [{ id, prevId, event: undefined, data: 'token ' + n }]
    await log.produce(channel, { token: 'theirs', leaseMs: 60_000, limits, entries })
    prevId = id
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
void run()
`
