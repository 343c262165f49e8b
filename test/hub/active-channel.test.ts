import { describe, expect, test } from '@jest/globals'
import { streamName } from '../../src/core/log-names.js'
import { encodeEnding } from '../../src/core/stream-end.js'
import { ActiveChannel } from '../../src/hub/active-channel.js'
import { largestPage, pageLimit } from '../../src/hub/page-limits.js'
import type { EventLog, LogListener, Page } from '../../src/log/event-log.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 60_000 }

/** A memory log that counts reads, and whose live messages the test sends. */
async function setUp(entries = 3) {
  const inner = memoryEventLog()
  const data = Array.from({ length: entries }, (_, i) => ({ data: `${i + 1}` }))
  const appended = await inner.append('a', data)
  const calls = { reads: 0, failing: 0 }
  /** What is read instead of what is there. */
  const page: { answer: Page | undefined } = { answer: undefined }
  /** The answer about the head is on its way until the gate opens. */
  const heads = { asked: 0, gate: Promise.resolve() }
  let listener: LogListener | undefined
  const log = wrapLog(inner, {
    read: async (channel, from, limit) => {
      calls.reads += 1
      if (calls.failing > 0) {
        calls.failing -= 1
        throw new Error('away')
      }
      const found = page.answer ?? (await inner.read(channel, from, limit))
      await new Promise((resolve) => setImmediate(resolve))
      return found
    },
    heads: async (channels) => {
      const found = await inner.heads(channels)
      heads.asked += 1
      await heads.gate
      return found
    },
    follow: async (_channel, given) => {
      listener = given
      return () => undefined
    },
  })
  const errors: unknown[] = []
  const channel = new ActiveChannel('a', log, (error) => errors.push(error))
  const pushed: string[] = []
  channel.listeners.add({
    push: ({ fields }) => pushed.push(fields),
    reset: (_channel, gap) => pushed.push(gap),
  })
  const stored = await inner.read('a', 'earliest', { maxEvents: 100, maxLength: 1e6 })
  return {
    inner,
    calls,
    page,
    heads,
    errors,
    channel,
    pushed,
    ids: appended.map(({ id }) => id),
    stored: stored.entries,
    live: () => listener as LogListener,
  }
}

async function opened(channel: ActiveChannel): Promise<void> {
  await channel.follow()
  await channel.locate()
}

describe('an active channel', () => {
  test('gives the end of a stream behind what its log no longer has', async () => {
    const log = memoryEventLog()
    const name = streamName('a')
    const production = { token: 'mine', leaseMs: 60_000, limits: { ...limits, maxEvents: 1 } }
    const { info } = await log.claim(name, production)
    let live: LogListener | undefined
    const follow: EventLog['follow'] = async (_channel, listener) => {
      live = listener
      return () => undefined
    }
    const channel = new ActiveChannel(name, wrapLog(log, { follow }), () => undefined)
    const told: string[] = []
    channel.listeners.add({
      push: ({ fields }) => told.push(fields),
      reset: (_channel, gap) => told.push(gap),
    })
    await opened(channel)
    const entries = [{ id: '1-7', prevId: info.origin, data: '1' }]
    await log.produce(name, { ...production, entries })
    const end = await log.endStream(name, encodeEnding({ state: 'aborted' }))
    live?.suspect(end?.head)
    await until(() => channel.position === end?.head)
    expect(told).toEqual(['trimmed', 'event: stream-end\ndata: {"state":"aborted"}\n'])
    await log.close()
  })

  test('opens at the head, though an old message that was long on its way comes first', async () => {
    const { channel, stored, live, ids } = await setUp()
    const opening = opened(channel)
    live().append(stored.slice(0, 1))
    await opening
    expect(channel.position).toBe(ids[2])
  })

  test('looks again when it is suspected to have missed something before it knew the head', async () => {
    const { channel, inner, live, heads } = await setUp()
    let answer: () => void = () => undefined
    heads.gate = new Promise((resolve) => {
      answer = resolve
    })
    const opening = opened(channel)
    await until(() => heads.asked === 1)
    const [missed] = await inner.append('a', [{ data: '4' }])
    live().suspect()
    answer()
    await opening
    await until(() => channel.position === missed?.id)
  })

  test('reads the log once for all who want the same page', async () => {
    const { channel, calls, ids } = await setUp()
    await opened(channel)
    const pages = await Promise.all(
      Array.from({ length: 1000 }, () => channel.read(ids[0] as string, pageLimit)),
    )
    expect(calls.reads).toBe(1)
    expect(pages[999]?.entries.map(({ fields }) => fields)).toEqual(['data: 2\n', 'data: 3\n'])
  })

  test('serves from its tail whoever missed only what came while it was active', async () => {
    const { channel, calls, inner, live, ids } = await setUp()
    await opened(channel)
    await inner.append('a', [{ data: '4' }, { data: '5' }])
    const { entries } = await inner.read('a', { last: 2 }, { maxEvents: 9, maxLength: 99 })
    live().append(entries)
    const all = await channel.read(ids[2] as string, pageLimit)
    const last = await channel.read(entries[0]?.id as string, pageLimit)
    expect([all.entries.length, last.entries.length, calls.reads]).toEqual([2, 1, 0])
  })

  test('serves from its tail also what was before it was active, once somebody has read it', async () => {
    const { channel, calls, ids } = await setUp()
    await opened(channel)
    for (const after of [ids[0], ids[0], ids[1]]) {
      const { entries } = await channel.read(after as string, pageLimit)
      expect(entries.at(-1)?.fields).toBe('data: 3\n')
    }
    expect(calls.reads).toBe(1)
  })

  test('mends a hole from the log, in order', async () => {
    const { channel, inner, live, pushed } = await setUp(0)
    await opened(channel)
    await inner.append('a', [{ data: '1' }, { data: '2' }, { data: '3' }])
    const { entries } = await inner.read('a', 'earliest', { maxEvents: 9, maxLength: 99 })
    live().append(entries.slice(0, 1))
    live().append(entries.slice(2))
    await until(() => pushed.length === 3)
    expect(pushed).toEqual(['data: 1\n', 'data: 2\n', 'data: 3\n'])
  })

  test('looks again when it is suspected to have missed something during a look', async () => {
    const { channel, inner, live, pushed, calls } = await setUp(0)
    await opened(channel)
    live().suspect()
    await until(() => calls.reads === 1)
    await inner.append('a', [{ data: '1' }])
    live().suspect()
    await until(() => pushed.length === 1)
    expect(pushed).toEqual(['data: 1\n'])
  })

  test('announces at once that the log went back to a place that it knows', async () => {
    const { channel, inner, page, pushed, live, ids } = await setUp()
    await opened(channel)
    for (const data of ['4', '5']) await inner.append('a', [{ data }])
    const { entries } = await inner.read('a', ids[2] as string, pageLimit)
    live().append(entries)
    page.answer = { entries: entries.slice(0, 1), gap: 'unknown', head: entries[0]?.id as string }
    live().suspect()
    await until(() => pushed.length > 2)
    expect(pushed).toEqual(['data: 4\n', 'data: 5\n', 'unknown'])
    expect(channel.position).toBe(entries[0]?.id)
  })

  test('tries again when the log cannot be read, and says so', async () => {
    const { channel, inner, live, pushed, calls, errors } = await setUp(0)
    await opened(channel)
    await inner.append('a', [{ data: '1' }])
    calls.failing = 1
    live().suspect()
    await until(() => pushed.length === 1)
    expect(errors).toEqual([new Error('away')])
    channel.close()
  })

  test('announces an entry of another writer that cannot be sent', async () => {
    const { channel, inner, live, pushed, errors } = await setUp(0)
    await opened(channel)
    await inner.append('a', [{ event: 'evil\ndata: injected', data: '1' }, { data: '2' }])
    const { entries } = await inner.read('a', 'earliest', { maxEvents: 9, maxLength: 99 })
    live().append(entries)
    expect(pushed).toEqual([
      'event: stream-reset\ndata: {"channels":["a"],"reason":"invalid"}\n',
      'data: 2\n',
    ])
    expect(errors).toMatchObject([{ code: 'ERR_STORE_ENTRY' }])
  })

  test('keeps a bounded tail', async () => {
    const { channel, inner, live, calls } = await setUp(1)
    await opened(channel)
    const before = channel.position
    for (let i = 0; i < 300; i++) await inner.append('a', [{ data: 'x' }])
    const { entries } = await inner.read('a', before, { maxEvents: 300, maxLength: 1e6 })
    live().append(entries)
    await channel.read(before, pageLimit)
    expect(calls.reads).toBe(1)
  })

  test('keeps all that comes while somebody reads the log, up to the largest page', async () => {
    const { channel, inner, live, calls } = await setUp(1)
    await opened(channel)
    const before = channel.position
    channel.hold()
    const publish = async (count: number) => {
      const data = Array.from({ length: count }, () => ({ data: 'x' }))
      await inner.append('a', data)
      const { entries } = await inner.read('a', { last: count }, largestPage)
      live().append(entries)
    }
    await publish(900)
    const { entries } = await channel.read(before, pageLimit)
    expect([entries.length, calls.reads]).toEqual([256, 0])
    channel.release()
    await channel.read(before, pageLimit)
    expect(calls.reads).toBe(1)
    channel.hold()
    for (let n = 0; n < 6; n++) await publish(900)
    await channel.read(entries[0]?.id as string, pageLimit)
    expect(calls.reads).toBe(2)
    channel.release()
  })

  test('does not wait for a pause in what is published', async () => {
    const { channel, inner, live, pushed } = await setUp(0)
    await opened(channel)
    let published = 0
    const publish = async () => {
      published += 1
      await inner.append('a', [{ data: `${published}` }])
      const { entries } = await inner.read('a', { last: 1 }, pageLimit)
      live().append(entries)
    }
    await inner.append('a', [{ data: `${++published}` }])
    await publish()
    let isThere = false
    const resync = channel.resync().then(() => {
      isThere = true
    })
    let turns = 0
    for (; !isThere && turns < 50; turns++) {
      await publish()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await resync
    // Two looks, each of which takes a turn of the event loop.
    expect(turns).toBeLessThanOrEqual(4)
    expect(pushed).toEqual(Array.from({ length: published }, (_, i) => `data: ${i + 1}\n`))
  })
})
