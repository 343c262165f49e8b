import { compileTemplate } from './core/channels.js'
import { EventStreamError, quote } from './core/errors.js'
import type { EventStream } from './event-stream.js'
import { noChannel } from './middleware/channel-source.js'
import { checkWebCall, entrances } from './middleware/entrance.js'
import { checkFetchOptions, errorResponse, type FetchOptions } from './middleware/fetch.js'
import { isOfServer } from './middleware/response.js'

export { errorResponse, type FetchOptions } from './middleware/fetch.js'

/** What frameworks call a handler with behind the request: Next.js gives `params` as a promise. */
export interface FetchContext {
  readonly params?: unknown
}

/** Channel names, with `{token}` for a value of `params`; or a function that gives names, as they are. */
export type FetchChannels<Context = FetchContext> =
  | string
  | readonly string[]
  | ((
      request: Request,
      context: Context,
    ) => string | readonly string[] | Promise<string | readonly string[]>)

/** A handler of Web requests. */
export type FetchHandler<Context = FetchContext> = (
  request: Request,
  context?: Context,
) => Promise<Response>

/**
 * Makes a handler that serves channels to Web requests: an app route of Next.js, as it is, or a part of a route
 * of Hono and others.
 *
 * ```ts
 * export const GET = fetchHandler(eventStream, 'room-{id}')
 * app.get('/rooms/:id', (c) => rooms(c.req.raw, { params: c.req.param() }))
 * ```
 *
 * @returns A handler that answers what is wrong with a request. Other errors, which are the server's, it throws,
 *   so that the framework reports them.
 * @throws EventStreamError `ERR_CHANNEL` or `ERR_OPTION` when the route can never work.
 */
export function fetchHandler<Context = FetchContext>(
  eventStream: Pick<EventStream, 'fetch'>,
  channels: FetchChannels<Context>,
  options: FetchOptions = {},
): FetchHandler<Context> {
  checkFetchOptions(options)
  const namesOf = namer(channels)
  return async (request, context) => {
    checkWebCall(entrances.route, request)
    try {
      return await eventStream.fetch(request, () => namesOf(request, context as Context), options)
    } catch (error) {
      if (isOfServer(error)) throw error
      return errorResponse(error)
    }
  }
}

/** Names in which each `{token}` is filled in. */
function namer<Context>(
  channels: FetchChannels<Context>,
): (
  request: Request,
  context: Context,
) => string | readonly string[] | Promise<string | readonly string[]> {
  if (typeof channels === 'function') return channels
  const names: unknown[] = [channels].flat()
  const wrong = names.filter((name) => typeof name !== 'string')
  if (names.length === 0) throw noChannel('A handler', "fetchHandler(eventStream, 'room-{id}')")
  if (wrong.length > 0) {
    throw new EventStreamError(
      'ERR_OPTION',
      `A channel is ${quote(wrong[0])}; give names, or a function from the request to names.`,
    )
  }
  const templates = (names as string[]).map(compileTemplate)
  return async (_request, context) => {
    const values = Object((await (context as FetchContext | undefined)?.params) ?? {})
    return templates.map((template) => template(values))
  }
}
