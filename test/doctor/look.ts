import type { ServerResponse } from 'node:http'
import { diagnose } from '../../src/doctor/diagnose.js'
import type { Finding } from '../../src/doctor/finding.js'
import { checkTarget, type DoctorOptions } from '../../src/doctor/options.js'

/** How long a stream is watched for that shows at once what it is. Milliseconds. */
const briefMs = 300

/**
 * What the doctor finds, by check. Without connections at once, which few tests are about.
 *
 * @param options - Without `seconds`, it has a second for what should come at once, and watches for less.
 */
export async function look(
  url: string,
  options: Partial<DoctorOptions> = {},
): Promise<Readonly<Record<string, Finding>>> {
  const target = checkTarget({ url, seconds: 1, connections: 0, ...options })
  const watchMs = options.seconds === undefined ? briefMs : target.watchMs
  const { findings } = await diagnose({ ...target, watchMs })
  return Object.fromEntries(findings.map((finding) => [finding.check, finding]))
}

/** The level of each check that is not ok. */
export function bad(findings: Readonly<Record<string, Finding>>): Record<string, string> {
  const levels = Object.values(findings).map(({ check, level }) => [check, level] as const)
  return Object.fromEntries(levels.filter(([, level]) => level !== 'ok'))
}

/** Begins a stream as a careful server that is not headwater. */
export function begin(res: ServerResponse, headers: Record<string, string> = {}): ServerResponse {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-store, no-transform',
    ...headers,
  })
  res.write('retry: 2000\nid: 1\ndata: hello\n\n')
  return res
}
