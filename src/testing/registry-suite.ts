import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { dropping, type WithLog } from './dropped-streams.js'
import { ending, expiring, settling, taking } from './registry-ends.js'
import { counting, keepingMany, listing } from './registry-queries.js'
import {
  type CreateRegistryLog,
  noneCounted,
  record,
  recordOf,
  silent,
  take,
  untilTaken,
  type WithRegistry,
} from './registry-records.js'
import { type Test, until } from './suite.js'

/** What may be the id of a stream or a connection. */
const oddIds = [
  ' ',
  'a',
  'A',
  'a:1',
  'a~',
  'a%7E',
  '\ufffd',
  'né 😀',
  'ne\u0301 😀',
  'x'.repeat(255),
]

let channels = 0

/**
 * The contract of `RegistryStore` and of `dropStream` in executable form: declares one test per promise.
 * Beside it, run `streamLogSuite`.
 */
export function registrySuite(test: Test, create: CreateRegistryLog): void {
  const withLog: WithLog = (name, body) =>
    test(name, async () => {
      const log = await create()
      channels += 1
      try {
        await body(log, `registry-${process.pid}-${channels}`)
      } finally {
        await log.close()
      }
    })
  const withRegistry: WithRegistry = (name, body) => withLog(name, ({ registry }) => body(registry))
  registering(withRegistry)
  hearing(withRegistry)
  listing(withRegistry)
  counting(withRegistry)
  ending(withRegistry)
  taking(withRegistry)
  settling(withRegistry)
  expiring(withRegistry)
  keepingMany(withRegistry)
  dropping(withLog)
  closing(withLog)
}

function registering(withRegistry: WithRegistry): void {
  withRegistry('registers an id for one of all who try at once', async (registry) => {
    const tries = Array.from({ length: 20 }, (_, i) => record('a', { type: `t${i}` }))
    const registered = await Promise.all(tries.map((it) => registry.register([it])))
    const winners = tries.filter((_, i) => registered[i]?.[0])
    equal(winners.length, 1)
    equal((await recordOf(registry, 'a')).type, winners[0]?.type)
  })

  withRegistry('keeps what was registered, by its own clock', async (registry) => {
    const given = record('a', { kind: 'connection', type: 'chat 😀', user: 'bob' })
    deepEqual(await registry.register([given]), [true])
    const { startedAt, lastHeartbeat, ...rest } = await recordOf(registry, 'a')
    deepEqual(rest, {
      id: 'a',
      kind: 'connection',
      type: 'chat 😀',
      user: 'bob',
      metadata: '{}',
      state: 'active',
      endedAt: undefined,
    })
    equal(startedAt, lastHeartbeat)
    ok(Number.isInteger(startedAt) && Math.abs(startedAt - Date.now()) < 60_000)
    equal((await registry.register([record('b')]))[0], true)
    equal((await recordOf(registry, 'b')).user, undefined)
    equal(await registry.get('c'), undefined)
  })

  withRegistry('keeps metadata to the letter', async (registry) => {
    const texts = [
      '{"b":1,  "a":[1.0, 1e2],"b":2}',
      JSON.stringify({ text: 'line\nbreak\r\n\u0000 \u2028 😀 \ud83d' }),
      '"raw \u2028 😀"',
      'null',
      `"${'x'.repeat(20_000)}"`,
    ]
    const records = texts.map((metadata, i) => record(`a${i}`, { metadata }))
    deepEqual(
      await registry.register(records),
      texts.map(() => true),
    )
    const kept = await Promise.all(records.map(({ id }) => recordOf(registry, id)))
    deepEqual(
      kept.map(({ metadata }) => metadata),
      texts,
    )
  })

  withRegistry('tells ids apart that are almost the same', async (registry) => {
    const records = oddIds.map((id, i) => record(id, { type: `t${i}` }))
    deepEqual(
      await registry.register(records),
      oddIds.map(() => true),
    )
    deepEqual(
      await registry.heartbeat(oddIds),
      oddIds.map(() => true),
    )
    for (const [i, id] of oddIds.entries()) {
      const { type, ...rest } = await recordOf(registry, id)
      deepEqual([rest.id, type], [id, `t${i}`])
    }
    const listed = await registry.list({ silentMs: 0, limit: 100 })
    deepEqual(new Set(listed.map(({ id }) => id)), new Set(oddIds))
  })

  withRegistry('leaves a record as it is that is active or has ended', async (registry) => {
    await registry.register([record('active'), record('ended')])
    await registry.end('ended', 'failed')
    const before = await Promise.all(['active', 'ended'].map((id) => registry.get(id)))
    const others = ['active', 'new', 'ended'].map((id) => record(id, { type: 'other' }))
    deepEqual(await registry.register(others), [false, true, false])
    deepEqual(await Promise.all(['active', 'ended'].map((id) => registry.get(id))), before)
  })

  withRegistry('puts a record in place of another one where it is told to', async (registry) => {
    await registry.register(['active', 'ended', 'taken'].map((id) => record(id, { user: 'bob' })))
    await registry.end('ended', 'completed')
    await untilTaken(registry, 'taken', take({ limit: 10 }))
    equal(await registry.settle('taken', 'one'), true)
    const others = ['active', 'ended', 'taken', 'new'].map((id) =>
      record(id, { user: 'eve', type: 'other', replaces: true }),
    )
    deepEqual(await registry.register(others), [true, true, true, true])
    for (const { id } of others) {
      const { type, user, state, endedAt } = await recordOf(registry, id)
      deepEqual([type, user, state, endedAt], ['other', 'eve', 'active', undefined])
    }
    deepEqual(await registry.list({ user: 'bob', limit: 10 }), [])
    equal((await registry.list({ user: 'eve', limit: 10 })).length, 4)
    equal(await registry.settle('taken', 'one'), false)
    deepEqual(await registry.heartbeat(['taken']), [true])
    const { active, completed } = await registry.count(60_000)
    deepEqual([active, completed], [4, 0])
  })

  withRegistry('removes records, whatever their state', async (registry) => {
    await registry.register(['active', 'ended', 'taken'].map((id) => record(id, { user: 'bob' })))
    await registry.end('ended', 'aborted')
    await untilTaken(registry, 'taken', take({ limit: 10 }))
    const ids = ['active', 'none', 'ended', 'taken']
    deepEqual(await registry.remove(ids), [true, false, true, true])
    deepEqual(await registry.remove(ids), [false, false, false, false])
    for (const id of ids) equal(await registry.get(id), undefined)
    deepEqual(await registry.heartbeat(ids), [false, false, false, false])
    deepEqual(await registry.list({ user: 'bob', limit: 10 }), [])
    deepEqual(await registry.list({ silentMs: 0, limit: 10 }), [])
    deepEqual(await registry.count(0), noneCounted)
    deepEqual(await registry.register([record('taken')]), [true])
    equal(await registry.settle('taken', 'one'), false)
  })

  withRegistry('has nothing to do for no records', async (registry) => {
    deepEqual(await registry.register([]), [])
    deepEqual(await registry.heartbeat([]), [])
    deepEqual(await registry.remove([]), [])
  })
}

function hearing(withRegistry: WithRegistry): void {
  withRegistry('hears of records that are active, and tells which are not', async (registry) => {
    await registry.register([record('a'), record('ended'), record('b')])
    await registry.end('ended', 'completed')
    const before = await recordOf(registry, 'b')
    await until(async () => {
      deepEqual(await registry.heartbeat(['none', 'b', 'ended', 'a']), [false, true, false, true])
      return (await recordOf(registry, 'b')).lastHeartbeat > before.lastHeartbeat
    })
    const { lastHeartbeat, ...rest } = await recordOf(registry, 'b')
    deepEqual({ ...rest, lastHeartbeat: before.lastHeartbeat }, before)
    equal(await registry.get('none'), undefined)
  })

  withRegistry('does not take a pause for silence', async (registry) => {
    await registry.register([record('a'), record('resting', { pauseMs: 60_000 })])
    await until(async () => (await silent(registry, 20)).length > 0)
    deepEqual(await silent(registry, 20), ['a'])
    const { active, silent: silentOnes, longestSilenceMs } = await registry.count(20)
    deepEqual([active, silentOnes], [1, 1])
    ok((longestSilenceMs as number) >= 20)
    await registry.remove(['a'])
    deepEqual(await registry.heartbeat(['resting']), [true])
    const { lastHeartbeat } = await recordOf(registry, 'resting')
    ok(Math.abs(lastHeartbeat - Date.now()) < 60_000)
    deepEqual((await registry.count(20)).longestSilenceMs, 0)
    deepEqual(await silent(registry, 0), ['resting'], 'it was silent for 0 ms at least')
    await registry.register([record('short', { pauseMs: 30 })])
    await until(async () => (await silent(registry, 1)).includes('short'))
    const { lastHeartbeat: heard } = await recordOf(registry, 'short')
    await registry.register([record('clock')])
    // Its clock may be two: one that tells, and one that measures.
    ok((await recordOf(registry, 'clock')).startedAt - heard >= 30)
  })
}

function closing(withLog: WithLog): void {
  withLog('refuses everything after close', async (log, a) => {
    await log.close()
    const closed = { code: 'ERR_LOG_CLOSED' }
    const { registry } = log
    await rejects(registry.register([record(a)]), closed)
    await rejects(registry.heartbeat([a]), closed)
    await rejects(registry.remove([a]), closed)
    await rejects(registry.get(a), closed)
    await rejects(registry.list({ silentMs: 0, limit: 1 }), closed)
    await rejects(registry.count(0), closed)
    await rejects(registry.end(a, 'completed'), closed)
    await rejects(registry.take(take()), closed)
    await rejects(registry.settle(a, 'one'), closed)
    await rejects(log.dropStream(a), closed)
  })
}
