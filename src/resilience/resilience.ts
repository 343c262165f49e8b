import type { EntryId } from '../core/entry-id.js'
import { checkChoice } from '../core/options.js'
import { type StreamEnd, streamEnds } from '../core/stream-end.js'
import type { EventStream } from '../event-stream.js'
import type { EventStreamHandler } from '../middleware/handler.js'
import type { RequestLike } from '../middleware/request.js'
import { CompletionStore } from './completion-store.js'
import { type GuardianOptions, StreamGuardian } from './guardian.js'
import { registeredStreamsOf } from './parts.js'
import { type RecoveryOptions, recoveryHandler } from './recovery-handler.js'
import { StreamRegistry } from './stream-registry.js'

/** See {@link Resilience.sendStreamEvent}. */
export type SendStreamEvent = (
  streamId: string,
  eventType: string,
  data?: unknown,
  isTerminal?: boolean | StreamEnd,
) => Promise<EntryId>

/** All that looks after the streams of one event stream. */
export interface Resilience {
  readonly registry: StreamRegistry
  readonly completions: CompletionStore
  /** Not started. */
  readonly guardian: StreamGuardian
  /**
   * Appends an event to a stream that was registered, from any process; it lives as long as that is done.
   *
   * @param data - Anything that JSON can hold.
   * @param isTerminal - Whether it is the last one: the stream has then `completed`, or `failed` if the event is
   *   named `error` or `failed`; or which end it has.
   * @returns The event's id, once it is in the log.
   * @throws EventStreamError `ERR_STREAM_UNKNOWN`, `ERR_STREAM_ENDED`; `ERR_STREAM_PRODUCED` when it has a source of
   *   its own; what `publishEvent` throws.
   */
  readonly sendStreamEvent: SendStreamEvent
  /** See {@link recoveryHandler}. */
  recoveryHandler<Req extends RequestLike = RequestLike>(
    options?: RecoveryOptions<Req>,
  ): EventStreamHandler<Req>
}

const failures: readonly string[] = ['error', 'failed']

/** @returns undefined for an event that is not the last one. */
function stateAfter(eventType: string, isTerminal: boolean | StreamEnd): StreamEnd | undefined {
  if (isTerminal === false) return undefined
  if (isTerminal === true) return failures.includes(eventType) ? 'failed' : 'completed'
  checkChoice('isTerminal', isTerminal, streamEnds)
  return isTerminal
}

/** @throws EventStreamError `ERR_OPTION`. */
export function resilience(eventStream: EventStream, options: GuardianOptions = {}): Resilience {
  const streams = registeredStreamsOf(eventStream)
  return {
    registry: new StreamRegistry(eventStream),
    completions: new CompletionStore(eventStream),
    guardian: new StreamGuardian(eventStream, options),
    sendStreamEvent: async (streamId, eventType, data, isTerminal = false) => {
      const state = stateAfter(eventType, isTerminal)
      const ending = state && { state, event: eventType }
      return streams.sender.send(streamId, { event: eventType, data }, ending)
    },
    recoveryHandler: (recoveryOptions) => recoveryHandler(eventStream, recoveryOptions),
  }
}
