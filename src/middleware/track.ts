import { EventStreamError, quote } from '../core/errors.js'
import { checkNames } from '../core/options.js'
import type { RequestLike } from './request.js'

type User = string | number | undefined

/** What the streams of a route are registered with, or functions from the request to that. */
export interface RouteTrack<Req = RequestLike> {
  /** What it is to the application, such as `chat` or `export`: 1 to 255 characters. */
  readonly type: string | ((req: Req) => string)
  /** Whose it is: 1 to 255 characters, or a number. */
  readonly user?: User | ((req: Req) => User | Promise<User>)
  /** Anything that JSON can hold, up to 16,384 characters of it. */
  readonly metadata?: unknown
}

/** A route's track, for one request. */
export interface Track {
  readonly type: string
  readonly user: User
  readonly metadata: unknown
}

/** @throws EventStreamError `ERR_OPTION` when it can never work. */
export function checkTrack(track: RouteTrack<never> | undefined): void {
  if (track === undefined) return
  checkNames('track', track, ['type', 'user', 'metadata'])
  const { type, user } = track
  if (typeof type !== 'string' && typeof type !== 'function') {
    const given = type === undefined ? 'missing' : quote(type)
    const message = `track.type is ${given}; give a text, or a function from the request to it.`
    throw new EventStreamError('ERR_OPTION', message)
  }
  if (typeof user === 'object') {
    throw new EventStreamError(
      'ERR_OPTION',
      `track.user is ${quote(user)}; give a function from the request to it.`,
    )
  }
}

/** @throws What the functions throw. */
export async function toTrack<Req>(
  { type, user, metadata }: RouteTrack<Req>,
  req: Req,
): Promise<Track> {
  return {
    // Without a promise in its type, and yet: what it rejects with would be nobody's.
    type: typeof type === 'function' ? await type(req) : type,
    user: typeof user === 'function' ? await user(req) : user,
    metadata: typeof metadata === 'function' ? await metadata(req) : metadata,
  }
}
