import { once } from 'node:events'
import { describe, expect, test } from '@jest/globals'
import { type GuardianHealth, type RegisteredStream, resilience } from '../../src/resilience.js'
import { until } from '../support/until.js'
import { registry, setUpGuardians } from './guardians.js'

describe('a guardian', () => {
  test('marks what is silent orphaned, and tells its followers', async () => {
    const { app, eventStream, serve, registry, start, stop, stateOf, ended } = setUpGuardians()
    app.get('/jobs/:id', eventStream.streams.handler('{id}'))
    const get = await serve()
    await registry.register({ streamId: 'job', metadata: { a: 1 } })
    const client = await (await get('/jobs/job')).opened()
    start()
    await client.end()
    expect(client.control.at(-1)?.data).toBe('{"state":"orphaned"}')
    await until(async () => (await stateOf('job')) === 'orphaned')
    await stop()
    expect(ended).toEqual([['job', 'orphaned']])
  })

  test('asks for the job first, and stores what came of it', async () => {
    const asked: RegisteredStream[] = []
    const { registry, completions, guardian, stop } = setUpGuardians({
      checkJobCompletion: (stream) => {
        asked.push(stream)
        if (stream.streamId === 'done') return { state: 'completed', result: { rows: 3 } }
        return { state: 'failed', reason: 'no rows' }
      },
    })
    await registry.register({ streamId: 'done', streamType: 'export', userId: 'ann' })
    await registry.register({ streamId: 'broken' })
    guardian.start()
    await until(async () => (await registry.getActiveCount()) === 0)
    await stop()
    expect(await completions.getCompletion('done')).toMatchObject({
      state: 'completed',
      result: { rows: 3 },
    })
    expect(await completions.getCompletion('broken')).toMatchObject({
      state: 'failed',
      reason: 'no rows',
    })
    expect(asked.map(({ streamId }) => streamId).sort()).toEqual(['broken', 'done'])
    expect(asked).toContainEqual(
      expect.objectContaining({ streamId: 'done', streamType: 'export', userId: 'ann' }),
    )
  })

  test('does it once, however many there are', async () => {
    const asked: string[] = []
    const { registry, start, stop, ended } = setUpGuardians({
      count: 3,
      checkJobCompletion: async ({ streamId }) => {
        asked.push(streamId)
        await new Promise((resolve) => setImmediate(resolve))
        return undefined
      },
    })
    const ids = Array.from({ length: 250 }, (_, i) => `job-${i}`)
    await Promise.all(ids.map((streamId) => registry.register({ streamId })))
    start()
    await until(() => ended.length === ids.length)
    await stop()
    expect([...asked].sort()).toEqual([...ids].sort())
    expect(new Set(ended.map(([id]) => id)).size).toBe(ids.length)
  })

  test('leaves alone what is heard of, also while it asks', async () => {
    let answer: (value: undefined) => void = () => undefined
    const { registry, guardian, stop, stateOf, ended } = setUpGuardians({
      checkJobCompletion: () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    })
    await registry.register({ streamId: 'job' })
    const beating = setInterval(() => void registry.heartbeat('job'), 20)
    guardian.start()
    const [health] = (await once(guardian, 'health')) as [GuardianHealth]
    expect(health).toMatchObject({ active: 1, silent: 0, orphaned: 0 })
    clearInterval(beating)
    const idle = answer
    await until(() => answer !== idle)
    expect(await registry.heartbeat('job')).toBe(true)
    answer(undefined)
    await once(guardian, 'health')
    expect(await stateOf('job')).toBe('active')
    expect(ended).toEqual([])
    await until(async () => (await registry.getStaleStreams(0.12)).length === 1)
    answer(undefined)
    const again = stop()
    answer(undefined)
    await again
  })

  test('leaves alone what events are sent to, from the first one on', async () => {
    const { registry, sendStreamEvent, guardian, stop, stateOf } = setUpGuardians()
    await registry.register({ streamId: 'job' })
    await until(async () => (await registry.getStaleStreams(0.09)).length === 1)
    await sendStreamEvent('job', 'progress', 1)
    expect(await registry.getStaleStreams(0.09)).toEqual([])
    guardian.start()
    await once(guardian, 'health')
    await stop()
    expect(await stateOf('job')).toBe('active')
  })

  test('goes on with a stream whose job is running, and asks again', async () => {
    const asked: string[] = []
    const { registry, guardian, stop, stateOf } = setUpGuardians({
      checkJobCompletion: ({ streamId }) => {
        asked.push(streamId)
        return { state: 'active' }
      },
    })
    await registry.register({ streamId: 'job' })
    guardian.start()
    await until(() => asked.length > 1)
    await stop()
    expect(await stateOf('job')).toBe('active')
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('no database')
      },
      /no database/,
    ],
    ['rejects', () => Promise.reject(new Error('no database')), /no database/],
    ['hangs', () => new Promise<undefined>(() => undefined), /has not answered/],
    ['gives something else', () => ({ state: 'fine' }), /state is "fine"/],
    ['gives what JSON cannot hold', () => ({ state: 'completed', result: 1n }), /BigInt/],
    ['gives such a reason', () => ({ state: 'failed', reason: 1n }), /reason of a job.*BigInt/],
  ])('is not stuck with a check that %s, and asks for others', async (_name, check, message) => {
    const { registry, guardian, stop, stateOf, errors } = setUpGuardians({
      checkTimeoutMs: 30,
      checkJobCompletion: ({ streamId }) =>
        streamId === 'bad' ? (check() as never) : { state: 'completed' },
    })
    await registry.register({ streamId: 'bad' })
    await registry.register({ streamId: 'good' })
    guardian.start()
    await until(async () => (await stateOf('good')) === 'completed' && errors.length > 0)
    await stop()
    expect(await stateOf('bad')).toBe('active')
    expect(String(errors[0])).toMatch(message)
  })

  test('knows what to think of a stream that no answer was to be had for in time', async () => {
    const { guardian, stop, stateOf, ended, ...parts } = setUpGuardians(
      { checkTimeoutMs: 50, checkJobCompletion: () => Promise.reject(new Error('no database')) },
      { registry: { ...registry, orphanAfterMs: 300 } },
    )
    await parts.registry.register({ streamId: 'job' })
    guardian.start()
    await until(async () => (await stateOf('job')) === 'orphaned')
    await until(() => ended.length > 0)
    await stop()
    expect(ended).toEqual([['job', 'orphaned']])
  })

  test('reports an answer that is larger than an event may be', async () => {
    const { registry, start, stop, stateOf, errors } = setUpGuardians({
      checkJobCompletion: () => ({ state: 'completed', result: 'x'.repeat(20_000_000) }),
    })
    await registry.register({ streamId: 'job' })
    start()
    await until(() => errors.length > 0)
    await stop()
    expect(errors).toMatchObject([{ code: 'ERR_EVENT_TOO_LARGE' }])
    expect(await stateOf('job')).toBe('active')
  })

  test('finishes in the registry what has ended in the log', async () => {
    const { registry, eventStream, log, guardian, stop, ended } = setUpGuardians()
    await registry.register({ streamId: 'job' })
    await eventStream.streams.stop('job')
    expect((await log.registry.get('job'))?.state).toBe('active')
    guardian.start()
    await until(async () => (await log.registry.get('job'))?.state === 'aborted')
    await stop()
    expect(ended).toEqual([])
  })

  test('tells how all streams are', async () => {
    const { registry, guardian, stop } = setUpGuardians({ thresholdMs: 5000 })
    for (const streamId of ['a', 'b', 'c', 'd']) await registry.register({ streamId })
    await registry.updateState('b', 'completed')
    await registry.updateState('c', 'failed')
    guardian.start()
    const [health] = (await once(guardian, 'health')) as [GuardianHealth]
    await stop()
    expect(health).toEqual({
      active: 2,
      silent: 0,
      completed: 1,
      failed: 1,
      aborted: 0,
      orphaned: 0,
      oldestHeartbeat: expect.any(Date),
    })
  })

  test('survives listeners that throw, and a store that fails', async () => {
    const { registry, guardian, stop, errors, log, ended } = setUpGuardians()
    guardian.on('health', () => {
      throw new Error('listener')
    })
    guardian.on('orphaned', () => Promise.reject(new Error('async listener')))
    await registry.register({ streamId: 'job' })
    const { take } = log.registry
    let failures = 2
    log.registry.take = async (wish) => {
      failures -= 1
      if (failures >= 0) throw new Error('store')
      return take.call(log.registry, wish)
    }
    guardian.start()
    await until(() => ended.length > 0)
    await until(() => ['store', 'listener', 'async'].every((text) => `${errors}`.includes(text)))
    await stop()
  })

  test('tells errors to whoever listens for them', async () => {
    const { registry, guardian, stop, errors } = setUpGuardians({
      checkJobCompletion: () => Promise.reject(new Error('no database')),
    })
    await registry.register({ streamId: 'job' })
    const told: unknown[] = []
    guardian.on('error', (error) => told.push(error))
    guardian.start()
    await until(() => told.length > 0)
    await stop()
    expect([String(told[0]), errors]).toEqual(['Error: no database', []])
  })

  test('may be started and stopped at any time', async () => {
    const { guardian } = setUpGuardians()
    await guardian.stop()
    guardian.start()
    guardian.start()
    await Promise.all([guardian.stop(), guardian.stop()])
    guardian.start()
    await once(guardian, 'health')
    await guardian.stop()
  })

  test.each([
    [{ thresholdMs: 100 }, /more than registry.heartbeatMs/],
    [{ intervalMs: 0 }, /intervalMs is 0/],
    [{ checkJobCompletion: 'yes' }, /give a function/],
    [{ interval: 5 }, /no option "interval"/],
    [{ thresholdMs: 60_000, checkJobCompletion: () => null }, /less than registry.orphanAfterMs/],
  ])('refuses %j', (options, message) => {
    const { eventStream } = setUpGuardians()
    expect(() => resilience(eventStream, options as never)).toThrow(message)
  })
})
