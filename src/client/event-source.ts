import { toError } from './errors.js'
import { EventQueue } from './event-queue.js'
import type {
  ConnectionErrorEvent,
  EndEvent,
  OpenEvent,
  ResetEvent,
  SourceEvent,
  SourceEvents,
  StreamMessage,
} from './events.js'
import { type Listener, Listeners } from './listeners.js'
import { type Address, type EventSourceOptions, limitsOf, type PerRequest } from './options.js'
import { watchPage } from './page.js'
import { resolveUrl } from './request.js'
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

const [CONNECTING, OPEN, CLOSED] = [0, 1, 2] as const

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

  onopen: ((event: OpenEvent) => void) | null = null
  onmessage: ((event: MessageOf<Events>) => void) | null = null
  onerror: ((event: ConnectionErrorEvent) => void) | null = null
  onreset: ((event: ResetEvent) => void) | null = null
  onend: ((event: EndEvent) => void) | null = null

  /** The address; empty where it is a function. */
  readonly url: string
  readonly #signal: AbortSignal | undefined
  readonly #maxQueued: number
  readonly #session: Session
  readonly #listeners = new Listeners()
  readonly #queues = new Set<EventQueue<StreamMessage>>()
  #readyState: 0 | 1 | 2 = CLOSED
  #unwatchPage: (() => void) | undefined
  #makeRoom: (() => void) | undefined

  /** @throws EventSourceError `ERR_OPTION`. TypeError when the address is none. */
  constructor(address: PerRequest<Address>, options: EventSourceOptions = {}) {
    const limits = limitsOf(options)
    const source = this
    this.url = typeof address === 'function' ? '' : resolveUrl(address).href
    this.#signal = options.signal
    this.#maxQueued = limits.maxQueuedEvents
    const host = {
      address,
      url: this.url,
      get position() {
        return source.position
      },
      get isFull() {
        return source.#isFull
      },
      room: () => this.#room(),
      deliver: (message: StreamMessage, before: string) => this.#deliver(message, before),
      tell: (event: SourceEvent) => this.#tell(event),
    }
    this.#session = new Session(host, options, limits)
    this.reopen()
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
    const [slowest] = [...this.#queues].sort((a, b) => b.length - a.length)
    return slowest?.position ?? this.lastEventId
  }

  /**
   * Asks the recovery endpoint for what was missed and how the stream has ended, and then goes on.
   *
   * @throws EventSourceError when it cannot be had. The source is closed then.
   */
  async recover(): Promise<void> {
    this.reopen()
    try {
      await this.#session.recover()
    } catch (cause) {
      this.close()
      throw toError(cause)
    }
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
    this.#listeners.of(type).add(listener)
  }

  removeEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.of(type).delete(listener)
  }

  /**
   * Events of the server, of whatever name, from now on. When the loop is left, the source closes. The loop ends with
   * the stream, and fails with the error that has closed the source.
   */
  [Symbol.asyncIterator](): AsyncGenerator<AnyMessage<Events>, void, undefined> {
    const queue: EventQueue<StreamMessage> = new EventQueue({
      passed: () => {
        this.#makeRoom?.()
        this.#session.save()
      },
      left: () => {
        if (this.#queues.has(queue)) this.close()
      },
    })
    if (this.#readyState === CLOSED) queue.end()
    else this.#queues.add(queue)
    return queue.drain() as AsyncGenerator<AnyMessage<Events>, void, undefined>
  }

  /** Ends the connection, and leaves nothing behind. What waits for a loop comes again after `reopen`. */
  close(): void {
    for (const queue of this.#queues) queue.pass()
    this.#session.goBackTo(this.position)
    for (const queue of this.#queues) queue.clear()
    this.#close()
    this.#session.save()
  }

  /** Goes on after the position of a source that has closed. */
  reopen(): void {
    if (this.#readyState !== CLOSED || this.#signal?.aborted) return
    this.#readyState = CONNECTING
    this.#signal?.addEventListener('abort', this.#onAbort)
    this.#unwatchPage = watchPage({
      wake: () => this.#session.wake(),
      suspend: () => {
        this.#session.stop()
        this.#readyState = CONNECTING
      },
    })
    this.#session.start()
  }

  readonly #onAbort = (): void => this.close()

  #close(error?: unknown): void {
    this.#readyState = CLOSED
    this.#session.stop()
    this.#unwatchPage?.()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const queue of this.#queues) queue.end(error)
    this.#queues.clear()
    this.#makeRoom?.()
  }

  #deliver(message: StreamMessage, before: string): void {
    for (const queue of this.#queues) queue.push({ item: message, before })
    const { type } = message
    const isMessage = type === 'message'
    // Names of the source's own events are not the server's to use.
    const isOwn = !isMessage && `on${type}` in this
    const handler = isMessage ? (this.onmessage as Listener | null) : null
    this.#listeners.call(handler, isOwn ? ['*'] : [type, '*'], message)
  }

  #tell(event: SourceEvent): void {
    const { type } = event
    if (this.#readyState === CLOSED) return
    if (type === 'open') this.#readyState = OPEN
    else if (type === 'end') this.#close()
    else if (type === 'error') {
      if (event.error.isFinal) this.#close(event.error)
      // What is told with the connection unharmed has no next try.
      else if (event.retryInMs !== undefined) this.#readyState = CONNECTING
    }
    this.#listeners.call(this[`on${type}`] as Listener | null, [type], event)
  }

  get #isFull(): boolean {
    return [...this.#queues].some(({ length }) => length >= this.#maxQueued)
  }

  async #room(): Promise<void> {
    while (this.#isFull) {
      await new Promise<void>((resolve) => {
        this.#makeRoom = resolve
      })
    }
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
