import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { formatEntryId, seqOf } from '../../../src/core/entry-id.js'
import { encodeEnding, endId, isEndId, parseEnding } from '../../../src/core/stream-end.js'
import type { StoredEvent } from '../../../src/log/event-log.js'
import type { StreamInfo, StreamLog } from '../../../src/log/stream-log.js'
import {
  type MinimalStreamLogOptions,
  minimalStreamLog,
} from '../../../src/resumable/generic/minimal-log.js'
import { streamLogSuite } from '../../../src/testing/stream-log-suite.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
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
async function open(own: Partial<MinimalStreamLogOptions> = {}, url = server.url) {
  const clients = await plainClients(url)
  const log = minimalStreamLog({ ...clients, prefix: 'test', pollMs: 50, ...own })
  closers.push(async () => {
    await log.close()
    await clients.close()
  })
  return log
}

function claim(token = 'mine', leaseMs = 60_000) {
  return { token, leaseMs, limits }
}

function production(entries: readonly StoredEvent[], leaseMs = 60_000) {
  return { token: 'mine', leaseMs, limits, entries }
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

async function begin(log: StreamLog, channel: string, leaseMs?: number): Promise<string> {
  return ((await log.claim(channel, claim('mine', leaseMs))).info as StreamInfo).origin
}

describeWithRedis('minimalStreamLog', () => {
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

  describe('between two processes', () => {
    const both = async (): Promise<StreamLog> => {
      const [producer, reader] = [await open(), await open()]
      return {
        append: () => reader.append('', []),
        closeChannel: () => reader.closeChannel(''),
        claim: (...args) => producer.claim(...args),
        produce: (...args) => producer.produce(...args),
        renew: (...args) => producer.renew(...args),
        endStream: (...args) => reader.endStream(...args),
        inspect: (...args) => reader.inspect(...args),
        read: (...args) => reader.read(...args),
        heads: (...args) => reader.heads(...args),
        follow: (...args) => reader.follow(...args),
        close: async () => {
          await producer.close()
          await reader.close()
        },
      }
    }
    streamLogSuite(test, both, { streamsOnly: true })
  })

  test('elects one of all processes', async () => {
    const logs = await Promise.all(Array.from({ length: 5 }, () => open()))
    const claimed = await Promise.all(logs.map((log, i) => log.claim('election', claim(`t${i}`))))
    expect(claimed.filter(({ outcome }) => outcome === 'owned')).toHaveLength(1)
    expect(claimed.filter(({ outcome }) => outcome === 'taken')).toHaveLength(4)
    for (const { info } of claimed) expect(info).toEqual(claimed[0]?.info)
  })

  test('elects anew when the first one has died before it could say so', async () => {
    await server.cli('INCR', 'test:dead:claim')
    const [a, b] = [await open(), await open()]
    const outcomes = await Promise.all([a.claim('dead', claim('a')), b.claim('dead', claim('b'))])
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['owned', 'taken'])
  })

  test('reads 10 MB in few round trips, wherever it begins', async () => {
    const [producer, reader] = [await open(), await open()]
    const origin = await begin(producer, 'large')
    const texts = Array.from({ length: 100_000 }, (_, i) => `${i} `.padEnd(100, 'token '))
    const entries = made(origin, texts)
    for (let i = 0; i < entries.length; i += 200) {
      expect(await producer.produce('large', production(entries.slice(i, i + 200)))).toBe(
        'appended',
      )
    }
    await server.resetStats()
    const read: StoredEvent[] = []
    for (let from = origin; read.length < entries.length; ) {
      const page = await reader.read('large', from, { maxEvents: 5000, maxLength: 500_000 })
      read.push(...page.entries)
      from = page.entries.at(-1)?.id as string
    }
    expect(read).toEqual(entries)
    const { get } = await server.commandCalls()
    expect(get?.calls).toBeLessThan(600)
    const middle = entries[54_321] as StoredEvent
    const page = await reader.read('large', middle.id, { ...all, maxEvents: 2 })
    expect(page).toMatchObject({ entries: entries.slice(54_322, 54_324), gap: undefined })
    const last = await reader.read('large', { last: 3 }, all)
    expect(last.entries).toEqual(entries.slice(-3))
    const keys = (await server.cli('KEYS', 'test:large*')) as string[]
    for (const key of keys) expect(await server.cli('TTL', key)).toBeGreaterThan(0)
  })

  test('keeps every text to the letter, in messages, in the state and in pages', async () => {
    const [producer, reader] = [await open(), await open()]
    const texts = ['', '\0', '😀', '\ud83d', '\ude00\ud83d', '=', '="x"', 'DONE', '\r\n\u2028', '0']
    const origin = await begin(producer, 'letters')
    const seen: StoredEvent[] = []
    const listener = {
      append: (some: readonly StoredEvent[]) => void seen.push(...some),
      suspect: () => undefined,
    }
    await reader.follow('letters', listener)
    const entries = made(origin, texts)
    await producer.produce('letters', production(entries))
    await until(() => seen.length === texts.length)
    expect(seen).toEqual(entries)
    expect((await reader.read('letters', origin, all)).entries).toEqual(entries)
    const large = made(entries.at(-1)?.id as string, ['x'.repeat(100_000)])
    await producer.produce('letters', production(large))
    expect((await reader.read('letters', origin, all)).entries).toEqual([...entries, ...large])
  })

  test('finds what a lost message would have told', async () => {
    const [producer, clients] = [await open(), await plainClients(server.url)]
    const deaf = { ...clients.subscriber, subscribe: async () => undefined }
    const reader = await open({ subscriber: deaf })
    closers.push(() => clients.close())
    const origin = await begin(producer, 'deaf')
    const seen: StoredEvent[] = []
    const listener = {
      append: (some: readonly StoredEvent[]) => void seen.push(...some),
      suspect: () => undefined,
    }
    await reader.follow('deaf', listener)
    const entries = made(origin, ['a', 'b'])
    await producer.produce('deaf', production(entries))
    await until(() => seen.length === 2)
    expect(seen).toEqual(entries)
  })

  test('fences a producer whose stream was stopped elsewhere, while it produces', async () => {
    const [producer, other] = [await open(), await open()]
    const origin = await begin(producer, 'stopped')
    const appended: StoredEvent[] = []
    const producing = (async () => {
      for (let after = origin; ; ) {
        const entries = made(after, ['token'])
        const produced = await producer.produce('stopped', production(entries))
        if (produced !== 'appended') return produced
        appended.push(...entries)
        after = entries[0]?.id as string
      }
    })()
    await until(() => appended.length > 20)
    const info = await other.endStream('stopped', aborted)
    expect(await producing).toBe('ended')
    expect(info?.end && parseEnding(info.end)).toEqual({ state: 'aborted' })
    const page = await other.read('stopped', origin, all)
    expect(page.entries).toEqual([...appended, info?.end])
    expect(await producer.inspect('stopped')).toEqual(info)
  })

  test('takes the first end when producer and others end at once', async () => {
    for (let i = 0; i < 20; i++) {
      const [producer, other] = [await open(), await open()]
      const origin = await begin(producer, `ends-${i}`)
      const end = { id: endId(origin), prevId: origin, ...completed }
      const [produced, info] = await Promise.all([
        producer.produce(`ends-${i}`, production([end])),
        other.endStream(`ends-${i}`, aborted),
      ])
      expect(info?.end?.data).toBe(produced === 'appended' ? completed.data : aborted.data)
      expect(await producer.inspect(`ends-${i}`)).toEqual(info)
    }
  })

  test('tells followers of a producer that has died that it is orphaned', async () => {
    const [producer, reader] = [await open(), await open()]
    const origin = await begin(producer, 'killed', 300)
    const seen: StoredEvent[] = []
    const listener = {
      append: (some: readonly StoredEvent[]) => void seen.push(...some),
      suspect: () => undefined,
    }
    await reader.follow('killed', listener)
    await producer.close()
    await until(() => seen.some(({ id }) => isEndId(id)))
    expect(seen[0]?.prevId).toBe(origin)
    expect(parseEnding(seen[0] as StoredEvent)).toEqual({ state: 'orphaned' })
  })

  test('rejects while the store is away, and goes on where it was', async () => {
    const proxy = await TcpProxy.start(server.url)
    closers.push(() => proxy.close())
    const log = await open({ commandTimeoutMs: 300 }, proxy.url)
    const origin = await begin(log, 'away')
    proxy.freeze()
    const entries = made(origin, ['a'])
    const away = { code: 'ERR_LOG_UNAVAILABLE' }
    await expect(log.produce('away', production(entries))).rejects.toMatchObject(away)
    await expect(log.inspect('away')).rejects.toMatchObject(away)
    await expect(log.renew([{ channel: 'away', token: 'mine', leaseMs: 1 }])).rejects.toMatchObject(
      away,
    )
    proxy.thaw()
    expect(await log.produce('away', production(entries))).toBe('appended')
    expect((await log.read('away', origin, all)).entries).toEqual(entries)
  })

  test('refuses to keep what is no stream', async () => {
    const log = await open()
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({ code: 'ERR_OPTION' })
    await expect(log.closeChannel('a')).rejects.toMatchObject({ code: 'ERR_OPTION' })
  })

  test('connects clients that are not, and ends only those connections', async () => {
    const lazy = [createClient({ url: server.url }), createClient({ url: server.url })] as const
    const given = new Redis(server.port, '127.0.0.1')
    const subscriber = new Redis(server.port, '127.0.0.1', { lazyConnect: true })
    closers.push(() => given.disconnect())
    const a = minimalStreamLog({ publisher: lazy[0], subscriber: lazy[1], prefix: 'clients' })
    const b = minimalStreamLog({ publisher: given, subscriber, prefix: 'clients' })
    const origin = await begin(a, 'stream')
    const seen: StoredEvent[] = []
    const listener = {
      append: (some: readonly StoredEvent[]) => void seen.push(...some),
      suspect: () => undefined,
    }
    for (const log of [a, b]) await log.follow('stream', listener)
    await a.produce('stream', production(made(origin, ['x'])))
    await until(() => seen.length === 2)
    await a.close()
    await b.close()
    expect(lazy.map(({ isOpen }) => isOpen)).toEqual([false, false])
    expect(given.status).toBe('ready')
    await until(() => subscriber.status === 'end')
    const channels = await server.cli('PUBSUB', 'CHANNELS', 'clients*')
    expect(channels).toEqual([])
  })

  test('leaves no subscription behind when nobody follows any more', async () => {
    const log = await open()
    const listener = { append: () => undefined, suspect: () => undefined }
    const leaves = await Promise.all([1, 2, 3].map(() => log.follow('left', listener)))
    for (const leave of leaves) leave()
    await until(async () => {
      const channels = (await server.cli('PUBSUB', 'CHANNELS', 'test:left*')) as string[]
      return channels.length === 0
    })
  })
})
