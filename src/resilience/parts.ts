import { anEventStream, Parts } from '../core/parts.js'
import type { EventStream } from '../event-stream.js'
import type { RegisteredStreams } from './registered-streams.js'

export const registeredStreams = new Parts<EventStream, RegisteredStreams>(anEventStream)
