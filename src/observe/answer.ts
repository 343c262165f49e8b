import type { ServerResponse } from 'node:http'
import { EventStreamError } from '../core/errors.js'
import type { EventStreamHandler } from '../middleware/handler.js'
import type { RequestLike, ResponseLike } from '../middleware/request.js'

/** What a request is answered with. */
export interface Answer {
  /** @defaultValue 200 */
  readonly status?: number
  readonly type: string
  readonly body: string
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>
}

const allow = 'GET, HEAD'

/**
 * A handler that answers GET and HEAD, whatever the path, with what is so now. Other methods are
 * answered 405. Mounted or as a route, in Express, Connect and plain `node:http`.
 *
 * @param make - What it throws goes to `next`; without `next` it is answered 500, and the promise rejects.
 */
export function answering(
  make: (req: RequestLike) => Answer | Promise<Answer>,
): EventStreamHandler {
  return (req, res, next) => {
    const answered = answer(req, res, make).catch((error: unknown) => {
      if (next === undefined) {
        refuse(res as ServerResponse)
        throw error
      }
      next(error)
    })
    // The request is answered all the same, so that whoever does not wait for it must not end.
    answered.catch(() => undefined)
    return answered
  }
}

async function answer(
  req: RequestLike,
  res: ResponseLike,
  make: (req: RequestLike) => Answer | Promise<Answer>,
): Promise<void> {
  const { method } = req
  if (method !== 'GET' && method !== 'HEAD') {
    const headers = { Allow: allow }
    const body = `This answers ${allow}.\n`
    send(res, 'GET', { status: 405, type: 'text/plain; charset=utf-8', body, headers })
    return
  }
  send(res, method, await make(req))
}

function send(
  res: ResponseLike,
  method: 'GET' | 'HEAD',
  { status = 200, type, body, headers = {} }: Answer,
): void {
  // Of the methods that are used here, HTTP/2's has the same.
  const response = res as ServerResponse
  if (response.headersSent) {
    throw new EventStreamError('ERR_HEAD_SENT', 'The response has begun; let nothing else answer.')
  }
  response.statusCode = status
  const all = {
    'Content-Type': type,
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  }
  for (const [name, value] of Object.entries(all)) response.setHeader(name, value)
  if (method === 'HEAD') response.end()
  else response.end(body)
}

function refuse(res: ServerResponse): void {
  if (res.headersSent) return
  res.statusCode = 500
  res.setHeader('Content-Type', 'text/plain; charset=utf-8')
  res.end('This cannot be answered.\n')
}
