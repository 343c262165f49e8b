import { checkConnections, checkProtocol } from './connection-checks.js'
import { duration, type Finding, problem } from './finding.js'
import {
  bufferingFix,
  checkBuffering,
  checkCompression,
  checkIdle,
  checkRetry,
} from './flow-checks.js'
import { checkHead } from './head-checks.js'
import { shown, type Target } from './options.js'
import { Probe } from './probe.js'
import { checkForeignIds, checkResume, isHeadwater } from './resume-checks.js'
import { unreachable } from './unreachable.js'

/** Shorter ones are words such as a number, and are in what is found anyway. */
const minSecretLength = 6

/** What was found out of one URL. */
export interface Diagnosis {
  /** Without user, password and query. */
  readonly url: string
  /** How long a stream was watched for, at most. */
  readonly seconds: number
  readonly findings: readonly Finding[]
}

/**
 * Connects to an event stream as a careful client, several times, and says what is between it and the server.
 *
 * @throws Error One sentence: nothing answers.
 */
export async function diagnose(target: Target): Promise<Diagnosis> {
  const findings = await examine(target)
  return {
    url: shown(target.url),
    seconds: target.watchMs / 1000,
    findings: findings.map((finding) => withoutSecrets(finding, target)),
  }
}

async function examine(target: Target): Promise<Finding[]> {
  const first = Probe.open(target)
  const plain: Probe[] = []
  try {
    await hasHead(first, target.patienceMs)
    if (first.failure !== undefined) throw unreachable(first.url, first.failure)
    if (first.head !== undefined && !first.isStream) return checkHead(first, first.head, target)
    plain.push(Probe.open(target, { identity: true }))
    return await examineStream(target, first, plain[0] as Probe)
  } finally {
    for (const probe of [first, ...plain]) probe.close()
  }
}

/** @param plain - The same request, which takes no compression. */
async function examineStream(target: Target, first: Probe, plain: Probe): Promise<Finding[]> {
  // What cannot be read is watched in the clear.
  const isReadable = first.head !== undefined && !first.isUnreadable
  const watched = isReadable || !(await hasHead(plain, target.patienceMs)) ? first : plain
  const held = watched.head === undefined ? await examineHeld(target, first) : []
  const { head } = watched
  if (head === undefined || !watched.isStream) {
    return head === undefined ? held : [...checkHead(watched, head, target), ...held]
  }
  const restMs = () => target.watchMs - watched.ageMs
  const watching = watched.until(({ isOver }) => isOver, restMs())
  const [protocol, resume] = await Promise.all([
    checkProtocol(watched.url, target.patienceMs),
    watched
      .until(({ record }) => record.events > 0, restMs())
      .then(() => checkResume(target, watched)),
    watching,
    plain.until(({ record }) => record.events > 0, Math.min(target.patienceMs, restMs())),
  ])
  const findings = [
    ...checkHead(watched, head, target),
    checkCompression(first, plain),
    ...(held.length > 0 ? held : checkBuffering(watched)),
    ...checkIdle(watched, target.watchMs),
    checkRetry(watched),
    ...(isHeadwater(watched) ? resume : [checkForeignIds(watched)]),
    protocol,
  ]
  first.close()
  plain.close()
  if (target.connections === 0 || held.length > 0) return findings
  return [...findings, await checkConnections(target, isHeadwater(watched))]
}

/** Finds out whether a server answers at all of which no stream comes. */
async function examineHeld(target: Target, first: Probe): Promise<Finding[]> {
  const brief = Probe.open(target, { method: 'HEAD' })
  try {
    await hasHead(brief, target.patienceMs)
    await hasHead(first, target.watchMs - first.ageMs)
    if (first.failure !== undefined) throw unreachable(first.url, first.failure)
    const status = brief.head?.statusCode
    if (status === undefined && first.head === undefined) {
      throw unreachable(first.url, undefined, first.ageMs)
    }
    const came =
      first.headMs === undefined
        ? `no head of the stream came in ${duration(first.ageMs)}`
        : `the head of the stream came after ${duration(first.headMs)}`
    const asked = status === undefined ? 'HEAD is not answered' : `HEAD is answered (${status})`
    const what = `${asked}, and ${came}: something on the way collects the stream first, or the server sends its head with its first event.`
    return [problem('buffering', what, bufferingFix)]
  } finally {
    brief.close()
  }
}

function hasHead(probe: Probe, ms: number): Promise<boolean> {
  return probe.until(({ head }) => head !== undefined, ms)
}

/** A server may send back what it was sent. */
function withoutSecrets(finding: Finding, { secrets }: Target): Finding {
  const long = secrets.filter(({ length }) => length >= minSecretLength)
  const forms = long.flatMap((secret) => [secret, encodeURIComponent(secret.toWellFormed())])
  return { ...finding, what: forms.reduce(withoutSecret, finding.what) }
}

/** Also where it was cut short, as long texts of the server's are. */
function withoutSecret(text: string, secret: string): string {
  const rest = text.replaceAll(secret, '…')
  const end = rest.indexOf('…"')
  for (let length = Math.min(secret.length, end); length >= minSecretLength; length--) {
    const start = end - length
    if (rest.startsWith(secret.slice(0, length), start))
      return rest.slice(0, start) + rest.slice(end)
  }
  return rest
}
