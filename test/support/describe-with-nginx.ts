import { jest } from '@jest/globals'
import { describeWith } from './describe-with.js'

/** `describe` for tests that start an `Nginx`. See `describeWith` for what it does without one. */
export function describeWithNginx(name: string, tests: () => void): void {
  describeWith('nginx', name, () => {
    jest.setTimeout(30_000)
    tests()
  })
}
