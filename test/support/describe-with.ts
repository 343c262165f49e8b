import { beforeAll, describe } from '@jest/globals'
import { find, pathOf, type Service } from './services.js'

/**
 * `describe` for tests that need a program. Without it they fail where `CI` is set; elsewhere they
 * are skipped, and stderr tells so.
 */
export function describeWith(service: Service, name: string, tests: () => void): void {
  const { path, howToGet } = find(service)
  const run = path !== undefined || process.env.CI ? describe : describe.skip
  if (run === describe.skip) process.stderr.write(`Skipped: ${name}. ${howToGet}\n`)
  run(name, () => {
    beforeAll(() => {
      pathOf(service)
    })
    tests()
  })
}
