import type { ServerResponse } from 'node:http'
import type { EventStream } from '../event-stream.js'
import { nodeEntrance } from '../middleware/entrance.js'
import { type EventStreamHandler, toHandler } from '../middleware/handler.js'
import type { RequestLike, ResponseLike } from '../middleware/request.js'
import { observed } from './observed.js'

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
 * @param name - As it is imported.
 * @param make - What it throws goes to `next`; without `next` it is answered 500, and `onError` is told.
 * @throws EventStreamError `ERR_OPTION` when it is of no event stream.
 */
export function answering(
  eventStream: EventStream,
  name: string,
  make: (req: RequestLike) => Answer | Promise<Answer>,
): EventStreamHandler {
  const { onError } = observed.of(eventStream)
  const entrance = nodeEntrance(`${name}(eventStream)`)
  return toHandler({ entrance, onError }, (req, res) => answer(req, res, make))
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
  response.statusCode = status
  const all = {
    'Content-Type': type,
    'Content-Length': String(Buffer.byteLength(body)),
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  }
  for (const [name, value] of Object.entries(all)) response.setHeader(name, value)
  if (method === 'HEAD') response.end()
  else response.end(body)
}
