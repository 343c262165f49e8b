import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { until } from '../support/until.js'
import { setUpGuardians } from './guardians.js'

describe('a guardian', () => {
  test('keeps a stream whose job is running for longer than it would be without', async () => {
    const { registry, guardian, stop, stateOf, eventStream } = setUpGuardians(
      { checkJobCompletion: () => ({ state: 'active' }) },
      { registry: { heartbeatMs: 100, lifetimeMs: 60_000, orphanAfterMs: 1500 } },
    )
    await registry.register({ streamId: 'job' })
    guardian.start()
    await sleep(2500)
    expect(await stateOf('job')).toBe('active')
    expect((await eventStream.streams.status('job'))?.state).toBe('active')
    await stop()
  })

  test('ends what one before it has begun to end, though its job is said to be running', async () => {
    const { registry, log, guardian, stop, stateOf } = setUpGuardians({
      checkJobCompletion: () => ({ state: 'active' }),
    })
    await registry.register({ streamId: 'job' })
    await log.registry.take({ silentMs: 0, holder: 'dead', holdMs: 100, limit: 1 })
    expect(await log.registry.settle('job', 'dead')).toBe(true)
    guardian.start()
    await until(async () => (await stateOf('job')) === 'orphaned')
    await stop()
  })

  test('asks for all, however many checks hang', async () => {
    const hanging = 120
    const { registry, guardian, stop, stateOf } = setUpGuardians({
      checkTimeoutMs: 50,
      checkJobCompletion: ({ streamId }) =>
        streamId === 'good' ? { state: 'completed' } : new Promise(() => undefined),
    })
    for (let i = 0; i < hanging; i++) await registry.register({ streamId: `bad-${i}` })
    await sleep(5)
    await registry.register({ streamId: 'good' })
    guardian.start()
    await until(async () => (await stateOf('good')) === 'completed')
    await stop()
  })

  test('asks for others at once while checks hang, and for new ones too', async () => {
    const release: ((answer: { state: 'active' }) => void)[] = []
    const { registry, guardian, stop, stateOf } = setUpGuardians({
      maxChecks: 20,
      checkTimeoutMs: 60_000,
      checkJobCompletion: ({ streamId }) =>
        streamId.startsWith('bad')
          ? new Promise((resolve) => release.push(resolve))
          : { state: 'completed' },
    })
    for (let i = 0; i < 19; i++) await registry.register({ streamId: `bad-${i}` })
    const good = Array.from({ length: 50 }, (_, i) => `good-${i}`)
    await sleep(5)
    await Promise.all(good.map((streamId) => registry.register({ streamId })))
    const isDone = async (id: string) => (await stateOf(id)) === 'completed'
    guardian.start()
    await until(async () => (await Promise.all(good.map(isDone))).every(Boolean))
    await registry.register({ streamId: 'good-later' })
    await until(() => isDone('good-later'))
    expect(release).toHaveLength(19)
    for (const answer of release) answer({ state: 'active' })
    await stop()
  })

  test('calls no more checks at a time than it may', async () => {
    let running = 0
    let most = 0
    const { registry, start, stop, ended } = setUpGuardians({
      maxChecks: 7,
      checkJobCompletion: async () => {
        running += 1
        most = Math.max(most, running)
        await sleep(5)
        running -= 1
        return undefined
      },
    })
    const ids = Array.from({ length: 60 }, (_, i) => `job-${i}`)
    await Promise.all(ids.map((streamId) => registry.register({ streamId })))
    start()
    await until(() => ended.length === ids.length)
    await stop()
    expect(most).toBe(7)
  })

  test('is the only one to ask, however long the checks of all take', async () => {
    const asked: string[] = []
    const { registry, start, stop, ended } = setUpGuardians({
      count: 2,
      checkTimeoutMs: 1000,
      checkJobCompletion: async ({ streamId }) => {
        asked.push(streamId)
        await sleep(300)
        return undefined
      },
    })
    const ids = Array.from({ length: 60 }, (_, i) => `job-${i}`)
    await Promise.all(ids.map((streamId) => registry.register({ streamId })))
    start()
    await until(() => ended.length === ids.length)
    await stop()
    expect([...asked].sort()).toEqual([...ids].sort())
  })

  test('takes nobody for dead who could not be heard of while the store was away', async () => {
    const asked: string[] = []
    const { registry, guardian, stop, stateOf, log } = setUpGuardians({
      thresholdMs: 1500,
      checkJobCompletion: ({ streamId }) => void asked.push(streamId),
    })
    await registry.register({ streamId: 'alive' })
    await registry.register({ streamId: 'dead' })
    const beating = setInterval(() => registry.heartbeat('alive').catch(() => undefined), 300)
    guardian.start()
    const store = log.registry
    const away = () => Promise.reject(new Error('away'))
    Object.assign(store, { take: away, get: away, count: away, heartbeat: away })
    await sleep(2000)
    for (const name of ['take', 'get', 'count', 'heartbeat']) Reflect.deleteProperty(store, name)
    await until(async () => (await stateOf('dead')) === 'orphaned')
    clearInterval(beating)
    await stop()
    expect(asked).toEqual(['dead'])
    expect(await stateOf('alive')).toBe('active')
  })

  test('takes nobody for dead who has one heartbeat to be heard of, when it starts after such a time', async () => {
    const { registry, guardian, stop, stateOf } = setUpGuardians(
      { thresholdMs: 1600 },
      { registry: { heartbeatMs: 1500, orphanAfterMs: 60_000 } },
    )
    await registry.register({ streamId: 'alive' })
    await registry.register({ streamId: 'dead' })
    await sleep(1700)
    guardian.start()
    await registry.heartbeat('alive')
    await until(async () => (await stateOf('dead')) === 'orphaned')
    const alive = await stateOf('alive')
    await stop()
    expect(alive).toBe('active')
  })
})
