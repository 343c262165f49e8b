import { describe, expect, test } from '@jest/globals'
import { seqOf } from '../../src/core/entry-id.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { eventLogSuite, registrySuite, streamLogSuite } from '../../src/testing.js'
import { countTimers } from '../support/count-timers.js'
import { until } from '../support/until.js'

const all = { maxEvents: 1000, maxLength: 1_000_000 }
const none = { append: () => undefined, suspect: () => undefined }

describe('memoryEventLog', () => {
  eventLogSuite(test, async (limits) => memoryEventLog(limits))
  streamLogSuite(test, async (limits) => memoryEventLog(limits))
  registrySuite(test, async () => memoryEventLog())

  test('forgets a channel that was idle for its age, and tells a client that comes back', async () => {
    const log = memoryEventLog({ maxAgeMs: 300 })
    const [appended] = await log.append('a', [{ data: '1' }])
    const unfollow = await log.follow('a', none)
    await until(async () => (await log.read('a', 'earliest', all)).entries.length === 0)
    expect(await log.heads(['a'])).toEqual([appended?.id])
    unfollow()
    // Looking at a channel keeps it, so only time is waited for here.
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const [head] = await log.heads(['a'])
    expect(seqOf(head ?? '')).toBe(0)
    expect((await log.read('a', appended?.id ?? '', all)).gap).toBe('unknown')
    await log.close()
  })

  test('drops what is past its age of thousands of channels, some in each turn', async () => {
    const timers = countTimers()
    const log = memoryEventLog({ maxAgeMs: 200 })
    const leave = []
    for (let i = 0; i < 5000; i++) {
      await log.append(`c${i}`, [{ data: '1' }])
      if (i % 2 === 0) leave.push(await log.follow(`c${i}`, none))
    }
    // Nobody looks at any of them.
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const heads = await log.heads(Array.from({ length: 5000 }, (_, i) => `c${i}`))
    expect(heads.map((head, i) => seqOf(head) === 1 - (i % 2))).toEqual(heads.map(() => true))
    for (const one of leave) one()
    await timers.fallsTo(0)
    timers.stop()
    await log.close()
  })

  test('holds no more channels than it may: unused ones without entries go first', async () => {
    const log = memoryEventLog({ maxChannels: 3 })
    const [kept] = await log.append('kept', [{ data: '1' }])
    await log.follow('followed', none)
    const [origin] = await log.heads(['followed'])
    for (let i = 0; i < 10; i++) await log.heads([`passing-${i}`])
    expect(await log.heads(['followed', 'kept'])).toEqual([origin, kept?.id])
    for (let i = 0; i < 3; i++) await log.append(`busy-${i}`, [{ data: '1' }])
    expect((await log.read('kept', kept?.id ?? '', all)).gap).toBe('unknown')
    expect(await log.heads(['followed'])).toEqual([origin])
    await log.close()
  })

  test('bounds what all channels hold together, at the cost of those not used for longest', async () => {
    const log = memoryEventLog({ maxTotalBytes: 2000 })
    for (const name of ['old', 'new']) await log.append(name, [{ data: 'x'.repeat(450) }])
    await log.append('newest', [{ data: 'x'.repeat(450) }])
    const kept = await Promise.all(
      ['old', 'new', 'newest'].map(
        async (name) => (await log.read(name, 'earliest', all)).entries.length,
      ),
    )
    expect(kept).toEqual([0, 1, 1])
    await log.close()
  })

  test('has one timer for all records of its registry, and none when there are none', async () => {
    const timers = countTimers()
    const { registry } = memoryEventLog()
    const ids = Array.from({ length: 50 }, (_, i) => `a${i}`)
    const record = { kind: 'stream', type: 'test', user: undefined, metadata: '{}' } as const
    const times = { lifetimeMs: 60_000, pauseMs: 0, replaces: false }
    for (const id of ids) await registry.register([{ id, ...record, ...times }])
    await registry.heartbeat(ids)
    expect(timers.alive).toBe(1)
    await registry.remove(ids)
    await registry.count(0)
    await timers.fallsTo(0)
    expect(timers.alive).toBe(0)
    timers.stop()
  })

  test('refuses limits that cannot work, and names that it does not know', () => {
    expect(() => memoryEventLog({ maxEvents: 0 })).toThrow(/maxEvents is 0; give a whole number/)
    expect(() => memoryEventLog({ maxAgeMs: Number.NaN })).toThrow(/maxAgeMs is NaN/)
    expect(() => memoryEventLog({ maxevents: 5 } as object)).toThrow(
      /no option "maxevents".*; it has maxEvents/,
    )
  })
})
