import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** A program that `scripts/ensure-services.mjs` knows. */
export type Service =
  | 'chromium'
  | 'faketime'
  | 'firefox'
  | 'nginx'
  | 'pgbouncer'
  | 'postgresql'
  | 'pushpin'
  | 'redis-server'
  | 'varnish'

interface Found {
  readonly path: string | undefined
  readonly howToGet: string
}

const asked = new Map<Service, Found>()

/** The path is undefined where there is none. */
export function find(service: Service): Found {
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
