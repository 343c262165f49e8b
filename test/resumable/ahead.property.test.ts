import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { formatEntryId, seqOf } from '../../src/core/entry-id.js'
import { encodeEnding, endId } from '../../src/core/stream-end.js'
import { memoryEventLog } from '../../src/index.js'
import { entryCost } from '../../src/log/entry-cost.js'
import type { LogListener, StoredEvent } from '../../src/log/event-log.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { AheadReaders } from '../../src/resumable/ahead.js'

/** Milliseconds that the log takes for a message, and until it finds one that was lost. */
const [latencyMs, lookMs] = [40, 700]

/** Milliseconds that a write of a producer that lives may take. */
const writeMs = 2000

/** What a wait may take: a write, and what goes to and fro before and behind it. */
const longestMs = (flushMs: number) => flushMs + writeMs + 5 * latencyMs

const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 3_600_000 }
const production = { token: 'producer', leaseMs: 3_600_000, limits }

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A log across a network that loses messages. */
function distant(inner: StreamLog, isLost: () => boolean) {
  const state = { followers: 0 }
  return {
    state,
    heads: async (channels: readonly string[]) => {
      await sleep(latencyMs)
      const heads = await inner.heads(channels)
      await sleep(latencyMs)
      return heads
    },
    follow: async (channel: string, listener: LogListener) => {
      await sleep(latencyMs)
      state.followers += 1
      const unfollow = await inner.follow(channel, {
        append: (entries) => {
          if (isLost()) setTimeout(() => listener.suspect(), lookMs)
          else setTimeout(() => listener.append(entries), latencyMs)
        },
        suspect: () => listener.suspect(),
      })
      return () => {
        state.followers -= 1
        unfollow()
      }
    },
  }
}

const scene = fc.record({
  /** Milliseconds between the writes of entries that its readers have long had. */
  gaps: fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 8 }),
  /** How many entries there are before the end, and how that came. */
  end: fc.constantFrom<'none' | 'completed' | 'orphaned'>('none', 'completed', 'orphaned'),
  askedAt: fc.integer({ min: 0, max: 3000 }),
  /** The `seq` of the position. */
  seq: fc.integer({ min: 0, max: 12 }),
  position: fc.constantFrom<'genuine' | 'other nonce' | 'end'>('genuine', 'other nonce', 'end'),
  flushMs: fc.constantFrom(0, 50, 1000),
  leavesAfterMs: fc.option(fc.integer({ min: 0, max: 3000 }), { nil: undefined }),
})

describe('a reader that is ahead of the log', () => {
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })
  })

  afterEach(() => {
    jest.useRealTimers()
  })

  test('is waited for until the log has its place, another end, or a producer that lives would have written it', async () => {
    const counts = { reached: 0, ended: 0, late: 0, left: 0 }
    await fc.assert(
      fc.asyncProperty(scene, fc.infiniteStream(fc.boolean()), async (given, losses) => {
        const { gaps, end, askedAt, seq, position: kind, flushMs, leavesAfterMs } = given
        jest.clearAllTimers()
        const inner = memoryEventLog()
        const log = distant(inner, () => losses.next().value as boolean)
        const readers = new AheadReaders(log, { flushMs, maxAheadBytes: 1_048_576 })
        const { info } = await inner.claim('a', production)
        const entries: StoredEvent[] = []
        let prevId = info?.origin ?? ''
        for (const n of gaps.keys()) {
          const id = formatEntryId(n + 1, 100 + n)
          entries.push({ id, prevId, data: '' })
          prevId = id
        }
        if (end === 'completed') {
          entries.push({ id: endId(prevId), prevId, ...encodeEnding({ state: 'completed' }) })
        }
        /** When the log has each `seq`. */
        const writtenAt: number[] = [0]
        let at = 0
        for (const [i, entry] of entries.entries()) {
          at += gaps[i] ?? 1
          writtenAt.push(at)
          setTimeout(() => void inner.produce('a', { ...production, entries: [entry] }), at)
        }
        if (end === 'orphaned') {
          writtenAt.push(++at)
          setTimeout(() => void inner.endStream('a', encodeEnding({ state: 'orphaned' })), at)
        }
        const endedAt = end === 'none' ? Number.POSITIVE_INFINITY : at
        const genuine = kind === 'genuine' && seq > 0 ? entries[seq - 1]?.id : undefined
        const position = genuine ?? formatEntryId(seq, kind === 'end' ? 0 : 99)

        await jest.advanceTimersByTimeAsync(askedAt)
        const [head = ''] = await inner.heads(['a'])
        const leaving = new AbortController()
        if (leavesAfterMs !== undefined) setTimeout(() => leaving.abort(), leavesAfterMs)
        let doneAt: number | undefined
        let reached = ''
        const waiting = readers.reached('a', { head, position }, leaving.signal)
        const startedAt = performance.now()
        void waiting.then((id) => {
          reached = id
          doneAt = performance.now() - startedAt
        })
        await jest.advanceTimersByTimeAsync(longestMs(flushMs))
        await waiting

        const tookMs = doneAt as number
        const ms = (time: number) => Math.max(0, time - askedAt)
        const decidedMs = ms(Math.min(writtenAt[seq] ?? Number.POSITIVE_INFINITY, endedAt))
        const noticeMs = 3 * latencyMs + Math.max(latencyMs, lookMs + 2 * latencyMs)
        const untilMs = Math.min(decidedMs, leavesAfterMs ?? Number.POSITIVE_INFINITY)
        expect(tookMs).toBeLessThanOrEqual(Math.min(longestMs(flushMs), untilMs + noticeMs))
        // Nobody is given up who could still come, nor waited for who cannot.
        if (decidedMs > 0)
          expect(tookMs).toBeGreaterThanOrEqual(Math.min(untilMs, flushMs + writeMs))
        else expect(tookMs).toBe(0)
        const hasLeft = (leavesAfterMs ?? Number.POSITIVE_INFINITY) <= tookMs
        if (decidedMs > 0 && decidedMs <= tookMs - latencyMs && !hasLeft) {
          expect(seqOf(reached)).toBeGreaterThanOrEqual(Math.min(seq, writtenAt.length - 1))
          const isKnown = genuine !== undefined || (kind === 'end' && endId(prevId) === position)
          const { gap } = await inner.read('a', position, { maxEvents: 1, maxLength: 1 })
          if (isKnown && (writtenAt[seq] ?? Number.POSITIVE_INFINITY) <= endedAt) {
            expect(gap).toBeUndefined()
          } else expect(gap).toBe('unknown')
          counts[(writtenAt[seq] ?? endedAt + 1) <= endedAt ? 'reached' : 'ended'] += 1
        } else if (decidedMs > 0 && hasLeft) counts.left += 1
        else if (tookMs >= flushMs + writeMs) counts.late += 1

        expect(log.state.followers).toBe(0)
        await jest.advanceTimersByTimeAsync(60_000)
        await inner.close()
        expect(jest.getTimerCount()).toBe(0)
      }),
      { numRuns: 2000 },
    )
    // Each way of it was seen.
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(10)
  }, 60_000)

  test('is not waited for where no producer could be', async () => {
    const log = distant(memoryEventLog(), () => false)
    const maxAheadBytes = 10 * entryCost({ data: '' })
    const readers = new AheadReaders(log, { flushMs: 50, maxAheadBytes })
    const never = new AbortController().signal
    for (const position of ['1718000000000-0', '16-1', '3-0', '2-7', '0-0']) {
      expect(await readers.reached('a', { head: '3-5', position }, never)).toBe('3-5')
    }
    expect(await readers.reached('a', { head: '3-0', position: '4-7' }, never)).toBe('3-0')
    expect(jest.getTimerCount()).toBe(0)
  })
})
