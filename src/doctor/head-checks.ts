import type { IncomingMessage } from 'node:http'
import { duration, type Finding, ok, problem, quoted, warning } from './finding.js'
import { shown, type Target } from './options.js'
import type { Hop, Probe } from './probe.js'

/** What the head says, before anything of the stream. */
export function checkHead(probe: Probe, head: IncomingMessage, target: Target): Finding[] {
  const findings = [...checkRedirects(probe.hops, target), checkStatus(head, probe.headMs ?? 0)]
  if (head.statusCode !== 200) return findings
  findings.push(checkType(head))
  if (!probe.isStream) return findings
  return [...findings, ...checkCaching(head), ...checkFraming(head), ...checkCors(head, target)]
}

function checkRedirects(all: readonly Hop[], { headers, method }: Target): Finding[] {
  // In a circle, each of them comes several times.
  const hops = new Map(all.map((hop) => [`${hop.status} ${hop.from} ${hop.to}`, hop]))
  return [...hops.values()].map(({ status, from, to }) => {
    const where = `${status} to ${quoted(shown(to))}`
    if (from.protocol === 'https:' && to.protocol === 'http:') {
      const fix = 'Redirect to https:, or give clients the right URL.'
      return problem('redirect', `${where}: it leaves TLS.`, fix)
    }
    if (method === 'POST' && status <= 303) {
      const fix = 'Give clients the URL that it leads to, or redirect with 307 or 308.'
      return problem('redirect', `${where}: clients come there with GET instead of POST.`, fix)
    }
    if (from.origin !== to.origin) {
      const fix = 'Give clients the URL that it leads to; it then needs CORS headers for them.'
      if (Object.keys(headers).length === 0) {
        return warning('redirect', `${where}: another origin, which gets no credentials.`, fix)
      }
      const what = `${where}: another origin. Credentials were not sent there.`
      return problem('redirect', what, fix)
    }
    const fix =
      'Give clients the URL that it leads to: they ask for the first one at each reconnect.'
    return warning('redirect', `${where}.`, fix)
  })
}

function checkStatus({ statusCode = 0, headers }: IncomingMessage, headMs: number): Finding {
  const status = `${statusCode} after ${duration(headMs)}`
  if (statusCode === 200) return ok('status', `${status}.`)
  const advice = adviceFor(statusCode, headers['retry-after'] !== undefined)
  return problem('status', `${status}: ${advice.what}`, advice.fix)
}

function adviceFor(status: number, hasRetryAfter: boolean): { what: string; fix: string } {
  if (status === 204) {
    return {
      what: 'the stream is over, and browsers do not come back.',
      fix: 'Ask for a stream that still runs.',
    }
  }
  if (status === 401 || status === 403 || status === 407) {
    return {
      what: 'the server refuses this client.',
      fix: "Give credentials: --header 'Authorization: Bearer …' or --header 'Cookie: …'.",
    }
  }
  if (status === 404 || status === 405 || status === 406 || status === 410) {
    const fix = 'Check path and method (--post), and which server the proxy sends it to.'
    return { what: 'no event stream is served there.', fix }
  }
  if (status === 429 || status === 503) {
    const when = hasRetryAfter ? 'with Retry-After' : 'without Retry-After'
    const fix =
      'Raise the limit, or answer 200 with a retry line: browsers never return after an error.'
    return { what: `too many clients, or a server that is not ready, ${when}.`, fix }
  }
  if (status === 502 || status === 504) {
    const fix = 'See whether the server runs, and what address the proxy has for it.'
    return { what: 'a proxy got no answer from the server.', fix }
  }
  if (status >= 300 && status < 400) {
    return {
      what: 'a redirect that leads nowhere, or too many.',
      fix: 'Give the URL of the stream.',
    }
  }
  const fix = 'See the log of the server. Browsers never come back after an error status.'
  return { what: 'not the status of an event stream.', fix }
}

function checkType({ headers }: IncomingMessage): Finding {
  const type = headers['content-type']
  const fix =
    'Send Content-Type: text/event-stream. A page in its place is often a login or an error.'
  if (type === undefined) return problem('content-type', 'There is no Content-Type.', fix)
  if (!/^text\/event-stream\s*(;|$)/i.test(type)) {
    const what = `It is ${quoted(type)}: browsers refuse that as a stream.`
    return problem('content-type', what, fix)
  }
  const charset = /charset\s*=\s*"?([^";\s]*)/i.exec(type)?.[1] ?? 'utf-8'
  if (/^utf-?8$/i.test(charset)) return ok('content-type', 'text/event-stream.')
  const what = `The charset is ${quoted(charset)}: Chromium refuses that.`
  return problem('content-type', what, 'Streams are UTF-8: leave the charset out.')
}

function checkCaching({ headers }: IncomingMessage): Finding[] {
  const { age, 'cache-control': control = '' } = headers
  const findings: Finding[] = []
  if (Number(age) > 0) {
    const fix = 'Take this path out of the cache of the proxy or CDN.'
    findings.push(problem('cache', `The answer has been in a cache for ${Number(age)} s.`, fix))
  }
  const fix = 'Send Cache-Control: no-store, no-transform.'
  const words = control.toLowerCase().split(/[\s,]+/)
  if (control === '') {
    const what = 'There is none: proxies may keep or compress the stream.'
    findings.push(warning('cache-control', what, fix))
  } else if (!words.includes('no-store') && !words.includes('no-cache')) {
    const what = `It is ${quoted(control)}: proxies may keep the stream.`
    findings.push(warning('cache-control', what, fix))
  } else if (!words.includes('no-transform')) {
    const what = `It is ${quoted(control)}: without no-transform, proxies may compress the stream.`
    findings.push(warning('cache-control', what, fix))
  } else {
    findings.push(ok('cache-control', `${control.replace(/[^\x20-\x7e]/g, '?').slice(0, 80)}.`))
  }
  return findings
}

function checkFraming({ httpVersion, headers }: IncomingMessage): Finding[] {
  const length = headers['content-length']
  if (length !== undefined) {
    const what = `The response has a length, ${quoted(length)} bytes, and ends there.`
    return [
      problem('framing', what, 'Something collected all of it first: turn its buffering off.'),
    ]
  }
  if (httpVersion !== '1.1') {
    const fix = 'Have the proxy use HTTP/1.1 on both sides; nginx: proxy_http_version 1.1.'
    return [
      warning('framing', `The answer is HTTP/${httpVersion}: something old is in between.`, fix),
    ]
  }
  if (!/\bchunked\b/i.test(headers['transfer-encoding'] ?? '')) {
    const what = 'The body is not chunked: clients cannot tell its end from a cut.'
    const fix = 'Let the server speak HTTP/1.1, and see that no proxy takes Transfer-Encoding away.'
    return [warning('framing', what, fix)]
  }
  return [ok('framing', 'HTTP/1.1, chunked.')]
}

function checkCors({ headers }: IncomingMessage, { origin }: Target): Finding[] {
  if (origin === undefined) return []
  const allowed = headers['access-control-allow-origin']
  const credentials = headers['access-control-allow-credentials'] === 'true'
  const fix = `Send Access-Control-Allow-Origin: ${origin}, and Vary: Origin.`
  if (allowed === undefined) {
    const what = `There is no Access-Control-Allow-Origin: pages of ${origin} cannot read the stream.`
    return [problem('cors', what, fix)]
  }
  if (allowed === '*') {
    if (!credentials) return [ok('cors', 'Pages of any origin may read it, without cookies.')]
    const what = 'Any origin is allowed, and credentials are: browsers refuse that with cookies.'
    return [problem('cors', what, fix)]
  }
  if (allowed !== origin) {
    const what = `Access-Control-Allow-Origin is ${quoted(allowed)}, not ${origin}.`
    return [problem('cors', what, fix)]
  }
  if (!/\borigin\b|\*/i.test(headers.vary ?? '')) {
    const what =
      'Allowed for this origin only, without Vary: Origin: a cache may give it to others.'
    return [warning('cors', what, 'Send Vary: Origin.')]
  }
  return [
    ok('cors', `Pages of ${origin} may read it, ${credentials ? 'also with' : 'without'} cookies.`),
  ]
}
