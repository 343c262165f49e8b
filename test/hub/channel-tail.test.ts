import { describe, expect, test } from '@jest/globals'
import { ChannelTail, TailTotal } from '../../src/hub/channel-tail.js'

const limit = { maxEvents: 100, maxLength: 100_000 }

function entry(n: number, length = 100) {
  return { id: `${n}-1`, prevId: `${n - 1}-1`, fields: 'x'.repeat(length), isLoss: false }
}

describe('the last events of all channels', () => {
  test('have a limit together, and those of channels that are quiet go first', () => {
    // Of three entries, with what they take beside their text.
    const total = new TailTotal(900)
    const [a, b, c, d] = Array.from({ length: 4 }, () => new ChannelTail(total)) as [
      ChannelTail,
      ChannelTail,
      ChannelTail,
      ChannelTail,
    ]
    for (const tail of [a, b, c]) tail.add(entry(1))
    a.add(entry(2))
    expect([a, b, c].map((tail) => tail.read('0-1', limit)?.length)).toEqual([2, undefined, 1])
    d.add(entry(1))
    expect([a, c, d].map((tail) => tail.read('0-1', limit)?.length)).toEqual([2, undefined, 1])
    expect(total.bytes).toBe(900)
  })

  test('stay while somebody reads the log behind them', () => {
    const total = new TailTotal(900)
    const [held, other] = [new ChannelTail(total), new ChannelTail(total)]
    held.hold()
    for (let n = 1; n <= 10; n++) held.add(entry(n))
    for (let n = 1; n <= 5; n++) other.add(entry(n))
    expect(held.read('0-1', limit)).toHaveLength(10)
    held.release()
    other.add(entry(6))
    expect(held.read('0-1', limit)).toBeUndefined()
    expect(total.bytes).toBeLessThanOrEqual(900)
  })

  test('count for nothing once their channel is left', () => {
    const total = new TailTotal()
    const tails = Array.from({ length: 10 }, () => new ChannelTail(total))
    for (const tail of tails) for (let n = 1; n <= 300; n++) tail.add(entry(n, 1000))
    expect(total.bytes).toBeGreaterThan(0)
    for (const tail of tails) tail.clear()
    expect([total.bytes, total.spare.size]).toEqual([0, 0])
  })
})
