import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict'
import { isEntryId, seqOf } from '../core/entry-id.js'
import type { EventLog, NewEntry } from '../log/event-log.js'
import { all, collector, entry, numbers, type Test, until } from './suite.js'

/** Limits that a test asks of a log. */
export interface LogLimits {
  readonly maxEvents?: number
  readonly maxBytes?: number
  readonly maxAgeMs?: number
}

/** Makes a log of its own for one test. The suite closes it. */
export type CreateLog = (limits: LogLimits) => Promise<EventLog>

/** A channel of its own per test, so that a shared store does no harm. */
let channels = 0

/**
 * The contract of {@link EventLog} in executable form: declares one test per promise.
 *
 * ```ts
 * describe('redisEventLog', () => {
 *   eventLogSuite(test, async (limits) => redisEventLog({ ...limits, redis }))
 * })
 * ```
 */
export function eventLogSuite(test: Test, create: CreateLog): void {
  const withLog = (
    name: string,
    limits: LogLimits,
    body: (log: EventLog, channel: string) => Promise<void>,
  ) =>
    test(name, async () => {
      const log = await create(limits)
      channels += 1
      try {
        await body(log, `suite-${process.pid}-${channels}`)
      } finally {
        await log.close()
      }
    })
  appending(withLog)
  reading(withLog)
  trimming(withLog)
  following(withLog)
  closing(withLog)
}

type WithLog = (
  name: string,
  limits: LogLimits,
  body: (log: EventLog, channel: string) => Promise<void>,
) => unknown

function appending(withLog: WithLog): void {
  withLog(
    'counts from 1 without holes, and gives each entry its predecessor',
    {},
    async (log, a) => {
      const [origin] = await log.heads([a])
      const [first] = await log.append(a, [entry(1)])
      const [second, third] = await log.append(a, [entry(2), entry(3)])
      deepEqual(
        [first, second, third].map((it) => seqOf(it?.id ?? '')),
        [1, 2, 3],
      )
      deepEqual([first?.prevId, second?.prevId, third?.prevId], [origin, first?.id, second?.id])
    },
  )

  withLog(
    'gives ids that fit into a cursor and do not repeat in another channel',
    {},
    async (log, a) => {
      const [mine] = await log.append(a, [entry(1)])
      const [other] = await log.append(`${a}-other`, [entry(1)])
      ok(isEntryId(mine?.id ?? ''))
      notEqual(mine?.id, other?.id)
    },
  )

  withLog('gives appends that overlap one order, each batch in one piece', {}, async (log, a) => {
    const batches = Array.from({ length: 20 }, (_, i) => [
      entry(3 * i),
      entry(3 * i + 1),
      entry(3 * i + 2),
    ])
    const given = await Promise.all(batches.map((batch) => log.append(a, batch)))
    const { entries } = await log.read(a, 'earliest', all)
    deepEqual(
      entries.map(({ id }) => seqOf(id)),
      Array.from({ length: 60 }, (_, i) => i + 1),
    )
    for (const [i, batch] of given.entries()) {
      const at = entries.findIndex(({ id }) => id === batch[0]?.id)
      deepEqual(numbers({ entries: entries.slice(at, at + 3) }), [3 * i, 3 * i + 1, 3 * i + 2])
    }
  })

  withLog('makes an entry readable before its append resolves', {}, async (log, a) => {
    const [appended] = await log.append(a, [entry(1)])
    const [head] = await log.heads([a])
    equal(head, appended?.id)
    deepEqual(numbers(await log.read(a, 'earliest', all)), [1])
  })

  withLog('keeps name and payload to the letter', {}, async (log, a) => {
    const odd: NewEntry[] = [
      { event: 'naïve 😀', data: '' },
      { event: undefined, data: '"line\nbreak\r\n\u0000 \u2028 😀"' },
      { event: '__proto__', data: 'x'.repeat(100_000) },
    ]
    await log.append(a, odd)
    const { entries } = await log.read(a, 'earliest', { ...all, maxLength: 1_000_000 })
    deepEqual(
      entries.map(({ event, data }) => ({ event, data })),
      odd,
    )
  })

  withLog('appends an idempotency key once, and gives the first id again', {}, async (log, a) => {
    const keyed = { ...entry(1), idempotencyKey: 'order-17' }
    const [first] = await log.append(a, [keyed])
    const [again, next] = await log.append(a, [keyed, entry(2)])
    deepEqual([again?.id, again?.duplicate, next?.duplicate], [first?.id, true, false])
    deepEqual(numbers(await log.read(a, 'earliest', all)), [1, 2])
    const [elsewhere] = await log.append(`${a}-other`, [keyed])
    equal(elsewhere?.duplicate, false)
  })

  withLog('tells any two idempotency keys apart', {}, async (log, a) => {
    const odd = ['\0', '\\0', '\r', '\r"\\r"', '\ud800', '\ud801', '\ufffd', '"\\ud800"', '😀']
    const keys = [...odd, 'k'.repeat(255), '😀'.repeat(255)]
    for (const idempotencyKey of keys) await log.append(a, [{ ...entry(1), idempotencyKey }])
    const again = await log.append(
      a,
      keys.map((idempotencyKey) => ({ ...entry(2), idempotencyKey })),
    )
    deepEqual(
      again.map(({ id, duplicate }) => [seqOf(id), duplicate]),
      keys.map((_key, i) => [i + 1, true]),
    )
  })

  withLog('appends a key once when retries overlap, and within one batch', {}, async (log, a) => {
    const keyed = { ...entry(1), idempotencyKey: 'k' }
    const results = await Promise.all([1, 2, 3].map(() => log.append(a, [keyed, keyed])))
    equal(results.flat().filter(({ duplicate }) => !duplicate).length, 1)
    deepEqual(numbers(await log.read(a, 'earliest', all)), [1])
  })
}

function reading(withLog: WithLog): void {
  withLog('reads what comes after an entry, in order', {}, async (log, a) => {
    const appended = await log.append(a, [entry(1), entry(2), entry(3)])
    const page = await log.read(a, appended[0]?.id ?? '', all)
    deepEqual([numbers(page), page.gap, page.head], [[2, 3], undefined, appended[2]?.id])
  })

  withLog('reads from before the first entry', {}, async (log, a) => {
    const [origin] = await log.heads([a])
    await log.append(a, [entry(1), entry(2)])
    const page = await log.read(a, origin ?? '', all)
    deepEqual([numbers(page), page.gap], [[1, 2], undefined])
  })

  withLog('has nothing after its head, and no gap there', {}, async (log, a) => {
    const [empty] = await log.heads([a])
    deepEqual(await log.read(a, empty ?? '', all), { entries: [], gap: undefined, head: empty })
    await log.append(a, [entry(1)])
    const [head] = await log.heads([a])
    deepEqual(await log.read(a, head ?? '', all), { entries: [], gap: undefined, head })
  })

  withLog('reads page by page, by number and by length', {}, async (log, a) => {
    await log.append(a, [entry(1), entry(2), entry(3), entry(4)])
    const first = await log.read(a, 'earliest', { ...all, maxEvents: 3 })
    const rest = await log.read(a, first.entries.at(-1)?.id ?? '', { ...all, maxEvents: 3 })
    deepEqual([numbers(first), numbers(rest)], [[1, 2, 3], [4]])
    const short = await log.read(a, 'earliest', { ...all, maxLength: 1 })
    deepEqual(numbers(short), [1])
  })

  withLog('reads the last entries', {}, async (log, a) => {
    await log.append(a, [entry(1), entry(2), entry(3)])
    deepEqual(numbers(await log.read(a, { last: 2 }, all)), [2, 3])
    deepEqual(numbers(await log.read(a, { last: 9 }, all)), [1, 2, 3])
    deepEqual(numbers(await log.read(a, { last: 0 }, all)), [])
    deepEqual(numbers(await log.read(`${a}-none`, { last: 2 }, all)), [])
  })

  withLog(
    'tells heads in the order asked, with seq 0 before the first entry',
    {},
    async (log, a) => {
      const [appended] = await log.append(a, [entry(1)])
      const heads = await log.heads([`${a}-none`, a])
      equal(seqOf(heads[0] ?? ''), 0)
      equal(heads[1], appended?.id)
      deepEqual(await log.heads([`${a}-none`, a]), heads)
    },
  )

  withLog('reports an id that it never gave', {}, async (log, a) => {
    const appended = await log.append(a, [entry(1), entry(2), entry(3)])
    const [seq, nonce] = (appended[1]?.id ?? '').split('-')
    const forged = `${seq}-${(Number(nonce) + 1) % 2 ** 32}`
    for (const id of [forged, '4-1', '9007199254740991-1', '0-1', 'garbage', '']) {
      const page = await log.read(a, id, all)
      match(page.gap ?? 'none', /unknown|trimmed/, `${id} is no position of this log`)
      equal(page.head, appended[2]?.id)
    }
  })

  withLog('keeps channels apart, whatever their names', {}, async (log, a) => {
    const names = [
      `${a}:b`,
      `${a}b`,
      `${a}`,
      `${a}*`,
      `${a}{b}`,
      `${a} b`,
      `${a}/b`,
      `${a}😀`,
      `${a}%3Ab`,
    ]
    for (const [i, name] of names.entries()) await log.append(name, [entry(i)])
    for (const [i, name] of names.entries()) {
      deepEqual(numbers(await log.read(name, 'earliest', all)), [i])
    }
  })
}

function trimming(withLog: WithLog): void {
  withLog(
    'reports a gap once the wanted entries were trimmed',
    { maxEvents: 2 },
    async (log, a) => {
      const [first] = await log.append(a, [entry(1)])
      for (const n of [2, 3, 4]) await log.append(a, [entry(n)])
      const page = await log.read(a, first?.id ?? '', all)
      deepEqual([numbers(page), page.gap], [[3, 4], 'trimmed'])
    },
  )

  withLog(
    'reports none when all that was trimmed had been read',
    { maxEvents: 2 },
    async (log, a) => {
      const appended = await log.append(a, [entry(1), entry(2), entry(3), entry(4)])
      const page = await log.read(a, appended[1]?.id ?? '', all)
      deepEqual([numbers(page), page.gap], [[3, 4], undefined])
    },
  )

  withLog('drops the oldest entries past its bytes', { maxBytes: 2500 }, async (log, a) => {
    for (const n of [1, 2, 3, 4])
      await log.append(a, [{ data: JSON.stringify({ n, pad: 'x'.repeat(840) }) }])
    const kept = numbers(await log.read(a, 'earliest', all))
    ok(kept.length >= 1 && kept.length < 4, `keeps ${kept}`)
    equal(kept.at(-1), 4)
  })

  withLog('drops entries past their age, and reports the gap', { maxAgeMs: 60 }, async (log, a) => {
    const [first] = await log.append(a, [entry(1)])
    await log.append(a, [entry(2)])
    await until(async () => (await log.read(a, 'earliest', all)).entries.length === 0)
    const page = await log.read(a, first?.id ?? '', all)
    ok(page.gap !== undefined)
    // A channel that nobody asks for is forgotten as soon, maybe between these two.
    await until(async () => {
      const [head] = await log.heads([a])
      return (await log.read(a, head ?? '', all)).gap === undefined
    })
  })

  withLog(
    'takes an idempotency key anew once its entry is gone',
    { maxEvents: 2 },
    async (log, a) => {
      const keyed = { ...entry(1), idempotencyKey: 'k' }
      await log.append(a, [keyed])
      for (let n = 2; n < 300; n++) await log.append(a, [entry(n)])
      const [again] = await log.append(a, [keyed])
      equal(again?.duplicate, false)
    },
  )
}

function following(withLog: WithLog): void {
  withLog('tells followers what is appended, in order, until they leave', {}, async (log, a) => {
    await log.append(a, [entry(1)])
    const listener = collector()
    const leave = await log.follow(a, listener)
    await log.append(a, [entry(2), entry(3)])
    await log.append(`${a}-other`, [entry(99)])
    await log.append(a, [entry(4)])
    await until(async () => listener.seen.length === 3)
    deepEqual(numbers({ entries: listener.seen }), [2, 3, 4])
    deepEqual(listener.seen, (await log.read(a, { last: 3 }, all)).entries)
    leave()
    leave()
    await log.append(a, [entry(5)])
    await until(async () => (await log.read(a, { last: 1 }, all)).entries.length === 1)
    equal(listener.seen.length, 3)
  })

  withLog('tells each follower, though one leaves or follows twice', {}, async (log, a) => {
    const [stays, twice] = [collector(), collector()]
    await log.follow(a, stays)
    const leave = await log.follow(a, twice)
    await log.follow(a, twice)
    leave()
    await log.append(a, [entry(1)])
    await until(async () => stays.seen.length + twice.seen.length >= 2)
    deepEqual([stays.seen.length, twice.seen.length], [1, 1])
  })

  withLog('tells nothing for an append that was a duplicate', {}, async (log, a) => {
    const listener = collector()
    await log.follow(a, listener)
    const keyed = { ...entry(1), idempotencyKey: 'k' }
    await log.append(a, [keyed])
    await log.append(a, [keyed])
    await log.append(a, [entry(2)])
    await until(async () => listener.seen.length >= 2)
    deepEqual(numbers({ entries: listener.seen }), [1, 2])
  })
}

function closing(withLog: WithLog): void {
  withLog('refuses appends to a closed channel, and reads it on', {}, async (log, a) => {
    await log.append(a, [entry(1)])
    await log.closeChannel(a)
    await rejects(log.append(a, [entry(2)]), { code: 'ERR_CHANNEL_CLOSED' })
    deepEqual(numbers(await log.read(a, 'earliest', all)), [1])
    await log.append(`${a}-other`, [entry(3)])
  })

  withLog('refuses everything after close, which may be called twice', {}, async (log, a) => {
    await log.close()
    await log.close()
    const closed = { code: 'ERR_LOG_CLOSED' }
    await rejects(log.append(a, [entry(1)]), closed)
    await rejects(log.read(a, 'earliest', all), closed)
    await rejects(log.heads([a]), closed)
    await rejects(log.follow(a, collector()), closed)
    await rejects(log.closeChannel(a), closed)
  })
}
