import { describe, expect, test } from '@jest/globals'
import type { BacklogLimits } from '../../../src/log/backlog.js'
import type { NewEntry } from '../../../src/log/event-log.js'
import { Batches } from '../../../src/log/redis/batches.js'

function setUp(limits: Partial<BacklogLimits> = {}) {
  const sent: [channel: string, data: string[]][] = []
  const send = async (channel: string, entries: readonly NewEntry[]) => {
    sent.push([channel, entries.map(({ data }) => data.slice(0, 3))])
    return entries.map(({ data }) => ({ id: data.slice(0, 3), prevId: '', duplicate: false }))
  }
  return { batches: new Batches(send, { maxPending: 1000, maxPendingBytes: 1e6, ...limits }), sent }
}

const entry = (data: string) => ({ data })

describe('Batches', () => {
  test('send what is appended in one turn as one command per channel, in order', async () => {
    const { batches, sent } = setUp()
    const results = await Promise.all([
      batches.append('a', [entry('1')]),
      batches.append('b', [entry('2')]),
      Promise.resolve().then(() => batches.append('a', [entry('3'), entry('4')])),
      batches.append('a', []),
    ])
    await batches.append('a', [entry('5')])
    expect(sent).toEqual([
      ['a', ['1', '3', '4']],
      ['b', ['2']],
      ['a', ['5']],
    ])
    expect(results.map((list) => list.map(({ id }) => id))).toEqual([['1'], ['2'], ['3', '4'], []])
  })

  test('begin another one where it would get too large to be delivered at once', async () => {
    const { batches, sent } = setUp()
    const large = `big${'x'.repeat(20_000)}`
    await Promise.all([
      ...Array.from({ length: 130 }, (_, i) => batches.append('a', [entry(String(i))])),
      batches.append('a', [entry(large)]),
      batches.append('a', [entry('end')]),
    ])
    expect(sent.map(([, data]) => data.length)).toEqual([128, 2, 1, 1])
    expect(sent.flatMap(([, data]) => data)).toEqual([
      ...Array.from({ length: 130 }, (_, i) => String(i)),
      'big',
      'end',
    ])
  })

  test('refuse what is more than may wait', async () => {
    const { batches, sent } = setUp({ maxPending: 2 })
    const results = await Promise.allSettled(
      ['1', '2', '3'].map((data) => batches.append('a', [entry(data)])),
    )
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
    expect(results[2]).toMatchObject({ reason: { code: 'ERR_LOG_UNAVAILABLE' } })
    await batches.append('a', [entry('4')])
    expect(sent).toEqual([
      ['a', ['1', '2']],
      ['a', ['4']],
    ])
  })
})
