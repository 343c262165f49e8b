'use client'

/** Streams of events in React: one connection for all components that want the same. */
export type { StreamAddress } from './react/options.js'
export type { ConnectionState, StreamStatus } from './react/shared-source.js'
export type { StreamOutcome } from './react/text-stream.js'
export {
  type EventStreamOptions,
  type EventStreamState,
  useEventStream,
} from './react/use-event-stream.js'
export {
  type ResumableStreamOptions,
  type ResumableStreamState,
  useResumableStream,
} from './react/use-resumable-stream.js'
