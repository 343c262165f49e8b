import { deepEqual, equal, ok } from 'node:assert/strict'
import type { StreamEnd } from '../core/stream-end.js'
import {
  idOf,
  noneCounted,
  record,
  silent,
  take,
  untilLater,
  type WithRegistry,
} from './registry-records.js'
import { until } from './suite.js'

/** Text that is hard to keep apart. Halves of characters are not equal, though UTF-8 makes them so. */
const oddNames = [
  ' ',
  'bob',
  'Bob',
  'bob:1',
  'bob~',
  'bob%7E',
  'bob\u0000',
  '\u0000bob',
  '\r"bob"',
  'né 😀',
  'ne\u0301 😀',
  '\ud83d',
  '\ude00',
  '\ufffd',
  'x'.repeat(255),
  `${'x'.repeat(254)}y`,
  '😀'.repeat(127),
]

export function listing(withRegistry: WithRegistry): void {
  withRegistry('lists all of one user, the latest first', async (registry) => {
    for (const [i, id] of ['a', 'b', 'c', 'd'].entries()) {
      await registry.register([record(id, { user: 'bob', metadata: `{"n":${i}}` })])
      await registry.register([record(`${id}-eve`, { user: 'eve' })])
      await registry.register([record(`${id}-nobody`)])
      await untilLater(registry)
    }
    await registry.end('b', 'failed')
    await registry.heartbeat(['a'])
    const listed = await registry.list({ user: 'bob', limit: 10 })
    deepEqual(
      listed.map(({ id, state }) => [id, state]),
      [
        ['d', 'active'],
        ['c', 'active'],
        ['b', 'failed'],
        ['a', 'active'],
      ],
    )
    deepEqual(listed, await Promise.all(['d', 'c', 'b', 'a'].map((id) => registry.get(id))))
    const two = await registry.list({ user: 'bob', limit: 2 })
    deepEqual(two, listed.slice(0, 2))
    deepEqual(await registry.list({ user: 'mallory', limit: 10 }), [])
  })

  withRegistry('never lists records of another user', async (registry) => {
    const records = oddNames.map((user, i) => record(`a${i}`, { user }))
    await registry.register([...records, record('nobody')])
    for (const { id, user = '' } of records) {
      const listed = await registry.list({ user, limit: 10 })
      deepEqual(
        listed.map((it) => [it.id, it.user]),
        [[id, user]],
      )
    }
    for (const user of ['bo', 'bob:', 'x', '😀', 'undefined', 'null']) {
      deepEqual(await registry.list({ user, limit: 10 }), [])
    }
  })

  withRegistry('lists silent records, the longest silent first', async (registry) => {
    for (const id of ['a', 'b', 'c', 'ended']) {
      await registry.register([record(id)])
      await untilLater(registry)
    }
    await registry.end('ended', 'completed')
    await until(async () => (await silent(registry, 1)).length === 3)
    deepEqual(await silent(registry, 1), ['a', 'b', 'c'])
    deepEqual(await silent(registry, 60_000), [])
    await registry.heartbeat(['a'])
    await until(async () => (await silent(registry, 1)).length === 3)
    const listed = await registry.list({ silentMs: 1, limit: 2 })
    deepEqual(listed, [await registry.get('b'), await registry.get('c')])
    deepEqual(await silent(registry, 1), ['b', 'c', 'a'])
  })
}

export function counting(withRegistry: WithRegistry): void {
  withRegistry('counts records in each state', async (registry) => {
    deepEqual(await registry.count(1000), noneCounted)
    const ends: StreamEnd[] = ['completed', 'failed', 'failed', 'aborted', 'orphaned', 'orphaned']
    await registry.register(ends.map((_, i) => record(`ended-${i}`)))
    for (const [i, state] of ends.entries()) await registry.end(`ended-${i}`, state)
    const ended = { completed: 1, failed: 2, aborted: 1, orphaned: 2 }
    deepEqual(await registry.count(1000), { ...noneCounted, ...ended })
    await registry.register([record('a'), record('b'), record('resting', { pauseMs: 60_000 })])
    await until(async () => (await registry.count(20)).silent === 2)
    await registry.heartbeat(['a'])
    const { longestSilenceMs, ...counted } = await registry.count(60_000)
    deepEqual(counted, { active: 3, silent: 0, ...ended })
    ok((longestSilenceMs as number) >= 20, 'b has not been heard of')
    await registry.remove(['b'])
    await until(async () => (await registry.count(20)).silent === 1)
    await registry.remove(['a', 'resting', ...ends.map((_, i) => `ended-${i}`)])
    deepEqual(await registry.count(20), noneCounted)
  })
}

export function keepingMany(withRegistry: WithRegistry): void {
  withRegistry('keeps ten thousand records, each of them by one call', async (registry) => {
    const count = 10_000
    const ids = Array.from({ length: count }, (_, i) => `many-${i}`)
    const yes = ids.map(() => true)
    const records = ids.map((id, i) => record(id, { user: i % 2 === 0 ? 'bob' : `user-${i}` }))
    deepEqual(await registry.register(records), yes)
    deepEqual(await registry.heartbeat([...ids, 'none']), [...yes, false])
    equal((await registry.list({ user: 'bob', limit: count })).length, count / 2)
    const listed = await registry.list({ silentMs: 0, limit: count })
    deepEqual(new Set(listed.map(idOf)), new Set(ids))
    const { active, silent: silentOnes } = await registry.count(60_000)
    deepEqual([active, silentOnes], [count, 0])
    equal((await registry.take(take({ silentMs: 0, limit: 100 }))).length, 100)
    deepEqual(await registry.remove(['none', ...ids]), [false, ...yes])
    deepEqual(await registry.count(60_000), noneCounted)
  })
}
