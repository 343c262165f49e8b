import { deepEqual, equal, ok } from 'node:assert/strict'
import type { StreamEnd } from '../core/stream-end.js'
import {
  idOf,
  noneCounted,
  record,
  recordOf,
  silent,
  take,
  untilLater,
  untilTaken,
  type WithRegistry,
} from './registry-records.js'
import { until } from './suite.js'

export function ending(withRegistry: WithRegistry): void {
  withRegistry('ends a record once, whoever ends it', async (registry) => {
    await registry.register([record('a', { user: 'bob' })])
    const states: StreamEnd[] = ['completed', 'failed', 'aborted', 'orphaned']
    const results = await Promise.all(states.map((state) => registry.end('a', state)))
    equal(results.filter((it) => it === true).length, 1)
    equal(results.filter((it) => it === false).length, 3)
    const ended = await recordOf(registry, 'a')
    equal(ended.state, states[results.indexOf(true)])
    ok((ended.endedAt as number) >= ended.startedAt)
    deepEqual(await registry.list({ user: 'bob', limit: 10 }), [ended])
    deepEqual(await registry.heartbeat(['a']), [false])
    deepEqual(await recordOf(registry, 'a'), ended)
  })

  withRegistry('has nothing to end where there is no record', async (registry) => {
    equal(await registry.end('a', 'completed'), undefined)
    equal(await registry.get('a'), undefined)
    deepEqual(await registry.count(0), noneCounted)
  })
}

export function taking(withRegistry: WithRegistry): void {
  withRegistry('gives a silent record to one of all who want it at once', async (registry) => {
    const ids = Array.from({ length: 30 }, (_, i) => `a${i}`)
    await registry.register([...ids.map((id) => record(id)), record('ended')])
    await registry.register([record('resting', { pauseMs: 60_000 })])
    await registry.end('ended', 'orphaned')
    await until(async () => (await silent(registry, 5)).length === 30)
    const holders = ['one', 'two', 'three']
    const taken = await Promise.all(
      holders.map((holder) => registry.take(take({ silentMs: 5, holder, limit: 100 }))),
    )
    deepEqual(taken.flat().map(idOf).sort(), [...ids].sort())
    deepEqual(await registry.take(take({ silentMs: 5, holder: 'four', limit: 100 })), [])
    const [first] = taken.flat()
    deepEqual(first, await registry.get(idOf(first)), 'it is as it was')
    equal((await silent(registry, 5)).length, 30)
  })

  withRegistry('gives the longest silent first, as many as are wanted', async (registry) => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      await registry.register([record(id)])
      await untilLater(registry)
    }
    await until(async () => (await silent(registry, 1)).length === 5)
    deepEqual((await registry.take(take({ holder: 'one', limit: 2 }))).map(idOf), ['a', 'b'])
    deepEqual((await registry.take(take({ holder: 'two', limit: 2 }))).map(idOf), ['c', 'd'])
    deepEqual(await registry.take(take({ silentMs: 60_000, holder: 'three' })), [])
    deepEqual((await registry.take(take({ holder: 'three', limit: 2 }))).map(idOf), ['e'])
  })

  withRegistry('gives a holder again what it holds', async (registry) => {
    await registry.register([record('a')])
    await untilTaken(registry, 'a', take())
    deepEqual((await registry.take(take())).map(idOf), ['a'])
    equal(await registry.settle('a', 'one'), true)
    deepEqual((await registry.take(take())).map(idOf), ['a'])
    deepEqual(await registry.take(take({ holder: 'two' })), [])
  })

  withRegistry('gives a record to another one when its hold has run out', async (registry) => {
    await registry.register([record('a')])
    await untilTaken(registry, 'a', take({ holdMs: 50 }))
    await untilTaken(registry, 'a', take({ holder: 'two' }))
    equal(await registry.settle('a', 'one'), false)
    equal(await registry.settle('a', 'two'), true)
  })

  withRegistry('frees a record that is heard of', async (registry) => {
    await registry.register([record('a')])
    await untilTaken(registry, 'a', take())
    deepEqual(await registry.heartbeat(['a']), [true])
    equal(await registry.settle('a', 'one'), false)
    await untilTaken(registry, 'a', take({ holder: 'two' }))
    equal(await registry.settle('a', 'one'), false)
    equal(await registry.settle('a', 'two'), true)
  })

  withRegistry('never gives what has ended', async (registry) => {
    await registry.register([record('a'), record('b')])
    await until(async () => (await silent(registry, 1)).length === 2)
    await registry.end('a', 'completed')
    deepEqual((await registry.take(take({ limit: 10 }))).map(idOf), ['b'])
    equal(await registry.end('b', 'orphaned'), true)
    equal(await registry.settle('b', 'one'), false)
    deepEqual(await registry.take(take({ limit: 10 })), [])
  })
}

export function settling(withRegistry: WithRegistry): void {
  withRegistry('settles for nobody but its holder', async (registry) => {
    await registry.register([record('a')])
    equal(await registry.settle('a', 'one'), false)
    equal(await registry.settle('none', 'one'), false)
    await untilTaken(registry, 'a', take())
    equal(await registry.settle('a', 'two'), false)
    deepEqual(await registry.heartbeat(['a']), [true], 'nothing has been settled')
  })

  withRegistry('refuses heartbeats of what is being settled, until it ends', async (registry) => {
    await registry.register([record('a'), record('b')])
    await untilTaken(registry, 'a', take({ limit: 10 }))
    await registry.heartbeat(['b'])
    equal(await registry.settle('a', 'one'), true)
    equal(await registry.settle('a', 'one'), true, 'again')
    const before = await recordOf(registry, 'a')
    deepEqual(await registry.heartbeat(['a', 'b']), [false, true])
    deepEqual(await recordOf(registry, 'a'), before)
    equal(before.state, 'active')
    equal(await registry.settle('a', 'one'), true)
    equal(await registry.end('a', 'orphaned'), true)
    deepEqual(await registry.heartbeat(['a']), [false])
    equal((await recordOf(registry, 'a')).state, 'orphaned')
  })

  withRegistry(
    'lets another one finish what was begun, when its hold has run out',
    async (registry) => {
      await registry.register([record('a')])
      await until(async () => {
        await registry.take(take({ holdMs: 200 }))
        return registry.settle('a', 'one')
      })
      await until(async () => {
        deepEqual(await registry.heartbeat(['a']), [false])
        return (await registry.take(take({ holder: 'two' }))).length === 1
      })
      deepEqual(await registry.heartbeat(['a']), [false])
      equal(await registry.settle('a', 'one'), false)
      equal(await registry.settle('a', 'two'), true)
      equal(await registry.end('a', 'orphaned'), true)
    },
  )
}

export function expiring(withRegistry: WithRegistry): void {
  withRegistry('forgets records in two steps', async (registry) => {
    const short = { lifetimeMs: 800, user: 'bob' }
    await registry.register([record('silent', short), record('ended', short), record('kept')])
    await registry.end('ended', 'completed')
    const { lastHeartbeat } = await recordOf(registry, 'silent')
    const { endedAt } = await recordOf(registry, 'ended')
    await until(async () => {
      const [one, two] = await Promise.all([registry.get('silent'), registry.get('ended')])
      return one?.state !== 'active' && two?.state !== 'completed'
    })
    deepEqual(await registry.list({ user: 'bob', limit: 10 }), [])
    deepEqual(await silent(registry, 0), ['kept'])
    const { active, completed } = await registry.count(60_000)
    deepEqual([active, completed], [1, 0])
    const [one, two] = [await recordOf(registry, 'silent'), await recordOf(registry, 'ended')]
    deepEqual(
      [one.state, one.endedAt, one.lastHeartbeat],
      ['expired', lastHeartbeat + 800, lastHeartbeat],
    )
    deepEqual([two.state, two.endedAt, two.user], ['expired', (endedAt as number) + 800, 'bob'])
    deepEqual(await registry.heartbeat(['silent', 'ended', 'kept']), [false, false, true])
    await until(async () => (await registry.get('silent')) === undefined)
    await until(async () => (await registry.get('ended')) === undefined)
    await registry.register([record('clock')])
    ok((await recordOf(registry, 'clock')).startedAt >= (one.endedAt as number) + 790)
    equal(await registry.end('silent', 'completed'), undefined)
    deepEqual(await registry.remove(['silent', 'ended']), [false, false])
    equal((await recordOf(registry, 'kept')).state, 'active')
  })

  withRegistry('registers anew what has expired', async (registry) => {
    await registry.register([record('a', { lifetimeMs: 400, user: 'bob' })])
    await until(async () => (await registry.get('a'))?.state !== 'active')
    deepEqual(await registry.register([record('a', { type: 'new' })]), [true])
    const { state, type, user, endedAt } = await recordOf(registry, 'a')
    deepEqual([state, type, user, endedAt], ['active', 'new', undefined, undefined])
    await new Promise((resolve) => setTimeout(resolve, 500))
    equal((await recordOf(registry, 'a')).state, 'active', 'what it was before is of no matter')
  })

  withRegistry('keeps active what is heard of, for longer than its lifetime', async (registry) => {
    await registry.register([record('a', { lifetimeMs: 1500 })])
    const since = performance.now()
    while (performance.now() - since < 2500) {
      deepEqual(await registry.heartbeat(['a']), [true])
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    await registry.end('a', 'completed')
    await until(async () => (await registry.get('a'))?.state !== 'completed')
  })

  withRegistry('expires what is held, and what is being settled', async (registry) => {
    const ids = ['held', 'settled']
    await registry.register(ids.map((id) => record(id, { lifetimeMs: 600 })))
    await until(async () => {
      const taken = await registry.take(take({ limit: 10 }))
      return taken.length === 2
    })
    await registry.settle('settled', 'one')
    await until(async () => (await silent(registry, 0)).length === 0)
    deepEqual(await registry.take(take({ limit: 10 })), [])
    deepEqual(await registry.heartbeat(ids), [false, false])
    equal(await registry.settle('settled', 'one'), false)
    deepEqual(await registry.register(ids.map((id) => record(id))), [true, true])
    deepEqual(await registry.heartbeat(ids), [true, true])
  })
}
