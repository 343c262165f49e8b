import { ServerResponse } from 'node:http'
import { asError, EventStreamError, type EventStreamErrorCode } from '../core/errors.js'
import { encodeRetry } from '../core/wire.js'
import { addVary, forbidStore, forbidStoreByOthers, noStore, saidOfStream } from './caching.js'
import { checkNodeCall, type Entrance, isNodeResponse } from './entrance.js'
import { isGone } from './gone.js'
import type { RequestLike } from './request.js'

/**
 * Headers of a stream. What the application has set before stays, but for the content type, and what would let caches
 * give the stream to others.
 */
export const streamHeaders = {
  // Without no-transform, compression middleware and proxies hold events back.
  'Cache-Control': 'no-store, no-transform',
  // nginx would collect the stream before it sends any of it.
  'X-Accel-Buffering': 'no',
} as const

/**
 * Sets status and headers of a stream; they go out with the first write.
 *
 * @throws EventStreamError `ERR_HEAD_SENT`.
 */
export function setHead(res: ServerResponse): void {
  checkHead(res)
  res.statusCode = 200
  res.setHeader('Content-Type', 'text/event-stream')
  res.setHeader('Cache-Control', saidOfStream(res) ?? streamHeaders['Cache-Control'])
  if (!res.hasHeader('X-Accel-Buffering')) {
    res.setHeader('X-Accel-Buffering', streamHeaders['X-Accel-Buffering'])
  }
}

/**
 * Every response passes this before it is asked what to answer.
 *
 * @throws EventStreamError `ERR_OPTION` when these are not Node's; `ERR_HEAD_SENT`.
 */
export function takeOver(entrance: Entrance, req: unknown, res: ServerResponse): void {
  checkNodeCall(entrance, req, res)
  checkHead(res)
  forbidStore(res)
  // Set earlier, it is of another answer: clients would wait for so many bytes, or take no more.
  res.removeHeader('Content-Length')
}

/** @returns What a request is refused with, for whoever answers it. */
export function refusal(res: ServerResponse, thrown: unknown): object {
  const error = asError(thrown)
  if (isNodeResponse(res) && !res.headersSent) {
    // An error handler may look at nothing but the status.
    if (isOurs(error)) setHeaders(res, error.headers)
    addVary(res, varyOf(error))
    forbidStoreByOthers(res)
  }
  return error
}

/** Answers HEAD with what GET would have. */
export function answerHead(
  { httpVersion }: Pick<RequestLike, 'httpVersion'>,
  res: ServerResponse,
): void {
  setHead(res)
  if (res instanceof ServerResponse && httpVersion === '1.1') {
    // As GET has it (RFC 9112, section 6.1). Without, Node's client takes the end of the connection
    // for the end of the body, and uses the connection no more.
    res.setHeader('Transfer-Encoding', 'chunked')
  }
  res.end()
}

/** @throws EventStreamError `ERR_HEAD_SENT` when a stream cannot begin any more. */
function checkHead(res: ServerResponse): void {
  if (!res.headersSent) return
  throw new EventStreamError(
    'ERR_HEAD_SENT',
    'The response has begun; let the event stream be the only one that answers.',
  )
}

/**
 * Answers what passes: a browser's `EventSource` comes back after nothing but an event stream.
 *
 * @param last - Nothing more is served on this TCP connection.
 */
export function sendAway(res: ServerResponse, retryMs: number, last: boolean): void {
  setHead(res)
  if (last && res instanceof ServerResponse) res.shouldKeepAlive = false
  res.end(encodeRetry(retryMs))
}

/** Answers a client that has all of a stream that has ended: a browser's `EventSource` stops there. */
export function answerOver(res: ServerResponse): undefined {
  res.statusCode = 204
  addVary(res, byPosition)
  res.end()
}

/** What answers depend on that are about the position of a client. */
export const byPosition = 'Last-Event-ID'

/** What answers depend on besides, by the code of their error. */
const varyOfCode: { readonly [code in EventStreamErrorCode]?: string } = {
  ERR_CURSOR: byPosition,
  ERR_NOT_ACCEPTABLE: 'Accept',
}

function varyOf(error: unknown): string {
  return (isOurs(error) && varyOfCode[error.code]) || ''
}

function setHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
}

/** Answers an error where no `next` does. */
export function refuse(res: ServerResponse, error: unknown): void {
  if (res.headersSent || isGone(res)) return
  const { status, headers, vary, message } = refusalOf(error)
  res.statusCode = status
  setHeaders(res, headers)
  addVary(res, vary)
  res.end(message)
}

interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** What it depends on; empty when that is not known. */
  readonly vary: string
  readonly message: string
}

/** How an error is answered. Only our own messages are fit for strangers, and none that is about the server. */
export function refusalOf(error: unknown): Refusal {
  const known = isOurs(error) ? error : undefined
  const message = known?.expose === true ? known.message : 'The event stream cannot be served.'
  return {
    status: known?.status ?? statusOf(error),
    headers: { ...noStore, ...known?.headers, 'Content-Type': 'text/plain; charset=utf-8' },
    vary: varyOf(error),
    message: `${message}\n`,
  }
}

/** Also of another copy of this package, as development servers may have several. */
function isOurs(error: unknown): error is EventStreamError {
  return error instanceof Error && error.name === 'EventStreamError'
}

/** Codes of errors that are not the server's, though their status says so. */
const meant: readonly unknown[] = ['ERR_UNAVAILABLE', 'ERR_GRIP_REQUIRED']

/** Whether an error is the server's, and no refusal of a request. */
export function isOfServer(error: unknown): boolean {
  return refusalOf(error).status >= 500 && !meant.includes(Object(error).code)
}

/** The status that an application's own error carries, as Express reads it. */
function statusOf(error: unknown): number {
  const { status, statusCode } = Object(error) as { status?: unknown; statusCode?: unknown }
  const wanted = Number(status ?? statusCode)
  return Number.isInteger(wanted) && wanted >= 400 && wanted <= 599 ? wanted : 500
}
