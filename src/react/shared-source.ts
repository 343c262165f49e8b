import { connectionNames } from '../client/check-options.js'
import {
  type AnyMessage,
  createEventSource,
  type EndEvent,
  type EventSourceClient,
  type EventSourceError,
  type EventTypes,
  type ResetEvent,
} from '../client.js'
import type { SharedOptions } from './options.js'
import type { Shared } from './registry.js'

/**
 * `idle`: there is no address, or it was closed. `waiting`: the connection is lost, and is tried again.
 * `ended`: the server has said that there is nothing more to come. `failed`: it cannot be had.
 */
export type StreamStatus = 'idle' | 'connecting' | 'open' | 'waiting' | 'ended' | 'failed'

/** How a connection does. */
export interface ConnectionState {
  readonly status: StreamStatus
  /** What went wrong last, until the stream is open again. */
  readonly error: EventSourceError | undefined
  /** Milliseconds between that and the next try, where there is one. */
  readonly retryInMs: number | undefined
  /** How often the server has said that events are missing. */
  readonly resets: number
  /** The position behind the last event. */
  readonly lastEventId: string
}

export type Message = AnyMessage<EventTypes>

/** Who hears a source. */
export interface Watcher {
  /** All comes anew. */
  begin(): void
  take(message: Message): void
  reset(event: ResetEvent): void
  end(event: EndEvent): void
  /** The state has changed. */
  changed(): void
}

/** Before anything was heard. */
export function stateBefore(url: string | undefined): ConnectionState {
  const status = url === undefined ? 'idle' : 'connecting'
  return { status, error: undefined, retryInMs: undefined, resets: 0, lastEventId: '' }
}

/** One connection for all components that want the same. It begins when it is resumed. */
export class SharedSource implements Shared {
  /** The latest ones. */
  options: SharedOptions
  readonly #url: string
  readonly #watchers = new Set<Watcher>()
  #state: ConnectionState
  #client: EventSourceClient | undefined
  /** The newest events, for those that join later. */
  #kept: Message[] = []
  #maxKept = 0
  /** Events so far. */
  #count = 0
  /** Events before it began anew. */
  #countBefore = 0

  constructor(url: string, options: SharedOptions) {
    this.#url = url
    this.options = options
    this.#state = stateBefore(url)
  }

  get state(): ConnectionState {
    return { ...this.#state, lastEventId: this.#client?.lastEventId ?? '' }
  }

  get count(): number {
    return this.#count
  }

  /** @param keep - Events that it wants to be kept for those that join later. */
  watch(watcher: Watcher, keep = 0): void {
    this.#maxKept = Math.max(this.#maxKept, keep)
    this.#watchers.add(watcher)
  }

  unwatch(watcher: Watcher): void {
    this.#watchers.delete(watcher)
  }

  /** The newest events, oldest first. */
  get kept(): readonly Message[] {
    return newest(this.#kept, this.#maxKept)
  }

  /** @returns The events after the first `count` ones; undefined when they are not kept any more. */
  after(count: number): readonly Message[] | undefined {
    const missed = this.#count - count
    // Also who had all that came before it began anew has to forget it.
    if (count <= this.#countBefore || missed > this.#kept.length) return undefined
    return this.#kept.slice(this.#kept.length - missed)
  }

  resume(): void {
    if (this.#client === undefined) this.#connect()
    else if (this.#state.status !== 'ended') this.reopen()
  }

  suspend(): void {
    this.#client?.close()
  }

  close(): void {
    this.suspend()
    this.#change({ status: 'idle', error: undefined, retryInMs: undefined })
  }

  /** Goes on where it was. */
  reopen(): void {
    if (this.#client?.readyState !== 2) return
    this.#client.reopen()
    this.#change({ status: 'connecting', error: undefined, retryInMs: undefined })
  }

  /** Begins anew, as if nothing had come before. */
  restart(): void {
    this.suspend()
    this.#kept = []
    this.#countBefore = this.#count
    this.#change({ ...stateBefore(this.#url), resets: this.#state.resets })
    tellAll(this.#watchers, (watcher) => watcher.begin())
    // Also where a position is stored.
    this.#connect('')
  }

  #connect(position = this.options.position): void {
    const given = Object.entries(this.options).filter(([name]) => connectionNames.includes(name))
    const client = createEventSource(this.#url, {
      ...(Object.fromEntries(given) as SharedOptions),
      position,
      headers: async () => (await askFor(this.options.headers)) ?? {},
      // Whether there is one is part of the key.
      body: this.options.body === undefined ? undefined : () => askFor(this.options.body),
      retryOn: (error, response) => this.options.retryOn?.(error, response),
      fetch: (input, init) => (this.options.fetch ?? globalThis.fetch)(input, init),
    })
    client.onopen = () => this.#change({ status: 'open', error: undefined, retryInMs: undefined })
    client.onerror = ({ error, retryInMs }) => {
      if (error.isFinal) this.#change({ status: 'failed', error, retryInMs: undefined })
      else if (retryInMs === undefined) this.#change({ error })
      else this.#change({ status: 'waiting', error, retryInMs })
    }
    client.onreset = (event) => {
      this.#change({ resets: this.#state.resets + 1 })
      tellAll(this.#watchers, (watcher) => watcher.reset(event))
    }
    client.onend = (event) => {
      this.#change({ status: 'ended', error: undefined, retryInMs: undefined })
      tellAll(this.#watchers, (watcher) => watcher.end(event))
    }
    client.addEventListener('*', (message) => this.#take(message))
    this.#client = client
  }

  #take(message: Message): void {
    this.#count += 1
    this.#kept.push(message)
    // Not for each event, as it costs as much as there are.
    if (this.#kept.length >= 2 * this.#maxKept) {
      this.#kept = newest(this.#kept, this.#maxKept)
    }
    tellAll(this.#watchers, (watcher) => watcher.take(message))
  }

  #change(change: Partial<ConnectionState>): void {
    this.#state = { ...this.#state, ...change }
    tellAll(this.#watchers, (watcher) => watcher.changed())
  }
}

/** Tells those that are still there when it is their turn. */
export function tellAll<Listener>(
  listeners: ReadonlySet<Listener>,
  tell: (listener: Listener) => void,
): void {
  for (const listener of [...listeners]) {
    if (listeners.has(listener)) attempt(() => tell(listener))
  }
}

/** What it throws keeps nothing from others. */
export function attempt(run: () => void): void {
  try {
    run()
  } catch (error) {
    // As the platform reports what its own listeners throw.
    queueMicrotask(() => {
      throw error
    })
  }
}

export function newest<Item>(items: readonly Item[], count: number): Item[] {
  return count === 0 ? [] : items.slice(-count)
}

/** What an option is for one request. */
export function askFor<Value>(
  value: Value | (() => Value | Promise<Value>),
): Value | Promise<Value> {
  return typeof value === 'function' ? (value as () => Value | Promise<Value>)() : value
}
