import type { ServerResponse } from 'node:http'
import type { Entrance } from './entrance.js'
import { isNodeResponse } from './entrance.js'
import type { RequestLike, ResponseLike } from './request.js'
import { isOfServer, refusal, refuse, takeOver } from './response.js'

/**
 * A handler for Express, Connect, Next.js pages, plain `node:http` and `node:http2`.
 *
 * @returns Resolves when the stream is open, or the request is answered. Errors before the head go
 *   to `next`; without `next` they are answered here with their status, and `onError` of the event stream gets those
 *   that are the server's. It rejects only when it is called with something else than Node's request and response.
 */
export type EventStreamHandler<Req = RequestLike> = (
  req: Req,
  res: ResponseLike,
  next?: (error?: unknown) => void,
) => Promise<void>

interface HandlerHost {
  readonly entrance: Entrance
  onError(error: unknown): void
}

/** @param serve - Answers a request; what it throws, it throws before the head. */
export function toHandler<Req>(
  { entrance, onError }: HandlerHost,
  serve: (req: Req, res: ResponseLike) => Promise<unknown>,
): EventStreamHandler<Req> {
  async function handle(req: Req, response: ResponseLike, next?: (error?: unknown) => void) {
    // Of the methods that are used here, HTTP/2's has the same.
    const res = response as ServerResponse
    try {
      takeOver(entrance, req, res)
      await serve(req, response)
    } catch (thrown) {
      const error = refusal(res, thrown)
      if (next !== undefined) {
        next(error)
        return
      }
      if (isOfServer(error)) onError(error)
      if (!isNodeResponse(res)) throw error
      refuse(res, error)
    }
  }
  return (req, res, next) => {
    const answered = handle(req, res, next)
    // Whoever does not wait for it has been told by `onError`.
    answered.catch(() => undefined)
    return answered
  }
}
