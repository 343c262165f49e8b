import { handlerNames } from './check-options.js'
import { EventSourceError, toError } from './errors.js'
import {
  type ConnectionErrorEvent,
  type EndEvent,
  type OpenEvent,
  type ResetEvent,
  ServerEvent,
  type SourceEvents,
  type SourceNews,
  type StreamMessage,
  sourceEvent,
} from './events.js'
import { type Address, type EventSourceOptions, type PerRequest, withDefaults } from './options.js'
import { watchPage } from './page.js'
import { checkAddress } from './request.js'
import { Session } from './session.js'

/** What the data of events is, by their names: the type of `json`. */
export type EventTypes = Readonly<Record<string, unknown>>

/** An event of any of these names. */
export type AnyMessage<Events> = {
  [Type in keyof Events & string]: StreamMessage<Events[Type], Type>
}[keyof Events & string]

type MessageOf<Events> = Events extends { readonly message: infer Json }
  ? StreamMessage<Json>
  : StreamMessage

type Handler<Source, Heard> = ((this: Source, event: Heard) => unknown) | null

/** A function, or an object with `handleEvent`, of one kind of event. */
type Listener<Source, Heard> =
  | ((this: Source, event: Heard) => unknown)
  | { handleEvent(event: Heard): unknown }

interface ListenerOptions {
  readonly capture?: boolean
  readonly once?: boolean
  readonly passive?: boolean
  readonly signal?: AbortSignal
}

const CONNECTING = 0
const OPEN = 1
const CLOSED = 2

/** What the platform has already; here it takes listeners of events of one kind. */
// biome-ignore lint/correctness/noUnusedVariables: it is to be named as in the class.
export interface EventSourceClient<Events = EventTypes> {
  removeEventListener(
    type: string,
    listener: Listener<this, never> | null,
    options?: boolean | ListenerOptions,
  ): void
}

/**
 * A stream of events that comes back after whatever happens to its connection, and goes on where it was.
 * To be used as an `EventSource`, or by `for await`.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the base class has what the interface says.
export class EventSourceClient<Events = EventTypes>
  extends EventTarget
  implements AsyncIterable<AnyMessage<Events>>
{
  static readonly CONNECTING = CONNECTING
  static readonly OPEN = OPEN
  static readonly CLOSED = CLOSED
  readonly CONNECTING = CONNECTING
  readonly OPEN = OPEN
  readonly CLOSED = CLOSED

  // `declare`: the constructor sets them, and bundles need not say it twice.
  declare onopen: Handler<EventSourceClient<Events>, OpenEvent>
  declare onmessage: Handler<EventSourceClient<Events>, MessageOf<Events>>
  declare onerror: Handler<EventSourceClient<Events>, ConnectionErrorEvent>
  declare onreset: Handler<EventSourceClient<Events>, ResetEvent>
  declare onend: Handler<EventSourceClient<Events>, EndEvent>

  readonly #session: Session
  /** What anybody has ever listened to. */
  readonly #wanted: Record<string, true> = {}
  /** The name of the event that those that hear all are about to hear. */
  #name = ''
  #readyState: 0 | 1 | 2 = CLOSED
  /** Removes what listens to the page, and to the application's signal. */
  #unwatch: AbortController | undefined

  /** @throws EventSourceError `ERR_OPTION`. A DOMException `SyntaxError`, as of `EventSource`, when the address is none. */
  constructor(address: PerRequest<Address>, options: EventSourceOptions = {}) {
    super()
    this.#session = new Session(address, withDefaults(options), this.#emit)
    for (const name of handlerNames) {
      const handlers = this as unknown as Record<string, Handler<this, Event>>
      const lowerCased = name.toLowerCase()
      handlers[lowerCased] = (options[name] as Handler<this, Event>) ?? null
      super.addEventListener(lowerCased.slice(2), (event) => {
        const handler = handlers[lowerCased]
        if (typeof handler === 'function') handler.call(this, event)
      })
    }
    // The first listener of its type, so that the others find the name that the server gave.
    super.addEventListener('*', (event) => {
      Object.defineProperty(event, 'type', { value: this.#name })
    })
    this.reopen()
  }

  /** The address; empty where it is a function. */
  get url(): string {
    return this.#session.url
  }

  /** Whether cookies are sent to other origins. */
  get withCredentials(): boolean {
    return this.#session.options.credentials === 'include'
  }

  get readyState(): 0 | 1 | 2 {
    return this.#readyState
  }

  /** The position behind the last event that has come. */
  get lastEventId(): string {
    return this.#session.lastEventId
  }

  /**
   * The position behind the last event that was dealt with: what to resume after. The same as
   * `lastEventId`, unless a `for await` loop is behind.
   */
  get position(): string {
    return this.#session.position
  }

  /**
   * Asks the recovery endpoint for what was missed and how the stream has ended, and then goes on. Resolves at once
   * when the source is closed meanwhile.
   *
   * @throws EventSourceError when it cannot be had. The source is closed then.
   */
  async recover(): Promise<void> {
    this.reopen()
    // By a signal, which is for good.
    if (this.#readyState === CLOSED) return
    await this.#session.recover().catch((cause) => {
      this.close()
      throw toError(cause)
    })
  }

  /** @param type - A name, or `*` for all events of the server. */
  override addEventListener<Type extends keyof SourceEvents>(
    type: Type,
    listener: Listener<this, SourceEvents[Type]>,
    options?: boolean | ListenerOptions,
  ): void
  override addEventListener(
    type: '*',
    listener: Listener<this, AnyMessage<Events>>,
    options?: boolean | ListenerOptions,
  ): void
  override addEventListener<Type extends keyof Events & string>(
    type: Type,
    listener: Listener<this, StreamMessage<Events[Type], Type>>,
    options?: boolean | ListenerOptions,
  ): void
  override addEventListener(
    type: string,
    listener: Listener<this, Event> | null,
    options?: boolean | ListenerOptions,
  ): void
  override addEventListener(...given: Parameters<EventTarget['addEventListener']>): void {
    this.#wanted[given[0]] = true
    super.addEventListener(...given)
  }

  /**
   * Events of the server, of whatever name, from now on. When the loop is left, the source closes. The loop ends with
   * the stream, and fails with the error that has closed the source.
   */
  [Symbol.asyncIterator](): AsyncGenerator<AnyMessage<Events>, void, undefined> {
    const { loops } = this.#session
    this.#wanted.end = true
    const loop = loops.open(this.#readyState === CLOSED, () => this.#leave())
    return loop as AsyncGenerator<AnyMessage<Events>, void, undefined>
  }

  /** Ends the connection, and leaves nothing behind. What waits for a loop comes again after `reopen`. */
  close(): void {
    // What is left of a stream that has ended is still for its loops.
    if (this.#readyState !== CLOSED) this.#leave()
  }

  /** Goes on after the position of a source that has closed. */
  reopen(): void {
    const session = this.#session
    const { signal } = session.options
    if (this.#readyState !== CLOSED || signal?.aborted) return
    this.#readyState = CONNECTING
    session.loops.forget()
    const unwatch = new AbortController()
    this.#unwatch = unwatch
    signal?.addEventListener('abort', () => this.close(), unwatch)
    const suspend = () => {
      session.stop()
      this.#readyState = CONNECTING
    }
    watchPage(unwatch, () => session.wake(), suspend)
    session.start()
  }

  #leave(): void {
    this.#session.goBack()
    this.#close()
  }

  #close(error?: unknown): void {
    this.#readyState = CLOSED
    this.#unwatch?.abort()
    this.#session.stop()
    this.#session.loops.end(error)
  }

  readonly #emit = (event: SourceNews | ServerEvent): void => {
    if (this.#readyState === CLOSED) return
    const { type } = event
    if (event instanceof ServerEvent) {
      // Names of the source's own events are not the server's to use.
      if (type === 'message' || !(type === '*' || `on${type}` in this)) this.dispatchEvent(event)
      if (!this.#wanted['*']) return
      this.#name = type
      this.dispatchEvent(new ServerEvent('*', event))
      return
    }
    const { error, retryInMs } = event as Partial<ConnectionErrorEvent>
    if (type === 'open') this.#readyState = OPEN
    else if (type === 'end' || error?.isFinal) this.#close(error)
    // What is told with the connection unharmed has no next try.
    else if (retryInMs !== undefined) this.#readyState = CONNECTING
    this.dispatchEvent(sourceEvent(event))
    // Who does not know of ends hears of them as from `EventSource`.
    if (type === 'end' && !this.onend && !this.#wanted.end) {
      const answer = { status: 204, isFinal: true }
      const ended = new EventSourceError('ERR_ENDED', 'The stream has ended.', answer)
      this.dispatchEvent(sourceEvent({ type: 'error', error: ended }))
    }
  }
}

/**
 * Opens a stream of events, as `new EventSource(url)` does.
 *
 * @throws EventSourceError `ERR_OPTION`, also when there is no address. A DOMException `SyntaxError` when it is none.
 */
export function createEventSource<Events = EventTypes>(
  url: PerRequest<Address>,
  options?: EventSourceOptions,
): EventSourceClient<Events> {
  checkAddress(url)
  return new EventSourceClient<Events>(url, options)
}
