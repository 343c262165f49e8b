import { jest } from '@jest/globals'
import { describeWith } from './describe-with.js'

/** `describe` for tests that start a `PostgresServer`. See `describeWith` for what it does without one. */
export function describeWithPostgres(name: string, tests: () => void): void {
  describeWith('postgresql', name, () => {
    jest.setTimeout(60_000)
    tests()
  })
}
