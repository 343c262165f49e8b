import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import Negotiator from 'negotiator'
import { type Cursor, parseCursor } from '../core/cursor.js'
import { EventStreamError } from '../core/errors.js'

/** A request of any framework on `node:http` or `node:http2`. */
export type RequestLike = (IncomingMessage | Http2ServerRequest) & {
  /** Route parameters: Express, Connect routers. */
  readonly params?: unknown
  /** Route parameters where there is no `params`: Next.js pages. */
  readonly query?: unknown
}

/** What answers it: over HTTP/2, Node's own compatibility API. */
export type ResponseLike = ServerResponse | Http2ServerResponse

/** What the checks here look at: of a request of any kind. */
export type RequestHead = Pick<RequestLike, 'method' | 'url' | 'headers'>

const streamMethods = ['GET', 'HEAD', 'POST']
const cursorParameters = ['lastEventId', 'last_event_id', 'evs_last_event_id']

/** @throws EventStreamError `ERR_METHOD`, with `Allow`, unless it is one of these; of a stream GET, HEAD or POST. */
export function checkMethod(
  { method = '' }: Pick<RequestLike, 'method'>,
  methods: readonly string[] = streamMethods,
): void {
  if (methods.includes(method)) return
  const allow = methods.join(', ')
  throw new EventStreamError('ERR_METHOD', `What is here answers ${allow}, not ${method}.`, {
    headers: { Allow: allow },
  })
}

/** @throws EventStreamError `ERR_NOT_ACCEPTABLE` unless the client takes `text/event-stream`. */
export function checkAccept(req: Pick<RequestLike, 'headers'>): void {
  if (new Negotiator(req).mediaType(['text/event-stream']) !== undefined) return
  throw new EventStreamError(
    'ERR_NOT_ACCEPTABLE',
    'This is an event stream; send Accept: text/event-stream.',
  )
}

/**
 * The position that a client comes back with: from the header, or from the query for clients that
 * cannot send it.
 *
 * @returns `'invalid'` when the client sent something that is no position.
 * @throws EventStreamError `ERR_CURSOR` when it is `error`, which a proxy sends in place of one.
 */
export function readCursor(
  req: Pick<RequestLike, 'headers' | 'url'>,
): Cursor | 'invalid' | undefined {
  const text = req.headers['last-event-id'] || cursorFromQuery(req.url ?? '')
  if (!text) return undefined
  if (text === 'error') {
    throw new EventStreamError(
      'ERR_CURSOR',
      "Last-Event-ID is 'error'; leave it out to start anew.",
    )
  }
  return parseCursor(String(text)) ?? 'invalid'
}

function cursorFromQuery(url: string): string | undefined {
  const start = url.indexOf('?')
  if (start === -1) return undefined
  const query = new URLSearchParams(url.slice(start))
  for (const name of cursorParameters) {
    const text = query.get(name)
    if (text) return text
  }
  return undefined
}
