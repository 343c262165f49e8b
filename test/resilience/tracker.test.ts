import { afterEach, describe, expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import type { NewRecord } from '../../src/log/registry-store.js'
import { newRecord } from '../../src/resilience/record.js'
import { RegisteredStreams } from '../../src/resilience/registered-streams.js'
import { until } from '../support/until.js'

const limits = { maxEvents: 100, maxBytes: 1000, maxAgeMs: 60_000 }
const closing: (() => Promise<void>)[] = []

/** A tracker, and how many ids each call of its registry had. */
function setUpTracker(heartbeatMs = 100) {
  const log = memoryEventLog()
  const calls = { register: [] as number[], heartbeat: [] as number[], remove: [] as number[] }
  const failing = new Set<string>()
  const errors: unknown[] = []
  for (const name of ['register', 'heartbeat', 'remove'] as const) {
    const run = log.registry[name].bind(log.registry) as (items: readonly unknown[]) => unknown
    Object.assign(log.registry, {
      [name]: async (items: readonly unknown[]) => {
        calls[name].push(items.length)
        if (failing.has(name)) throw new Error(`${name} fails`)
        return run(items)
      },
    })
  }
  const { tracker } = new RegisteredStreams({
    log,
    limits,
    producers: { flushMs: 50, maxAheadBytes: 1_048_576 },
    maxEventBytes: 1_048_576,
    options: { heartbeatMs, lifetimeMs: 60_000, orphanAfterMs: 60_000 },
    relay: async () => undefined,
    onError: (error) => errors.push(error),
  })
  closing.push(async () => {
    await tracker.close()
    await log.close()
  })
  const active = async () => (await log.registry.count(60_000)).active
  return { tracker, calls, failing, errors, log, active }
}

const fields = { type: 'page', user: 'ann', metadata: '{}' }
const record = (id: string): NewRecord => newRecord(id, 'connection', fields, 60_000)

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

describe('the tracker', () => {
  test('needs 10 calls for 10,000 connections, to register them and for each heartbeat', async () => {
    const { tracker, calls, active } = setUpTracker(1000)
    for (let i = 0; i < 10_000; i++) tracker.add(record(`c${i}`))
    await until(async () => (await active()) === 10_000)
    expect(calls.register).toEqual(Array(10).fill(1000))
    await until(() => calls.heartbeat.length > 0)
    await new Promise((resolve) => setImmediate(resolve))
    expect(calls.heartbeat.slice(0, 10)).toEqual(Array(10).fill(1000))
    for (let i = 0; i < 10_000; i++) tracker.remove(`c${i}`)
    await until(async () => (await active()) === 0)
    expect(calls.remove).toEqual(Array(10).fill(1000))
  }, 30_000)

  test('says nothing more once nothing is tracked', async () => {
    const { tracker, calls, active } = setUpTracker()
    tracker.add(record('a'))
    await until(() => calls.heartbeat.length > 0)
    tracker.remove('a')
    await until(async () => (await active()) === 0)
    const { length } = calls.heartbeat
    const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    await until(
      () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length <= timers,
    )
    expect(calls.heartbeat.length - length).toBeLessThanOrEqual(1)
  })

  test('takes away in order what was gone before it was registered', async () => {
    const { tracker, calls, active } = setUpTracker()
    tracker.add(record('a'))
    tracker.remove('a')
    tracker.add(record('b'))
    await until(() => calls.remove.length > 0)
    await until(async () => (await active()) === 1)
  })

  test('tells once what is gone, however slow the registry is', async () => {
    const { tracker, calls, log, active } = setUpTracker(20)
    tracker.add(record('a'))
    tracker.add(record('b'))
    await until(async () => (await active()) === 2)
    const { remove } = log.registry
    let answer: (() => void) | undefined
    log.registry.remove = async (ids) => {
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return remove.call(log.registry, ids)
    }
    tracker.remove('a')
    const { length } = calls.heartbeat
    await until(() => calls.heartbeat.length > length + 3)
    answer?.()
    await until(async () => (await active()) === 1)
    expect(calls.remove).toEqual([1])
  })

  test('tells the registry when it is back what was gone meanwhile', async () => {
    const { tracker, calls, failing, errors, log, active } = setUpTracker()
    tracker.add(record('a'))
    await until(async () => (await active()) === 1)
    failing.add('remove')
    tracker.remove('a')
    await until(() => calls.remove.length > 2)
    expect(await active()).toBe(1)
    failing.delete('remove')
    await until(async () => (await log.registry.get('a')) === undefined)
    expect(String(errors[0])).toBe('Error: remove fails')
  })

  test('does not end a stream for an earlier one of its id', async () => {
    const { tracker, log, calls, active } = setUpTracker()
    const stream = (id: string): NewRecord => ({
      ...newRecord(id, 'stream', fields, 60_000),
      replaces: true,
    })
    const { end } = log.registry
    let failures = 0
    log.registry.end = async () => {
      failures += 1
      throw new Error('end fails')
    }
    tracker.add(stream('a'))
    await until(async () => (await active()) === 1)
    tracker.end('a', 'completed')
    await until(() => failures > 0)
    tracker.add(stream('a'))
    log.registry.end = end
    const { length } = calls.heartbeat
    await until(() => calls.heartbeat.length > length + 1)
    expect((await log.registry.get('a'))?.state).toBe('active')
  })

  test('registers what a proxy holds once, however many clients come', async () => {
    const { tracker, calls, log } = setUpTracker()
    const users = ['ann', ...Array.from({ length: 1000 }, (_, i) => `user-${i}`)]
    for (const user of users) tracker.hold({ ...record('held'), user })
    await until(async () => {
      const held = await log.registry.get('held')
      return held !== undefined && held.user === undefined
    })
    const count = calls.register.reduce((sum, size) => sum + size, 0)
    for (const user of users) tracker.hold({ ...record('held'), user })
    expect(count).toBeLessThanOrEqual(3)
    expect(calls.register.reduce((sum, size) => sum + size, 0)).toBe(count)
    expect(await log.registry.get('held')).toMatchObject({ state: 'active', user: undefined })
  })

  test('asks a registry that does not answer once at a time', async () => {
    const { tracker, calls, log } = setUpTracker()
    let answer: (heard: boolean[]) => void = () => undefined
    Object.assign(log.registry, {
      heartbeat: (ids: readonly string[]) => {
        calls.heartbeat.push(ids.length)
        return new Promise((resolve) => {
          answer = resolve
        })
      },
    })
    tracker.add(record('a'))
    await until(() => calls.heartbeat.length === 1)
    const later = performance.now() + 350
    await until(() => performance.now() > later)
    expect(calls.heartbeat).toHaveLength(1)
    answer([true])
    await until(() => calls.heartbeat.length === 2)
    answer([true])
  })
})
