import { once } from 'node:events'
import { connect } from 'node:tls'
import { duration, type Finding, ok, problem, warning } from './finding.js'
import { wasSentAway } from './flow-checks.js'
import type { Target } from './options.js'
import { Probe } from './probe.js'

/** How long a stream that may be silent gets to be ended at once. Milliseconds. */
const settleMs = 300

/**
 * Opens streams at once.
 *
 * @param greets - Whether the server sends something at once.
 */
export async function checkConnections(target: Target, greets: boolean): Promise<Finding> {
  const probes = Array.from({ length: target.connections }, () => Probe.open(target))
  try {
    const results = await Promise.all(probes.map((probe) => resultOf(probe, target, greets)))
    return judge(results, target)
  } finally {
    for (const probe of probes) probe.close()
  }
}

type Result = 'open' | 'hangs' | 'failed' | 'sent away' | number

async function resultOf(probe: Probe, target: Target, greets: boolean): Promise<Result> {
  await probe.until(({ head }) => head !== undefined, target.patienceMs)
  if (probe.failure !== undefined) return 'failed'
  if (probe.head === undefined) return 'hangs'
  if (!probe.isStream) return probe.head.statusCode ?? 0
  await probe.until(({ record }) => record.events > 0, greets ? target.patienceMs : settleMs)
  if (probe.isOver && wasSentAway(probe.record)) return 'sent away'
  return greets && probe.record.events === 0 ? 'hangs' : 'open'
}

function judge(results: readonly Result[], { patienceMs }: Target): Finding {
  const count = (wanted: Result) => results.filter((result) => result === wanted).length
  const open = count('open')
  if (open === results.length) return ok('connections', `${open} at once are served.`)
  const statuses = [...new Set(results.filter((result) => typeof result === 'number'))]
  const rest = [
    ...statuses.map((status) => `${count(status)} got ${status}`),
    ...(count('hangs') > 0 ? [`${count('hangs')} got nothing for ${duration(patienceMs)}`] : []),
    ...(count('failed') > 0 ? [`${count('failed')} got no connection`] : []),
    ...(count('sent away') > 0 ? [`${count('sent away')} were told to come back later`] : []),
  ]
  const what = `Of ${results.length} streams at once, ${open} were served; ${rest.join(', ')}.`
  const fix =
    'If that is not meant, raise the limit of the server, or of connections per address or to the server on the way (nginx: limit_conn, worker_connections).'
  const areAllTold = count('sent away') === results.length - open
  return areAllTold ? warning('connections', what, fix) : problem('connections', what, fix)
}

/** Whether browsers get along with one connection for all streams. */
export async function checkProtocol(url: URL, patienceMs: number): Promise<Finding> {
  if (url.protocol === 'http:') {
    if (/^(localhost|127\..*|\[::1\])$/.test(url.hostname)) {
      return ok('http/2', 'Not without TLS, and not needed on this machine.')
    }
    const what = 'There is no TLS: browsers then use HTTP/1.1, six streams per host for all tabs.'
    return warning('http/2', what, 'Serve it by https:, with HTTP/2.')
  }
  const chosen = await negotiated(url, patienceMs)
  if (chosen === 'h2')
    return ok('http/2', 'Negotiated: all streams of a browser share a connection.')
  const what = 'Not negotiated: with HTTP/1.1, browsers open six streams per host, for all tabs.'
  const fix =
    'Turn HTTP/2 on at the server or proxy (nginx: http2), or share one stream between tabs.'
  return warning('http/2', what, fix)
}

/** What a server chooses by ALPN, if anything. */
async function negotiated({ hostname, port }: URL, ms: number): Promise<string | undefined> {
  const host = hostname.replace(/^\[|\]$/g, '')
  const socket = connect({
    host,
    port: Number(port || 443),
    ALPNProtocols: ['h2', 'http/1.1'],
    // An address is no name to ask for.
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
  })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(ms) })
    return socket.alpnProtocol || undefined
  } catch {
    return undefined
  } finally {
    socket.destroy()
    // What comes now is about a connection that nobody wants.
    socket.on('error', () => undefined)
  }
}
