import type { StreamEnding } from '../core/stream-end.js'
import type { EventSourceError } from './errors.js'

/** An event that the server has sent. */
export interface StreamMessage<Json = unknown, Type extends string = string> {
  /** Its name: `message` where the server gave none. */
  readonly type: Type
  /** Its text, as `EventSource` gives it. */
  readonly data: string
  /** The position behind it: what to resume after. */
  readonly lastEventId: string
  /**
   * The data, parsed when it is first asked for.
   *
   * @throws SyntaxError when it is no JSON.
   */
  readonly json: Json
}

export function streamMessage(type: string, data: string, lastEventId: string): StreamMessage {
  let json: unknown
  return {
    type,
    data,
    lastEventId,
    get json() {
      json ??= JSON.parse(data)
      return json
    },
  }
}

/** The server has answered with a stream. */
export interface OpenEvent {
  readonly type: 'open'
}

/** The connection is lost, or something else went wrong. */
export interface ConnectionErrorEvent {
  readonly type: 'error'
  /** Where its `isFinal` is true, the source has closed. */
  readonly error: EventSourceError
  /** Milliseconds until the next try, unless something wakes the source before. Absent where there is none. */
  readonly retryInMs?: number | undefined
}

/** Events of these channels are missing, and cannot be had. The stream goes on from now. */
export interface ResetEvent {
  readonly type: 'reset'
  readonly channels: readonly string[]
  /** `trimmed`, `unknown` or `invalid`. */
  readonly reason: string
}

/** The stream is over, and the source has closed. Without `state` the server has only said that. */
export interface EndEvent extends Partial<StreamEnding> {
  readonly type: 'end'
}

/** What a source tells about itself, by name. */
export interface SourceEvents {
  readonly open: OpenEvent
  readonly error: ConnectionErrorEvent
  readonly reset: ResetEvent
  readonly end: EndEvent
}

export type SourceEvent = SourceEvents[keyof SourceEvents]
