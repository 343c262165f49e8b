import type { StreamEnding } from '../core/stream-end.js'
import type { EventSourceError } from './errors.js'

/** What a type of the platform is, where there are types of it: in pages. */
type PlatformMessage = typeof globalThis extends { MessageEvent: { prototype: infer Message } }
  ? Message
  : Event

/** What `new MessageEvent` takes of this. */
interface MessageInit {
  readonly data: string
  readonly lastEventId: string
  readonly origin: string
}

const { MessageEvent } = globalThis as unknown as {
  readonly MessageEvent: new (type: string, init: MessageInit) => Event & MessageInit
}

/** An event that the server has sent: a `MessageEvent`. */
export interface StreamMessage<Json = unknown, Type extends string = string>
  extends PlatformMessage {
  /** Its name: `message` where the server gave none. */
  readonly type: Type
  /** Its text, as `EventSource` gives it. */
  readonly data: string
  /** The position behind it: what to resume after. */
  readonly lastEventId: string
  /** Where the stream comes from, behind all redirects. */
  readonly origin: string
  /**
   * The data, parsed when it is first asked for.
   *
   * @throws SyntaxError when it is no JSON.
   */
  readonly json: Json
}

/** What a source makes of a block. */
export class ServerEvent extends MessageEvent {
  #json: unknown

  get json(): unknown {
    this.#json ??= JSON.parse(this.data)
    return this.#json
  }
}

/** The server has answered with a stream. */
export interface OpenEvent extends Event {
  readonly type: 'open'
}

/** The connection is lost, or something else went wrong. */
export interface ConnectionErrorEvent extends Event {
  readonly type: 'error'
  /** Where its `isFinal` is true, the source has closed. */
  readonly error: EventSourceError
  /** Milliseconds until the next try, unless something wakes the source before. Absent where there is none. */
  readonly retryInMs?: number | undefined
  /** That of `error`. */
  readonly message: string
  /** `error.status`, as the package `eventsource` has it. */
  readonly code?: number | undefined
}

/** Events of these channels are missing, and cannot be had. The stream goes on from now. */
export interface ResetEvent extends Event {
  readonly type: 'reset'
  readonly channels: readonly string[]
  /** `trimmed`, `unknown` or `invalid`. */
  readonly reason: string
}

/** The stream is over, and the source has closed. Without `state` the server has only said that. */
export interface EndEvent extends Event, Partial<StreamEnding> {
  readonly type: 'end'
}

/** What a source tells about itself, by name. */
export interface SourceEvents {
  readonly open: OpenEvent
  readonly error: ConnectionErrorEvent
  readonly reset: ResetEvent
  readonly end: EndEvent
}

/** What there is to tell, before it is an event. */
export type SourceNews =
  | { readonly type: 'open' }
  | {
      readonly type: 'error'
      readonly error: EventSourceError
      readonly retryInMs?: number | undefined
    }
  | { readonly type: 'reset'; readonly channels: readonly string[]; readonly reason: string }
  | ({ readonly type: 'end' } & Partial<StreamEnding>)

/** @returns The event of it. What the server may have added does not take the place of what events have. */
export function sourceEvent(news: SourceNews): Event {
  const event = new Event(news.type) as Event & Record<string, unknown>
  const { error } = news as Partial<ConnectionErrorEvent>
  if (error) Object.assign(event, { message: error.message, code: error.status })
  for (const name in news) if (!(name in event)) event[name] = news[name as keyof typeof news]
  return event
}
