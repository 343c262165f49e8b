import { EventStreamError } from '../core/errors.js'
import { checkChoice, checkFunction, checkNames, checkWhole } from '../core/options.js'
import type { ConnectionState } from '../hub/connection.js'
import type { Transport } from '../hub/sink.js'
import type { StartFrom } from '../hub/start.js'
import type { RequestLike } from './request.js'
import { checkTrack, type RouteTrack } from './track.js'

/** An open stream, as the application sees it. */
export interface OpenStream {
  /** What it listens to: names of channels, or the id of a stream. */
  readonly channels: readonly string[]
  /** Which of the two. A stream and a channel may have the same name. */
  readonly kind: 'channels' | 'stream'
  readonly state: ConnectionState
  readonly openedAt: Date
  readonly transport: Transport
  /** Bytes that wait in memory for this client. */
  readonly queuedBytes: number
  /** Aborts when the stream has ended, whoever ended it. */
  readonly signal: AbortSignal
  /**
   * Ends the stream. The client comes back after `retryMs` milliseconds, by default 1000 to 5000 at
   * random, and is asked for its rights again.
   */
  end(retryMs?: number): void
}

/** Options of one route, after its channels. */
export interface RouteOptions<Req = RequestLike> {
  /**
   * Whether this request may listen to this channel; asked for each channel before the head is sent.
   * False answers 403, and so does all that is not true, of which `onError` is told; what it throws goes to `next`.
   */
  readonly authorize?: ((req: Req, channel: string) => boolean | Promise<boolean>) | undefined
  /**
   * Where a client without a position starts.
   * @defaultValue 'now'
   */
  readonly startFrom?: StartFrom | undefined
  /**
   * Milliseconds that clients are told to wait before they reconnect. By default 1000 to 3000, at
   * random per client, so that a restart does not bring all of them back in the same instant.
   */
  readonly retryMs?: number | undefined
  /** Called when a stream has opened; not for one that a GRIP proxy holds, as it may do for hours. */
  readonly onOpen?: ((stream: OpenStream, req: Req) => void) | undefined
  /** Called once when a stream has ended, whoever ended it. */
  readonly onClose?: ((stream: OpenStream, req: Req) => void) | undefined
  /**
   * Registers each client's connection, with its `channels` in its metadata, until it ends. Of clients of a GRIP
   * proxy, all that listen to the same channels are one, which lives as long as the proxy asks for it.
   */
  readonly track?: RouteTrack<Req> | undefined
}

/** Functions for `authorize` that know streams, and nothing of channels. */
export const streamRights = new WeakSet<object>()

const names = ['authorize', 'startFrom', 'retryMs', 'onOpen', 'onClose', 'track']

/**
 * @param owner - What they are given to, for people.
 * @param more - Names of options that it has beside these.
 * @throws EventStreamError `ERR_OPTION` when a route option cannot work.
 */
export function checkRouteOptions(
  options: RouteOptions<never>,
  owner = 'eventStream(channels, options)',
  more: readonly string[] = [],
): void {
  checkNames(owner, options, [...names, ...more])
  const { authorize, startFrom, retryMs, onOpen, onClose, track } = options
  checkTrack(track)
  checkFunction('authorize', authorize)
  checkFunction('onOpen', onOpen)
  checkFunction('onClose', onClose)
  if (retryMs !== undefined) checkWhole('retryMs', retryMs, 0, 86_400_000)
  if (typeof startFrom === 'number') {
    const message = `startFrom is ${startFrom}; give { last: ${startFrom} } for so many events.`
    throw new EventStreamError('ERR_OPTION', message)
  }
  if (typeof startFrom === 'object' && startFrom !== null) {
    checkWhole('startFrom.last', startFrom.last, 0)
  } else if (startFrom !== undefined) checkChoice('startFrom', startFrom, ['now', 'earliest'])
}

/** At random, so that a restart does not bring all clients back in the same instant. */
export function defaultRetryMs(): number {
  return Math.round(1000 + Math.random() * 2000)
}
