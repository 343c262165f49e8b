import { EventStreamError, quote } from '../core/errors.js'
import { endingOf, type StreamEnd } from '../core/stream-end.js'
import type { StoredEvent } from '../log/event-log.js'

export function stateOf(end: StoredEvent): StreamEnd {
  return endingOf(end)?.state ?? 'orphaned'
}

export function unknownStream(id: string): EventStreamError {
  return new EventStreamError(
    'ERR_STREAM_UNKNOWN',
    `There is no stream ${quote(id)}: it was not registered, or is no longer kept.`,
  )
}
