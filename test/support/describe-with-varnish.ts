import { jest } from '@jest/globals'
import { describeWith } from './describe-with.js'

/** `describe` for tests that start a `Varnish`. See `describeWith` for what it does without one. */
export function describeWithVarnish(name: string, tests: () => void): void {
  describeWith('varnish', name, () => {
    jest.setTimeout(30_000)
    tests()
  })
}
