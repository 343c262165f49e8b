import { EventStreamError, quote } from '../core/errors.js'
import { checkFunction } from '../core/options.js'
import type { EventStream } from '../event-stream.js'
import type { RequestLike } from '../middleware/request.js'
import { streamRights } from '../middleware/route-options.js'
import type { RegisteredStream } from './record.js'
import { unknownStream } from './shared.js'
import { StreamRegistry } from './stream-registry.js'

/** Who sends a request, as the application knows. */
export type Asking<Req> = (
  req: Req,
) => string | number | undefined | Promise<string | number | undefined>

/**
 * The recovery endpoint's rule, as `authorize` of routes of streams: only the owner of a stream may follow it, and who is nobody those that are nobody's. A
 * stream that is not registered is answered 404, `ERR_STREAM_UNKNOWN`.
 *
 * ```ts
 * const authorize = ownerOnly(eventStream, (req) => req.user?.id)
 * app.get('/jobs/:id', eventStream.streams.handler('job-{id}', undefined, { authorize }))
 * ```
 */
export function ownerOnly<Req = RequestLike>(
  eventStream: EventStream,
  user: Asking<Req>,
): (req: Req, streamId: string) => Promise<boolean> {
  const registry = new StreamRegistry(eventStream)
  checkFunction('user', user ?? null)
  const isTheirs = async (req: Req, streamId: string) => {
    const stream = await registry.getStream(streamId)
    // Who came before it is registered would have what its owner begins.
    if (stream === undefined) throw unknownStream(streamId)
    return isOwner(stream, await user(req))
  }
  streamRights.add(isTheirs)
  return isTheirs
}

/** @throws EventStreamError `ERR_OPTION` when it is no user: it would be refused as a stranger, and nobody told. */
export function isOwner(
  { userId }: RegisteredStream,
  user: string | number | undefined | null,
): boolean {
  if (user !== null && !['undefined', 'string', 'number'].includes(typeof user)) {
    throw new EventStreamError(
      'ERR_OPTION',
      `The function that says who asks gave ${quote(user)}; give the user's id, a text or a number, or undefined.`,
    )
  }
  if (userId === undefined) return true
  return user !== undefined && user !== null && String(user) === userId
}
