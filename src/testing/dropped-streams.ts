import { deepEqual, equal } from 'node:assert/strict'
import { formatEntryId, seqOf } from '../core/entry-id.js'
import { encodeEnding, endId } from '../core/stream-end.js'
import type { StoredEvent } from '../log/event-log.js'
import type { RegistryLog } from '../log/registry-store.js'
import type { StreamLog } from '../log/stream-log.js'
import { all, entry, until } from './suite.js'

export type WithLog = (
  name: string,
  body: (log: StreamLog & RegistryLog, channel: string) => Promise<void>,
) => unknown

const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 60_000 }

export function dropping(withLog: WithLog): void {
  withLog('drops a stream that has ended, as if it had never been', async (log, a) => {
    const [one, , last] = await produceAll(log, a, 'first')
    equal(await log.dropStream(a), true)
    equal(await log.dropStream(a), false)
    equal(await log.inspect(a), undefined)
    for (const entry of [one, last]) {
      const page = await log.read(a, entry.id, all)
      deepEqual([page.entries, page.gap, seqOf(page.head)], [[], 'unknown', 0])
    }
    const next = await produceAll(log, a, 'second')
    const { entries, gap } = await log.read(a, 'earliest', all)
    deepEqual([entries, gap], [next, undefined])
    equal((await log.read(a, one.id, all)).gap, 'unknown')
  })

  withLog('goes on telling whoever follows a stream that was dropped', async (log, a) => {
    const seen: StoredEvent[] = []
    const look = () =>
      void log
        .read(a, 'earliest', all)
        .then(({ entries }) => seen.push(...entries))
        // It may be closed by then.
        .catch(() => undefined)
    await log.follow(a, { append: (entries) => void seen.push(...entries), suspect: look })
    const [one] = await produceAll(log, a, 'first')
    await until(async () => seen.some(({ id }) => id === one.id))
    equal(await log.dropStream(a), true)
    const [next] = await produceAll(log, a, 'second')
    await until(async () => seen.some(({ id, prevId }) => id === next.id && prevId === next.prevId))
  })

  withLog('drops nothing but streams that have ended', async (log, a) => {
    equal(await log.dropStream(a), false)
    await log.append(`${a}-channel`, [entry(1)])
    equal(await log.dropStream(`${a}-channel`), false)
    await log.closeChannel(`${a}-channel`)
    equal(await log.dropStream(`${a}-channel`), false)
    equal((await log.read(`${a}-channel`, 'earliest', all)).entries.length, 1)
    await log.claim(a, { token: 'mine', leaseMs: 60_000, limits })
    equal(await log.dropStream(a), false)
    deepEqual(await log.renew([{ channel: a, token: 'mine', leaseMs: 60_000 }]), [true])
  })

  withLog('drops a stream whose lease has run out', async (log, a) => {
    await log.claim(a, { token: 'mine', leaseMs: 30, limits })
    await until(() => log.dropStream(a))
    equal(await log.inspect(a), undefined)
  })
}

/** Makes a stream that has ended, and returns its entries. */
async function produceAll(
  log: StreamLog,
  channel: string,
  token: string,
): Promise<readonly [StoredEvent, StoredEvent, StoredEvent]> {
  const lease = { token, leaseMs: 60_000, limits }
  const { outcome, info } = await log.claim(channel, lease)
  equal(outcome, 'owned')
  const origin = info.origin
  const [one, two] = [nextId(origin), nextId(nextId(origin))]
  const entries = [
    { id: one, prevId: origin, ...entry(1) },
    { id: two, prevId: one, ...entry(2) },
    { id: endId(two), prevId: two, ...encodeEnding({ state: 'completed' }) },
  ] as const
  equal(await log.produce(channel, { ...lease, entries }), 'appended')
  return entries
}

function nextId(id: string): string {
  return formatEntryId(seqOf(id) + 1, 1 + Math.floor(Math.random() * 2 ** 31))
}
