import type { ServerResponse } from 'node:http'

/**
 * `end` as all responses of their kind have it, instrumentation included, without what middleware has made of this
 * one's. Middleware saves in it what it has known since the request came: a stream that ends hours later must not bring
 * back a session that was destroyed meanwhile. It is not run for a client that leaves either.
 */
export function unwrappedEnd(res: ServerResponse): ServerResponse['end'] {
  return Object.getPrototypeOf(res).end ?? res.end
}

/**
 * Keeps express-session from saving a session where its `end` has to run: it saves none without an id.
 *
 * @returns Gives the id back.
 */
export function withholdSession(req: unknown): (() => void) | undefined {
  const holder = Object(req) as { sessionID?: unknown }
  const { sessionID } = holder
  if (sessionID === undefined) return undefined
  holder.sessionID = undefined
  return () => {
    holder.sessionID = sessionID
  }
}
