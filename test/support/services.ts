import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, describe } from '@jest/globals'

/** A program that `scripts/ensure-services.mjs` knows. */
type Service = 'chromium' | 'redis-server'

interface Found {
  readonly path: string | undefined
  readonly howToGet: string
}

const asked = new Map<Service, Found>()

function find(service: Service): Found {
  const known = asked.get(service)
  if (known !== undefined) return known
  const script = join(__dirname, '../../scripts/ensure-services.mjs')
  const args = [script, '--find', service]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const found = { path: stdout.trim() || undefined, howToGet: stderr.trim() }
  asked.set(service, found)
  return found
}

/** @throws Error that says how to get the program, where there is none. */
export function pathOf(service: Service): string {
  const { path, howToGet } = find(service)
  if (path === undefined) throw new Error(howToGet)
  return path
}

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
