import { jest } from '@jest/globals'
import { describeWith } from './describe-with.js'

/** `describe` for tests that start a `Pushpin`. See `describeWith` for what it does without one. */
export function describeWithPushpin(name: string, tests: () => void): void {
  describeWith('pushpin', name, () => {
    jest.setTimeout(30_000)
    tests()
  })
}
