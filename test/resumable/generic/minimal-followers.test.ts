import { describe, expect, test } from '@jest/globals'
import { MinimalFollowers } from '../../../src/resumable/generic/minimal-followers.js'
import type { Store } from '../../../src/resumable/generic/store.js'
import { countTimers } from '../../support/count-timers.js'

describe('followers of streams in plain stores', () => {
  test('have one timer, though all left and another came while it was looked after them', async () => {
    const store = { listen: async () => () => undefined } as unknown as Store
    let looks = 0
    let answer: () => void = () => undefined
    let ask: () => void = () => undefined
    const asked = new Promise<void>((resolve) => {
      ask = resolve
    })
    const look = async () => {
      looks += 1
      // The first is of who begins, the second of the timer.
      if (looks === 2) {
        ask()
        await new Promise<void>((resolve) => {
          answer = resolve
        })
      }
      return { head: '1-1', tail: [] }
    }
    const timers = countTimers()
    const followers = new MinimalFollowers({ store, liveOf: (name) => name, look }, 200)
    const listener = { append: () => undefined, suspect: () => undefined }
    const leave = await followers.follow('a', listener)
    await asked
    leave()
    await followers.follow('b', listener)
    answer()
    for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve))
    expect(timers.alive).toBe(1)
    followers.close()
    timers.stop()
  })
})
