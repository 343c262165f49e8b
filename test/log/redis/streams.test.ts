import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { encodeEnding, endId } from '../../../src/core/stream-end.js'
import type { RemoteLog, StoredEvent } from '../../../src/log/event-log.js'
import { channelKeys } from '../../../src/log/redis/format.js'
import type { StreamInfo, StreamLog } from '../../../src/log/stream-log.js'
import { type RedisEventLogOptions, redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

const all = { maxEvents: 1000, maxLength: 1_000_000 }
const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 60_000 }
const mine = { token: 'mine', leaseMs: 60_000, limits }

describeWithRedis('streams in Redis', () => {
  let server: RedisServer
  let log: StreamLog & RemoteLog
  const opened: StreamLog[] = []

  beforeAll(async () => {
    server = await RedisServer.start({ appendOnly: 'always' })
  })

  beforeEach(async () => {
    await server.cli('FLUSHALL')
    log = open()
  })

  afterEach(() => Promise.all(opened.splice(0).map((it) => it.close())))

  afterAll(() => server.stop())

  function open(options: Partial<RedisEventLogOptions> = {}): StreamLog & RemoteLog {
    const own = redisEventLog({ redis: server.url, onHealth: () => undefined, ...options })
    opened.push(own)
    return own
  }

  async function ttls(channel: string): Promise<readonly number[]> {
    const [stream, meta] = channelKeys('headwater', channel).keys
    return Promise.all([stream, meta].map(async (key) => Number(await server.cli('PTTL', key))))
  }

  test('have once what was produced when its answer was lost', async () => {
    const proxy = await TcpProxy.start(server.url)
    const own = open({ redis: proxy.url })
    const { origin } = await begin(own, 'a')
    const entries = made(origin, 3)
    // From here on Redis knows the script by its name.
    await own.produce('a', { ...mine, entries: entries.slice(0, 1) })
    await server.cli('CLIENT', 'PAUSE', 60_000, 'WRITE')
    const produced = own.produce('a', { ...mine, entries: entries.slice(1) })
    // Redis has it, and does it once the way back is closed.
    await until(async () => / flags=b /.test(String(await server.cli('CLIENT', 'LIST'))))
    proxy.freeze()
    await server.cli('CLIENT', 'UNPAUSE')
    await until(async () => ((await log.inspect('a')) as StreamInfo).head === entries[2]?.id)
    proxy.cut()
    proxy.thaw()
    proxy.heal()
    expect(await produced).toBe('appended')
    expect((await log.read('a', origin, all)).entries).toEqual(entries)
    await proxy.close()
  })

  test('go on over a restart of a Redis that keeps its data', async () => {
    const { origin } = await begin(log, 'a')
    const entries = made(origin, 4)
    await log.produce('a', { ...mine, entries: entries.slice(0, 2) })
    await server.kill()
    const produced = log.produce('a', { ...mine, entries: entries.slice(2) })
    await server.restart()
    expect(await produced).toBe('appended')
    expect(await log.renew([{ channel: 'a', token: 'mine', leaseMs: 60_000 }])).toEqual([true])
    expect((await log.read('a', origin, all)).entries).toEqual(entries)
  })

  test('are missing when Redis was wiped, and go on where their producer says', async () => {
    const { origin } = await begin(log, 'a')
    const entries = made(origin, 3)
    await log.produce('a', { ...mine, entries: entries.slice(0, 2) })
    await server.cli('FLUSHALL')
    expect(await log.produce('a', { ...mine, entries: entries.slice(2) })).toBe('missing')
    const head = entries[1]?.id as string
    const { outcome } = await log.claim('a', { ...mine, from: { origin, head } })
    expect(outcome).toBe('owned')
    expect(await log.produce('a', { ...mine, entries: entries.slice(2) })).toBe('appended')
    const page = await log.read('a', head, all)
    expect([page.entries, page.gap]).toEqual([entries.slice(2), undefined])
    expect((await log.read('a', origin, all)).gap).toBe('trimmed')
  })

  test('expire as a whole after their own age, which is not that of the log', async () => {
    const own = open({ maxAgeMs: 1000 })
    const { origin } = await begin(own, 'a')
    await own.produce('a', { ...mine, entries: made(origin, 2) })
    await own.read('a', 'earliest', all)
    await own.heads(['a'])
    for (const ttl of await ttls('a')) expect(ttl).toBeGreaterThan(50_000)
    await own.endStream('a', encodeEnding({ state: 'completed' }))
    for (const ttl of await ttls('a')) expect(ttl).toBeGreaterThan(50_000)
    await own.read('ordinary', 'earliest', all)
    expect(Math.max(...(await ttls('ordinary')))).toBeLessThanOrEqual(1000)
  })

  test('leave nothing in Redis after their age', async () => {
    const short = { ...mine, limits: { ...limits, maxAgeMs: 100 } }
    const { info } = await log.claim('a', short)
    await log.produce('a', { ...short, entries: made(info.origin, 2) })
    await until(async () => (await server.cli('DBSIZE')) === 0)
    expect(await log.inspect('a')).toBeUndefined()
    expect(await server.cli('DBSIZE')).toBe(0)
  })

  test('are kept with all their entries while leases are renewed', async () => {
    const { origin } = await begin(log, 'a')
    await log.produce('a', { ...mine, entries: made(origin, 2) })
    const { keys } = channelKeys('headwater', 'a')
    for (const key of keys.slice(0, 2)) await server.cli('PEXPIRE', key, 5000)
    await log.renew([{ channel: 'a', token: 'mine', leaseMs: 60_000 }])
    for (const ttl of await ttls('a')) expect(ttl).toBeGreaterThan(50_000)
  })

  test('renew a hundred leases by one command', async () => {
    const channels = Array.from({ length: 100 }, (_, i) => `a${i}`)
    await Promise.all(channels.map((channel) => begin(log, channel)))
    const leases = channels.map((channel) => ({ channel, token: 'mine', leaseMs: 60_000 }))
    await log.renew(leases)
    await server.resetStats()
    const renewed = await log.renew(leases)
    const { evalsha, eval: text } = await server.commandCalls()
    expect(renewed).toEqual(leases.map(() => true))
    expect([evalsha?.calls, text?.calls]).toEqual([1, undefined])
  })

  test('tell of an orphan whoever follows it, when another process looks', async () => {
    const follower = open({ pollIntervalMs: 60_000 })
    await log.claim('a', { ...mine, leaseMs: 100 })
    const seen: StoredEvent[] = []
    await follower.follow('a', {
      append: (entries) => void seen.push(...entries),
      suspect: () => undefined,
    })
    const [meta] = channelKeys('headwater', 'a').keys.slice(1)
    await until(async () => Number(await server.cli('HGET', meta as string, 'l')) < Date.now())
    const [head] = await log.heads(['a'])
    await until(() => seen.length > 0)
    expect(seen.map(({ id, event, data }) => ({ id, event, data }))).toEqual([
      { id: head, ...encodeEnding({ state: 'orphaned' }) },
    ])
  })

  test('get the end that is overdue from whoever would append', async () => {
    for (const act of [
      () => log.append('a', [{ data: '1' }]),
      () => log.produce('a', { ...mine, entries: made('0-1', 1) }),
    ]) {
      await server.cli('FLUSHALL')
      const { info } = await log.claim('a', { ...mine, leaseMs: 1 })
      const [meta] = channelKeys('headwater', 'a').keys.slice(1)
      await until(async () => Number(await server.cli('HGET', meta as string, 'l')) < Date.now())
      await Promise.resolve(act()).catch(() => undefined)
      const head = await server.cli('HGET', meta as string, 'h')
      expect(head).toBe(endId(info.origin))
    }
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_CHANNEL_CLOSED',
    })
    await expect(log.closeChannel('a')).resolves.toBeUndefined()
  })

  test('have their end though their entries were evicted', async () => {
    await begin(log, 'a')
    const info = await log.endStream('a', encodeEnding({ state: 'aborted', reason: '\ud83d' }))
    await server.cli('DEL', channelKeys('headwater', 'a').keys[0])
    expect(info?.end).toMatchObject(encodeEnding({ state: 'aborted', reason: '\ud83d' }))
    expect(await log.inspect('a')).toEqual(info)
  })
})

async function begin(log: StreamLog, channel: string): Promise<StreamInfo> {
  return (await log.claim(channel, mine)).info as StreamInfo
}

function made(after: string, count: number): StoredEvent[] {
  let prevId = after
  const first = Number(after.split('-')[0]) + 1
  return Array.from({ length: count }, (_, i) => {
    const id = `${first + i}-${7000 + i}`
    const entry = { id, prevId, event: 'n', data: String(i + 1) }
    prevId = id
    return entry
  })
}
