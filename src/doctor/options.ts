import { validateHeaderName, validateHeaderValue } from 'node:http'
import { checkWhole } from '../core/options.js'

/** What to look at, and how long. */
export interface DoctorOptions {
  /** `http:` or `https:`. A user and a password in it are sent as `Authorization`, and never shown. */
  readonly url: string
  /** Lines such as `Cookie: session=…`, sent to this origin only. Their values are never shown. */
  readonly headers?: readonly string[] | undefined
  /**
   * Ask by POST.
   * @defaultValue false, and true with `body`
   */
  readonly post?: boolean | undefined
  /**
   * What is posted, sent to this origin only: JSON, unless `headers` have another `Content-Type`.
   * @defaultValue Nothing.
   */
  readonly body?: string | undefined
  /**
   * Seconds that one stream is watched for.
   * @defaultValue 40
   */
  readonly seconds?: number | undefined
  /**
   * Streams that are opened at once, to find a limit; 0 for none.
   * @defaultValue 8, and 0 with `post`, as each of them may start something
   */
  readonly connections?: number | undefined
  /** The origin of a page on another host, such as `https://app.example`, that is to read the stream. */
  readonly origin?: string | undefined
}

/** {@link DoctorOptions}, checked. */
export interface Target {
  /** Without user and password. */
  readonly url: URL
  /** By name, as `node:http` takes them. */
  readonly headers: Readonly<Record<string, string[]>>
  readonly method: 'GET' | 'POST'
  /** Empty for none. */
  readonly body: string
  /** Milliseconds that one stream is watched for. */
  readonly watchMs: number
  /** Milliseconds to wait for what should come at once. */
  readonly patienceMs: number
  readonly connections: number
  readonly origin: string | undefined
  /** What is never shown. */
  readonly secrets: readonly string[]
}

const maxPatienceMs = 5000

/** The checks depend on these, or Node sets them. */
const ownHeaders = [
  'accept',
  'accept-encoding',
  'connection',
  'content-length',
  'last-event-id',
  'origin',
  'transfer-encoding',
]

/** @throws Error that says which option cannot work. No value of a header is in it. */
export function checkTarget(options: DoctorOptions): Target {
  const { body = '', post = body !== '', seconds = 40, origin } = options
  const { connections = post ? 0 : 8 } = options
  checkWhole('seconds', seconds, 1, 3600)
  checkWhole('connections', connections, 0, 100)
  const url = checkUrl(options.url)
  const headers = checkHeaders(options.headers ?? [])
  const login = [decoded(url.username), decoded(url.password)]
  if (login.join('') !== '') {
    headers.authorization ??= [`Basic ${Buffer.from(login.join(':')).toString('base64')}`]
    url.username = ''
    url.password = ''
  }
  const secrets = [...secretsOf(headers), ...login, body]
  if (body !== '') headers['content-type'] ??= ['application/json']
  return {
    url,
    headers,
    method: post ? 'POST' : 'GET',
    body,
    watchMs: seconds * 1000,
    patienceMs: Math.min(seconds * 1000, maxPatienceMs),
    connections,
    origin: origin === undefined ? undefined : checkOrigin(origin),
    secrets,
  }
}

/** A URL as it may be shown: its query may have a token in it, so that is left out. */
export function shown({ origin, pathname, search }: URL): string {
  return `${origin}${pathname}${search === '' ? '' : '?…'}`
}

/** Values, and the words that they are made of, as a server may send back either. */
function secretsOf(headers: Readonly<Record<string, string[]>>): string[] {
  const values = Object.values(headers).flat()
  return [...values, ...values.flatMap((value) => value.split(/[\s;,=]+/))]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function checkUrl(text: string): URL {
  // The text itself may have a password in it.
  if (!URL.canParse(text)) {
    throw new Error('The URL is none; give all of it, such as https://app.example/events.')
  }
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`The URL begins with ${url.protocol}; give one with http: or https:.`)
  }
  url.hash = ''
  return url
}

function checkOrigin(text: string): string {
  const origin = URL.canParse(text) ? new URL(text).origin : 'null'
  if (origin !== 'null') return origin
  throw new Error('The origin is none; give scheme and host, such as https://app.example.')
}

function checkHeaders(lines: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {}
  for (const [i, line] of lines.entries()) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim().toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (colon === -1 || !isHeader(name, value)) {
      throw new Error(`Header ${i + 1} is none; give a name and a value, such as 'Cookie: a=b'.`)
    }
    if (ownHeaders.includes(name)) throw new Error(`The header ${name} is set by the checks.`)
    headers[name] = [...(headers[name] ?? []), value]
  }
  return headers
}

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
    return true
  } catch {
    return false
  }
}
