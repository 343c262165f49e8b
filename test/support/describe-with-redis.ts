import { jest } from '@jest/globals'
import { describeWith } from './describe-with.js'

/** `describe` for tests that start a `RedisServer`. See `describeWith` for what it does without one. */
export function describeWithRedis(name: string, tests: () => void): void {
  describeWith('redis-server', name, () => {
    jest.setTimeout(30_000)
    tests()
  })
}
