import { anEventStream, Parts } from '../core/parts.js'
import type { EventStream } from '../event-stream.js'
import type { Gate } from '../middleware/grip/gate.js'
import type { RegisteredStreams } from './registered-streams.js'

export const gates = new Parts<EventStream, Gate>(anEventStream)

export const registeredStreams = new Parts<EventStream, RegisteredStreams>(anEventStream)

/** @throws EventStreamError `ERR_OPTION` when it is no EventStream, or its log keeps no registry. */
export function registeredStreamsOf(eventStream: EventStream): RegisteredStreams {
  const streams = registeredStreams.of(eventStream)
  streams.checkLog()
  return streams
}
