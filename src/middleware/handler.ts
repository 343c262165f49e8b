import type { ServerResponse } from 'node:http'
import type { RequestLike, ResponseLike } from './request.js'
import { refusal, refuse, takeOver } from './response.js'

/**
 * A handler for Express, Connect, Next.js pages, plain `node:http` and `node:http2`.
 *
 * @returns Resolves when the stream is open, or the request is answered. Errors before the head go
 *   to `next`; without `next` they are answered here with their status, and reject the promise.
 */
export type EventStreamHandler<Req = RequestLike> = (
  req: Req,
  res: ResponseLike,
  next?: (error?: unknown) => void,
) => Promise<void>

/** @param serve - Answers a request; what it throws, it throws before the head. */
export function toHandler<Req>(
  serve: (req: Req, res: ResponseLike) => Promise<unknown>,
): EventStreamHandler<Req> {
  async function handle(req: Req, res: ResponseLike, next?: (error?: unknown) => void) {
    try {
      // Of the methods that are used here, HTTP/2's has the same.
      takeOver(res as ServerResponse)
      await serve(req, res)
    } catch (thrown) {
      const error = refusal(res as ServerResponse, thrown)
      if (next !== undefined) {
        next(error)
        return
      }
      refuse(res as ServerResponse, error)
      throw error
    }
  }
  return (req, res, next) => {
    const answered = handle(req, res, next)
    // Whoever awaits it gets the rejection; for whoever does not, the request is answered all the
    // same, and must not end the process.
    answered.catch(() => undefined)
    return answered
  }
}
