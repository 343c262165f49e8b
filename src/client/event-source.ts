import { toError } from './errors.js'
import type {
  ConnectionErrorEvent,
  EndEvent,
  OpenEvent,
  ResetEvent,
  SourceEvent,
  SourceEvents,
  StreamMessage,
} from './events.js'
import { type Address, type EventSourceOptions, type PerRequest, withDefaults } from './options.js'
import { watchPage } from './page.js'
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

type Listener = (event: never) => void

const CONNECTING = 0
const OPEN = 1
const CLOSED = 2

/**
 * A stream of events that comes back after whatever happens to its connection, and goes on where it was.
 * To be used as an `EventSource`, or by `for await`.
 */
export class EventSourceClient<Events = EventTypes> implements AsyncIterable<AnyMessage<Events>> {
  static readonly CONNECTING = CONNECTING
  static readonly OPEN = OPEN
  static readonly CLOSED = CLOSED
  readonly CONNECTING = CONNECTING
  readonly OPEN = OPEN
  readonly CLOSED = CLOSED

  // `declare`: the constructor sets them, and bundles need not say it twice.
  declare onopen: ((event: OpenEvent) => void) | null
  declare onmessage: ((event: MessageOf<Events>) => void) | null
  declare onerror: ((event: ConnectionErrorEvent) => void) | null
  declare onreset: ((event: ResetEvent) => void) | null
  declare onend: ((event: EndEvent) => void) | null

  readonly #session: Session
  readonly #listeners = new Map<string, Set<Listener>>()
  #readyState: 0 | 1 | 2 = CLOSED
  /** Removes what listens to the page, and to the application's signal. */
  #unwatch: AbortController | undefined

  /** @throws EventSourceError `ERR_OPTION`. TypeError when the address is none. */
  constructor(address: PerRequest<Address>, options: EventSourceOptions = {}) {
    this.#session = new Session(address, withDefaults(options), this.#emit)
    this.onopen = options.onOpen ?? null
    this.onmessage = options.onMessage ?? null
    this.onerror = options.onError ?? null
    this.onreset = options.onReset ?? null
    this.onend = options.onEnd ?? null
    this.reopen()
  }

  /** The address; empty where it is a function. */
  get url(): string {
    return this.#session.url
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
  addEventListener<Type extends keyof SourceEvents>(
    type: Type,
    listener: (event: SourceEvents[Type]) => void,
  ): void
  addEventListener(type: '*', listener: (event: AnyMessage<Events>) => void): void
  addEventListener<Type extends keyof Events & string>(
    type: Type,
    listener: (event: StreamMessage<Events[Type], Type>) => void,
  ): void
  addEventListener(type: string, listener: (event: never) => void): void {
    this.#of(type).add(listener)
  }

  removeEventListener(type: string, listener: (event: never) => void): void {
    this.#of(type).delete(listener)
  }

  /**
   * Events of the server, of whatever name, from now on. When the loop is left, the source closes. The loop ends with
   * the stream, and fails with the error that has closed the source.
   */
  [Symbol.asyncIterator](): AsyncGenerator<AnyMessage<Events>, void, undefined> {
    const { loops } = this.#session
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

  readonly #emit = (event: SourceEvent | StreamMessage, isMessage?: boolean): void => {
    if (this.#readyState === CLOSED) return
    const { type } = event
    if (!isMessage) {
      const { error, retryInMs } = event as Partial<ConnectionErrorEvent>
      if (type === 'open') this.#readyState = OPEN
      else if (type === 'end' || error?.isFinal) this.#close(error)
      // What is told with the connection unharmed has no next try.
      else if (retryInMs !== undefined) this.#readyState = CONNECTING
    }
    // Names of the source's own events are not the server's to use.
    const isReserved = isMessage && type !== 'message' && `on${type}` in this
    const listeners = isReserved ? [] : [this[`on${type}` as 'onopen'], ...this.#of(type)]
    if (isMessage && type !== '*') listeners.push(...this.#of('*'))
    for (const listener of listeners) {
      try {
        listener?.(event as never)
      } catch (error) {
        // As the platform reports what its own listeners throw.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  #of(type: string): Set<Listener> {
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners)
    return listeners
  }
}

/**
 * Opens a stream of events, as `new EventSource(url)` does.
 *
 * @throws EventSourceError `ERR_OPTION`. TypeError when the address is none.
 */
export function createEventSource<Events = EventTypes>(
  url: PerRequest<Address>,
  options?: EventSourceOptions,
): EventSourceClient<Events> {
  return new EventSourceClient<Events>(url, options)
}
