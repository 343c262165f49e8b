import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { encodeEnding } from '../../../src/core/stream-end.js'
import { registryKeys } from '../../../src/log/redis/registry-format.js'
import { registryScripts } from '../../../src/log/redis/registry-scripts.js'
import { type RedisClient, type RedisEventLogOptions, redisEventLog } from '../../../src/redis.js'
import { registrySuite } from '../../../src/testing.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { record } from '../../support/records.js'
import { RedisServer } from '../../support/redis-server.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof redisEventLog>

describeWithRedis('the registry in Redis', () => {
  let server: RedisServer
  const opened: Log[] = []

  beforeAll(async () => {
    server = await RedisServer.start({ appendOnly: 'always' })
    // An answer that is lost must not be that Redis does not know the name of a script.
    for (const { source } of Object.values(registryScripts)) {
      await server.cli('SCRIPT', 'LOAD', source)
    }
  })

  beforeEach(() => server.cli('FLUSHALL'))

  afterEach(() => Promise.all(opened.splice(0).map((it) => it.close())))

  afterAll(() => server.stop())

  function open(options: Partial<RedisEventLogOptions> = {}): Log {
    const log = redisEventLog({ redis: server.url, onHealth: () => undefined, ...options })
    opened.push(log)
    return log
  }

  /** How many scripts were run meanwhile. */
  async function scriptsDuring(act: () => Promise<unknown>): Promise<number> {
    await server.resetStats()
    await act()
    const { evalsha, eval: text } = await server.commandCalls()
    return (evalsha?.calls ?? 0) + (text?.calls ?? 0)
  }

  /** What was asked of Redis is done, but its answer is lost. */
  async function losingTheAnswer<Result>(
    act: (log: Log) => Promise<Result>,
    isDone: () => Promise<boolean>,
  ): Promise<Result> {
    const proxy = await TcpProxy.start(server.url)
    const own = open({ redis: proxy.url })
    await own.ready()
    await server.cli('CLIENT', 'PAUSE', 60_000, 'WRITE')
    const result = act(own)
    // Redis has it, and does it once the way back is closed.
    await until(async () => / flags=b /.test(String(await server.cli('CLIENT', 'LIST'))))
    proxy.freeze()
    await server.cli('CLIENT', 'UNPAUSE')
    await until(isDone)
    proxy.cut()
    proxy.thaw()
    proxy.heal()
    try {
      return await result
    } finally {
      await proxy.close()
    }
  }

  const sources: Record<string, () => RedisClient> = {
    ioredis: () => new Redis(server.url, { lazyConnect: true }),
    redis: () => createClient({ url: server.url }),
  }
  describe.each(Object.keys(sources))('with a client of %s', (name) => {
    let registries = 0
    registrySuite(test, async () => {
      registries += 1
      const redis = (sources[name] as () => RedisClient)()
      return redisEventLog({ redis, prefix: `${name}-${registries}`, pollIntervalMs: 200 })
    })
  })

  test('no command has to do with more than two hundred records of ten thousand', async () => {
    const { registry } = open()
    const records = Array.from({ length: 10_000 }, (_, i) => record(`a${i}`, { user: 'bob' }))
    const ids = records.map(({ id }) => id)
    const registered = await scriptsDuring(() => registry.register(records))
    const beats = await scriptsDuring(() => registry.heartbeat(ids))
    const ofUser = await scriptsDuring(() => registry.list({ user: 'bob', limit: 10_000 }))
    const ofSilent = await scriptsDuring(() => registry.list({ silentMs: 0, limit: 10_000 }))
    const counted = await scriptsDuring(() => registry.count(1000))
    const take = { silentMs: 0, holdMs: 60_000 }
    const taken = await scriptsDuring(() => registry.take({ ...take, holder: 'a', limit: 9990 }))
    // They are behind all that somebody holds.
    const others = await scriptsDuring(() => registry.take({ ...take, holder: 'b', limit: 10 }))
    const removed = await scriptsDuring(() => registry.remove(ids))
    expect({ registered, beats, ofUser, ofSilent, counted, taken, others, removed }).toEqual({
      registered: 50,
      beats: 50,
      // To find them, and to be told of them.
      ofUser: 50 + 50,
      ofSilent: 1 + 50,
      counted: 1,
      taken: 50 + 50,
      others: 50 + 1,
      removed: 50,
    })
  })

  test('no answer has more than some hundred kilobytes, however long what was registered is', async () => {
    const { registry } = open()
    const metadata = JSON.stringify('漢'.repeat(16_000))
    const records = Array.from({ length: 200 }, (_, i) =>
      record(`a${i}`, { user: 'bob', metadata }),
    )
    await registry.register(records)
    let listed: readonly { readonly metadata: string }[] = []
    const scripts = await scriptsDuring(async () => {
      listed = await registry.list({ user: 'bob', limit: 1000 })
    })
    expect(listed.map((it) => it.metadata)).toEqual(records.map(() => metadata))
    // 48 kB each, of twenty at a time.
    expect(scripts).toBe(2 + 10)
  })

  test('a list leaves out what has changed since its ids were found', async () => {
    const { registry } = open()
    const ids = Array.from({ length: 1000 }, (_, i) => `a${i}`)
    await registry.register(ids.map((id) => record(id, { user: 'bob' })))
    const other = open().registry
    const [silent, ofBob] = await Promise.all([
      registry.list({ silentMs: 0, limit: 1000 }),
      registry.list({ user: 'bob', limit: 1000 }),
      other.end('a999', 'completed'),
      other.register([record('a0', { user: 'eve', replaces: true })]),
    ])
    expect(silent.every(({ state }) => state === 'active')).toBe(true)
    expect(ofBob.every(({ user }) => user === 'bob')).toBe(true)
    expect(ofBob.length).toBeGreaterThanOrEqual(999)
  })

  test('registers once what was registered when the answer was lost', async () => {
    const { registry } = open()
    await registry.register([record('taken')])
    const records = [record('a'), record('taken'), record('b', { replaces: true })]
    const registered = losingTheAnswer(
      (own) => own.registry.register(records),
      async () => (await server.cli('HLEN', registryKeys('headwater')[1] as string)) === 3,
    )
    expect(await registered).toEqual([true, false, true])
  })

  test('knows its own end when the answer was lost', async () => {
    const { registry } = open()
    await registry.register([record('a')])
    const ended = losingTheAnswer(
      (own) => own.registry.end('a', 'completed'),
      async () => (await server.cli('ZCARD', registryKeys('headwater')[3] as string)) === 1,
    )
    expect(await ended).toBe(true)
    expect(await registry.end('a', 'completed')).toBe(false)
  })

  test('tells what it has removed when the answer was lost', async () => {
    const { registry } = open()
    await registry.register([record('a'), record('b')])
    const removed = losingTheAnswer(
      (own) => own.registry.remove(['a', 'none', 'b']),
      async () => (await server.cli('EXISTS', registryKeys('headwater')[1] as string)) === 0,
    )
    expect(await removed).toEqual([true, false, true])
  })

  test('takes again what it has taken when the answer was lost', async () => {
    const { registry } = open()
    await registry.register([record('a')])
    await until(async () => (await registry.list({ silentMs: 1, limit: 1 })).length === 1)
    const take = { silentMs: 1, holder: 'one', holdMs: 60_000, limit: 1 }
    const taken = await losingTheAnswer(
      (own) => own.registry.take(take),
      async () => (await server.cli('HLEN', registryKeys('headwater')[6] as string)) === 1,
    )
    expect(taken.map(({ id }) => id)).toEqual(['a'])
  })

  test('knows that it has dropped a stream when the answer was lost', async () => {
    const log = open()
    await log.dropStream('none')
    const limits = { maxEvents: 10, maxBytes: 1000, maxAgeMs: 60_000 }
    await log.claim('a', { token: 'mine', leaseMs: 60_000, limits })
    await log.endStream('a', encodeEnding({ state: 'completed' }))
    const dropped = losingTheAnswer(
      (own) => own.dropStream('a'),
      async () => (await server.cli('EXISTS', '{headwater:a}:m')) === 0,
    )
    expect(await dropped).toBe(true)
    expect(await log.dropStream('a')).toBe(false)
  })

  test('goes on over a restart of a Redis that keeps its data', async () => {
    const { registry } = open()
    await registry.register([record('a', { user: 'bob' }), record('b', { user: 'bob' })])
    await registry.end('b', 'failed')
    const before = await registry.get('b')
    await server.kill()
    const beats = registry.heartbeat(['a', 'b'])
    const registered = registry.register([record('c', { user: 'bob' })])
    await server.restart()
    expect(await beats).toEqual([true, false])
    expect(await registered).toEqual([true])
    expect(await registry.get('b')).toEqual(before)
    expect(await registry.list({ user: 'bob', limit: 10 })).toHaveLength(3)
  })

  test('is empty in a Redis that was wiped, and is filled anew', async () => {
    const { registry } = open()
    await registry.register([record('a')])
    await server.cli('FLUSHALL')
    expect(await registry.heartbeat(['a'])).toEqual([false])
    expect(await registry.end('a', 'completed')).toBeUndefined()
    expect(await registry.register([record('a', { replaces: true })])).toEqual([true])
    expect(await registry.heartbeat(['a'])).toEqual([true])
  })

  test('leaves nothing in Redis when nobody calls any more', async () => {
    const { registry } = open({ timeoutMs: 300 })
    const short = { lifetimeMs: 200, user: 'bob' }
    await registry.register(['a', 'b', 'c', 'd'].map((id) => record(id, short)))
    await registry.end('b', 'completed')
    await registry.remove(['c'])
    await registry.take({ silentMs: 0, holder: 'one', holdMs: 60_000, limit: 1 })
    await registry.heartbeat(['a'])
    const keys = (await server.cli('KEYS', '*')) as string[]
    for (const key of keys) expect(Number(await server.cli('PTTL', key))).toBeGreaterThan(0)
    await until(async () => (await server.cli('DBSIZE')) === 0)
    expect(await registry.get('a')).toBeUndefined()
  })

  test('keeps all keys for as long as the record that lives longest', async () => {
    const { registry } = open()
    await registry.register([record('long', { lifetimeMs: 60_000 })])
    await registry.register([record('short', { lifetimeMs: 100, user: 'bob' })])
    await registry.end('short', 'completed')
    await registry.take({ silentMs: 0, holder: 'one', holdMs: 10, limit: 1 })
    await registry.heartbeat(['short'])
    const keys = (await server.cli('KEYS', '*')) as string[]
    expect(keys.sort()).toEqual([...registryKeys('headwater')].sort())
    for (const key of keys) expect(Number(await server.cli('PTTL', key))).toBeGreaterThan(100_000)
  })

  test('forgets by and by, whatever is called, what has expired', async () => {
    const { registry } = open()
    const keys = registryKeys('headwater')
    const sizes = async () =>
      Promise.all([
        ...[0, 1, 6].map((i) => server.cli('HLEN', keys[i] as string)),
        ...[2, 3, 4, 5].map((i) => server.cli('ZCARD', keys[i] as string)),
      ])
    await registry.register([record('kept', { user: undefined })])
    const short = { lifetimeMs: 20, user: 'bob' }
    const records = Array.from({ length: 2500 }, (_, i) => record(`a${i}`, short))
    await registry.register(records)
    for (let i = 0; i < 20; i++) await registry.end(`a${i}`, 'aborted')
    await until(async () => {
      await registry.heartbeat(['kept'])
      return (await server.cli('HLEN', keys[0] as string)) === 1
    })
    expect(await sizes()).toEqual([1, 1, 0, 1, 0, 0, 1])
  })

  test('looks later at what was heard of meanwhile', async () => {
    const { registry } = open()
    const ids = Array.from({ length: 1500 }, (_, i) => `a${i}`)
    await registry.register(ids.map((id) => record(id, { lifetimeMs: 700 })))
    const since = performance.now()
    while (performance.now() - since < 1600) await registry.heartbeat(ids)
    expect(await registry.count(60_000)).toMatchObject({ active: 1500 })
    expect(await registry.list({ silentMs: 0, limit: 2000 })).toHaveLength(1500)
  })

  test('is one of its prefix', async () => {
    const [one, two] = [open({ prefix: 'one' }), open({ prefix: 'two' })]
    await one.registry.register([record('a')])
    expect(await two.registry.get('a')).toBeUndefined()
    expect(await two.registry.register([record('a')])).toEqual([true])
    expect(await one.inspect('~registry')).toBeUndefined()
    await one.append('~registry', [{ data: '1' }])
    expect(await one.registry.count(60_000)).toMatchObject({ active: 1 })
  })
})
