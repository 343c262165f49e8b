import { EventStreamError, quote } from '../core/errors.js'
import type { NewEvent } from '../core/event.js'
import type { Publisher } from './publisher.js'

/** Whether publishing has failed with a proxy only: the events are in the log. */
export function isStored(error: unknown): boolean {
  return error instanceof EventStreamError && error.code === 'ERR_PUBLISH_PARTIAL'
}

/**
 * Publishes an event for a caller that does not wait.
 *
 * @param onError - Gets `ERR_PUBLISH` when it could not be published. A rejection that nobody handles ends the process.
 */
export function publishUnawaited(
  publisher: Publisher,
  channel: string,
  event: NewEvent,
  onError: (error: unknown) => void,
): void {
  publisher.publish(channel, [event]).catch((cause: unknown) => {
    // Its proxy has told of itself, and its clients have the event when it is back.
    if (isStored(cause)) return
    const why = Object(cause).message ?? quote(cause)
    const message = `An event for ${quote(channel)}, which nobody waited for, was not published: ${why}`
    onError(new EventStreamError('ERR_PUBLISH', message, { cause }))
  })
}
