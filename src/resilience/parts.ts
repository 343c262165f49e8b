import { EventStreamError, quote } from '../core/errors.js'
import type { RegisteredStreams } from './registered-streams.js'

/** What belongs to event streams, and is nobody's business but that of this folder. */
const parts = new WeakMap<object, RegisteredStreams>()

export function addRegisteredStreams(eventStream: object, streams: RegisteredStreams): void {
  parts.set(eventStream, streams)
}

/** @throws EventStreamError `ERR_OPTION` when it is no EventStream. */
export function registeredStreamsOf(eventStream: object): RegisteredStreams {
  const streams = parts.get(Object(eventStream))
  if (streams !== undefined) return streams
  throw new EventStreamError(
    'ERR_OPTION',
    `An EventStream is needed, and ${quote(eventStream)} was given.`,
  )
}
