import { describe, expect, test } from '@jest/globals'
import { formatEntryId } from '../../src/core/entry-id.js'
import type { StoredEvent } from '../../src/log/event-log.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { Appender } from '../../src/resumable/appender.js'
import { resolveStreamsOptions } from '../../src/resumable/options.js'
import { until } from '../support/until.js'

const entryOf = (n: number): StoredEvent => ({
  id: formatEntryId(n, 7),
  prevId: formatEntryId(n - 1, 7),
  event: undefined,
  data: String(n),
})

async function setUp(own = {}) {
  const inner = memoryEventLog()
  const options = resolveStreamsOptions({ flushMs: 0, ...own })
  const { leaseMs, limits } = options
  const from = { origin: '0-7', head: '0-7' }
  await inner.claim('a', { token: 't', leaseMs, limits, from })
  const batches: (readonly StoredEvent[])[] = []
  const times: number[] = []
  const log = {
    ...inner,
    inspect: inner.inspect.bind(inner),
    claim: inner.claim.bind(inner),
    produce: async (...args: Parameters<typeof inner.produce>) => {
      times.push(performance.now())
      batches.push(args[1].entries)
      return inner.produce(...args)
    },
  } as unknown as typeof inner
  const appender = new Appender({
    log,
    channel: 'a',
    token: 't',
    origin: '0-7',
    options,
    appended: () => undefined,
    lost: () => undefined,
    away: () => undefined,
  })
  const stored = async () => {
    const { entries } = await inner.read('a', '0-7', { maxEvents: 1e6, maxLength: 1e9 })
    return entries.map(({ data }) => Number(data))
  }
  return { appender, batches, times, stored }
}

describe('an appender', () => {
  test('writes what is added in whatever moment of another write', async () => {
    for (let microtasks = 0; microtasks < 40; microtasks++) {
      const { appender, stored } = await setUp()
      appender.add(entryOf(1))
      for (let i = 0; i < microtasks; i++) await undefined
      appender.add(entryOf(2))
      await appender.flush()
      expect(await stored()).toEqual([1, 2])
    }
  })

  test('writes no more often than it is told to', async () => {
    const { appender, batches, times } = await setUp({ flushMs: 60 })
    appender.add(entryOf(1))
    await new Promise((resolve) => setTimeout(resolve, 5))
    appender.add(entryOf(2))
    appender.add(entryOf(3))
    await until(() => batches.length === 2)
    expect((times[1] as number) - (times[0] as number)).toBeGreaterThanOrEqual(59)
    expect(batches.map((batch) => batch.map(({ data }) => data))).toEqual([['1'], ['2', '3']])
  })

  test('waits for its time neither with much, nor with the end', async () => {
    const { appender, batches, stored } = await setUp({ flushMs: 60_000, flushBytes: 20 })
    for (let n = 1; n <= 30; n++) appender.add(entryOf(n))
    await until(() => batches.flat().length === 30)
    appender.add(entryOf(31))
    await appender.flush()
    expect(await stored()).toEqual(Array.from({ length: 31 }, (_, i) => i + 1))
  })
})
