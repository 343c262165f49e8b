import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { Registry } from '../../src/react/registry.js'

const graceMs = 10

/** A thing that notes whether it runs. */
class Runner {
  isRunning = false
  resume() {
    this.isRunning = true
  }
  suspend() {
    this.isRunning = false
  }
}

describe('Registry', () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('hold' as const), key: fc.constantFrom('a', 'b') }),
    fc.record({ type: fc.constant('release' as const), holder: fc.nat(20) }),
    fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 2 * graceMs }) }),
  )

  test('has one item for each key that is held, and none a while after', () => {
    jest.useFakeTimers()
    try {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
          const registry = new Registry<Runner>(graceMs)
          const made: Runner[] = []
          const holders: { key: string; item: Runner; release: () => void; isOn: boolean }[] = []
          const make = () => {
            const item = new Runner()
            made.push(item)
            return item
          }
          for (const step of steps) {
            if (step.type === 'hold') {
              holders.push({ key: step.key, ...registry.hold(step.key, make), isOn: true })
            } else if (step.type === 'wait') jest.advanceTimersByTime(step.ms)
            else {
              // Also one that was released before.
              const holder = holders[step.holder % Math.max(holders.length, 1)]
              holder?.release()
              if (holder) holder.isOn = false
            }
            for (const key of ['a', 'b']) {
              const held = holders.filter((holder) => holder.key === key && holder.isOn)
              expect(new Set(held.map(({ item }) => item)).size).toBeLessThanOrEqual(1)
              expect(held.every(({ item }) => item.isRunning)).toBe(true)
            }
            expect(made.filter(({ isRunning }) => isRunning).length).toBe(registry.size)
          }
          for (const { release } of holders) release()
          jest.advanceTimersByTime(graceMs)
          expect([registry.size, made.some(({ isRunning }) => isRunning)]).toEqual([0, false])
          expect(jest.getTimerCount()).toBe(0)
        }),
      )
    } finally {
      jest.useRealTimers()
    }
  })

  test('holds nothing when an item cannot be made', () => {
    const registry = new Registry<Runner>(graceMs)
    const fail = () => {
      throw new Error('none')
    }

    expect(() => registry.hold('a', fail)).toThrow('none')

    expect(registry.size).toBe(0)
  })
})
