import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { StreamEnd } from '../../src/core/stream-end.js'
import { memoryEventLog } from '../../src/index.js'
import type { NewRecord, RegistryStore } from '../../src/log/registry-store.js'
import { postgresEventLog } from '../../src/postgres.js'
import { redisEventLog } from '../../src/redis.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { type StreamStore, startStore } from '../support/stream-stores.js'

/** What a registry knows of one record, where time plays no part. */
interface Known {
  user: string | undefined
  state: 'active' | StreamEnd
  holder: string | undefined
  isSettled: boolean
}

type Model = Map<string, Known>

/** One call, what it does to the model, and whether the answers are the same. */
type Command = (registry: RegistryStore, model: Model) => Promise<void>

const longMs = 3_600_000
const id = fc.constantFrom('a', 'b', 'c', 'ü\ud800~%', '\r"')
const user = fc.constantFrom('ann', 'ann~1', 'b', undefined)
const ids = fc.array(id, { minLength: 1, maxLength: 6 })
const holder = fc.constantFrom('one', 'other')
const end = fc.constantFrom<StreamEnd>('completed', 'failed', 'aborted', 'orphaned')

const register = fc
  .array(fc.record({ id, user, replaces: fc.boolean() }), { minLength: 1, maxLength: 5 })
  .map(
    (wanted): Command =>
      async (registry, model) => {
        const records = wanted.map(
          (it): NewRecord => ({
            ...it,
            kind: 'stream',
            type: 't',
            metadata: '{}',
            lifetimeMs: longMs,
            pauseMs: 0,
          }),
        )
        const expected = wanted.map(({ id, user, replaces }) => {
          if (model.has(id) && !replaces) return false
          model.set(id, { user, state: 'active', holder: undefined, isSettled: false })
          return true
        })
        expect(await registry.register(records)).toEqual(expected)
      },
  )

const heartbeat = ids.map(
  (wanted): Command =>
    async (registry, model) => {
      const expected = wanted.map((id) => {
        const known = model.get(id)
        if (known?.state !== 'active' || known.isSettled) return false
        known.holder = undefined
        return true
      })
      expect(await registry.heartbeat(wanted)).toEqual(expected)
    },
)

const remove = ids.map(
  (wanted): Command =>
    async (registry, model) => {
      const expected = wanted.map((id) => model.delete(id))
      expect(await registry.remove(wanted)).toEqual(expected)
    },
)

const finish = fc.tuple(id, end).map(
  ([id, state]): Command =>
    async (registry, model) => {
      const known = model.get(id)
      const expected = known && known.state === 'active'
      expect(await registry.end(id, state)).toBe(expected)
      if (known === undefined || !expected) return
      Object.assign(known, { state, holder: undefined, isSettled: false })
    },
)

const take = fc.tuple(holder, fc.integer({ min: 1, max: 4 })).map(
  ([holder, limit]): Command =>
    async (registry, model) => {
      const free = [...model].filter(
        ([, known]) =>
          known.state === 'active' && (known.holder === undefined || known.holder === holder),
      )
      const taken = await registry.take({ silentMs: 0, holder, holdMs: longMs, limit })
      expect(taken).toHaveLength(Math.min(limit, free.length))
      expect(new Set(taken.map(({ id }) => id)).size).toBe(taken.length)
      for (const { id } of taken) {
        expect(free.map(([name]) => name)).toContain(id)
        Object.assign(model.get(id) as Known, { holder })
      }
    },
)

const settle = fc.tuple(id, holder).map(
  ([id, holder]): Command =>
    async (registry, model) => {
      const known = model.get(id)
      const isHeld = known?.state === 'active' && known.holder === holder
      expect(await registry.settle(id, holder)).toBe(isHeld)
      if (isHeld) known.isSettled = true
    },
)

const look = fc.tuple(id, user).map(
  ([id, user]): Command =>
    async (registry, model) => {
      const found = await registry.get(id)
      const known = model.get(id)
      expect(found && [found.id, found.state, found.user]).toEqual(
        known && [id, known.state, known.user],
      )
      if (user === undefined) return
      const own = [...model].filter(([, it]) => it.user === user).map(([name]) => name)
      const listed = await registry.list({ user, limit: 100 })
      expect(listed.map((it) => it.id).sort()).toEqual(own.sort())
    },
)

const count: Command = async (registry, model) => {
  const states = [...model.values()].map(({ state }) => state)
  const of = (wanted: string) => states.filter((state) => state === wanted).length
  expect(await registry.count(longMs)).toMatchObject({
    active: of('active'),
    silent: 0,
    completed: of('completed'),
    failed: of('failed'),
    aborted: of('aborted'),
    orphaned: of('orphaned'),
  })
}

const life = fc.array(
  fc.oneof(register, heartbeat, remove, finish, take, settle, look, fc.constant(count)),
  { maxLength: 40 },
)

/** @param open - A registry without records. */
async function check(
  numRuns: number,
  open: () => Promise<{ registry: RegistryStore; close(): Promise<void> }>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(life, async (commands) => {
      const log = await open()
      try {
        const model: Model = new Map()
        for (const command of commands) await command(log.registry, model)
        await count(log.registry, model)
      } finally {
        await log.close()
      }
    }),
    { numRuns },
  )
}

const name = 'answers any sequence of calls as a simple list would'

describe('the registry in memory', () => {
  test(name, () => check(500, async () => memoryEventLog()))
})

describeWithRedis('the registry in Redis', () => {
  let store: StreamStore
  let lives = 0

  beforeAll(async () => {
    store = await startStore('redis')
  })

  afterAll(() => store.stop())

  test(name, () =>
    check(60, async () => {
      lives += 1
      return redisEventLog({ redis: store.url, prefix: `life-${lives}` })
    }),
  )
})

describeWithPostgres('the registry in Postgres', () => {
  let store: StreamStore
  let log: ReturnType<typeof postgresEventLog>

  beforeAll(async () => {
    store = await startStore('postgres')
    log = postgresEventLog({ pool: store.url })
  })

  afterAll(async () => {
    await log.close()
    await store.stop()
  })

  test(name, async () => {
    const all = ['a', 'b', 'c', 'ü\ud800~%', '\r"']
    await check(60, async () => {
      await log.registry.remove(all)
      return { registry: log.registry, close: async () => undefined }
    })
  })
})
