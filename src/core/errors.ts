import { withoutPasswords } from './connection-url.js'
import type { EntryId } from './entry-id.js'

/**
 * What went wrong, for programs. Codes are stable: a code is never reused for another cause.
 * `docs/errors.md` says for each what to do about it.
 */
export type EventStreamErrorCode =
  | 'ERR_CALLBACK'
  | 'ERR_CHANNEL'
  | 'ERR_CHANNEL_CLOSED'
  | 'ERR_CURSOR'
  | 'ERR_DATA'
  | 'ERR_EVENT'
  | 'ERR_EVENT_TOO_LARGE'
  | 'ERR_FIELD'
  | 'ERR_FORBIDDEN'
  | 'ERR_GRIP_LINK'
  | 'ERR_GRIP_NOT_HELD'
  | 'ERR_GRIP_REQUIRED'
  | 'ERR_GRIP_SIGNATURE'
  | 'ERR_HEAD_SENT'
  | 'ERR_JOB_CHECK'
  | 'ERR_LOG_CLOSED'
  | 'ERR_LOG_REFUSED'
  | 'ERR_LOG_UNAVAILABLE'
  | 'ERR_METHOD'
  | 'ERR_NO_CHANNEL'
  | 'ERR_NOT_ACCEPTABLE'
  | 'ERR_OPTION'
  | 'ERR_PROXY_BUSY'
  | 'ERR_PROXY_REFUSED'
  | 'ERR_PROXY_UNAVAILABLE'
  | 'ERR_PUBLISH'
  | 'ERR_PUBLISH_PARTIAL'
  | 'ERR_SCHEMA'
  | 'ERR_STORE_ENTRY'
  | 'ERR_STREAM_ENDED'
  | 'ERR_STREAM_EXISTS'
  | 'ERR_STREAM_EXPIRED'
  | 'ERR_STREAM_KEY_LIMIT'
  | 'ERR_STREAM_LIMIT'
  | 'ERR_STREAM_PRODUCED'
  | 'ERR_STREAM_RESET'
  | 'ERR_STREAM_SOURCE'
  | 'ERR_STREAM_STOPPED'
  | 'ERR_STREAM_UNKNOWN'
  | 'ERR_TOO_MANY_CHANNELS'
  | 'ERR_UNAVAILABLE'

/** HTTP status of the codes that answer a request; every other code is a 500. */
const statusOf: { readonly [code in EventStreamErrorCode]?: number } = {
  ERR_CHANNEL: 400,
  ERR_CURSOR: 400,
  ERR_FORBIDDEN: 403,
  ERR_GRIP_LINK: 403,
  ERR_GRIP_REQUIRED: 501,
  ERR_GRIP_SIGNATURE: 403,
  ERR_LOG_UNAVAILABLE: 503,
  ERR_METHOD: 405,
  ERR_NO_CHANNEL: 400,
  ERR_NOT_ACCEPTABLE: 406,
  ERR_STREAM_EXISTS: 409,
  ERR_STREAM_EXPIRED: 410,
  ERR_STREAM_KEY_LIMIT: 429,
  ERR_STREAM_LIMIT: 503,
  ERR_STREAM_UNKNOWN: 404,
  ERR_TOO_MANY_CHANNELS: 400,
  ERR_UNAVAILABLE: 503,
}

interface EventStreamErrorOptions extends ErrorOptions {
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly published?: readonly { readonly id: EntryId }[] | undefined
}

/**
 * The only error class of this package.
 *
 * `status`, `statusCode`, `expose` and `headers` are what error handlers of Express, Connect, Koa, Fastify, NestJS and h3
 * look for.
 */
export class EventStreamError extends Error {
  override readonly name = 'EventStreamError'
  /** Stable, for programs. */
  readonly code: EventStreamErrorCode
  /** HTTP status that answers a request which failed with this error. */
  readonly status: number
  /** The same as {@link EventStreamError.status}. */
  readonly statusCode: number
  /** Whether the message is about the request, and fit for whoever has sent it. */
  readonly expose: boolean
  /** Response headers that belong to the status: `Allow` of a 405. No cache may keep what answers an error. */
  readonly headers: Readonly<Record<string, string>>
  /** Of `ERR_PUBLISH_PARTIAL`: the events, which are in the log. */
  readonly published: readonly { readonly id: EntryId }[] | undefined

  constructor(code: EventStreamErrorCode, message: string, options: EventStreamErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.status = statusOf[code] ?? 500
    this.statusCode = this.status
    this.expose = this.status < 500 || code === 'ERR_GRIP_REQUIRED'
    this.headers = { 'Cache-Control': 'no-store', ...options.headers }
    this.published = options.published
  }
}

/**
 * What a function of the application has thrown, as an error. `next` and others take undefined or `'route'` for success;
 * any object is an error to them, and what error handlers of the application know.
 */
export function asError(thrown: unknown): object {
  if (typeof thrown === 'object' && thrown !== null) return thrown
  return new EventStreamError(
    'ERR_CALLBACK',
    `A function of the application must throw errors, and threw ${quote(thrown)}.`,
    { cause: thrown },
  )
}

/** Whether it only says that a log is out of reach, which passes. */
export function isLogAway(error: unknown): boolean {
  return error instanceof EventStreamError && error.code === 'ERR_LOG_UNAVAILABLE'
}

/** Whether it only says that a log was closed: no error for whoever is closing. */
export function isLogClosed(error: unknown): boolean {
  return error instanceof EventStreamError && error.code === 'ERR_LOG_CLOSED'
}

/** Whether a stream was not started since too many run. */
export function isRunningLimit(error: unknown): error is EventStreamError {
  return (
    error instanceof EventStreamError &&
    (error.code === 'ERR_STREAM_LIMIT' || error.code === 'ERR_STREAM_KEY_LIMIT')
  )
}

/**
 * Untrusted text as it may stand in a message or a log line: quoted, escaped, without passwords of URLs, at most 80
 * characters.
 */
export function quote(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(withoutPasswords(value)) : describe(value)
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

function describe(value: unknown): string {
  if (value === null || ['undefined', 'number', 'boolean', 'bigint'].includes(typeof value)) {
    return String(value)
  }
  if (typeof value !== 'object') return typeof value
  // By its tag, which nothing that came as JSON can have: a name of a class could be a stranger's text.
  const kind = Object.prototype.toString.call(value).slice(8, -1)
  if (kind === 'Object' || kind === 'Array') return `an ${kind.toLowerCase()}`
  return `${/^[AEI]/.test(kind) ? 'an' : 'a'} ${kind}`
}
