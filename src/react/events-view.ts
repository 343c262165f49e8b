import type { ResetEvent } from '../client.js'
import { checkHookOptions, keepOf, type SharedOptions } from './options.js'
import { graceMs, Registry } from './registry.js'
import {
  attempt,
  type ConnectionState,
  type Message,
  newest,
  SharedSource,
  stateBefore,
  type Watcher,
} from './shared-source.js'
import { View } from './view.js'

const sources = new Registry<SharedSource>(graceMs)
const none: readonly never[] = []

/** The options of `useEventStream`, without the types of its events. */
export interface ViewOptions<State> extends SharedOptions {
  readonly events?: readonly string[] | undefined
  readonly initial?: State | undefined
  readonly reduce?: ((state: State, event: never) => State) | undefined
  readonly onEvent?: ((event: never) => void) | undefined
  readonly onReset?: ((event: ResetEvent) => void) | undefined
}

export interface EventsSnapshot<State> extends ConnectionState {
  readonly events: readonly Message[]
  readonly last: Message | undefined
  readonly state: State
  close(): void
  reopen(): void
  restart(): void
}

/** The events of a source, as one component wants them. */
export class EventsView<State>
  extends View<SharedSource, EventsSnapshot<State>>
  implements Watcher
{
  #options: ViewOptions<State>
  readonly #url: string
  readonly #before: ConnectionState
  /** How many events of the source were here, also those that are not wanted. */
  #count = 0
  #recent: Message[] = []
  #events: readonly Message[] | undefined = none
  #last: Message | undefined
  #state: State

  /** @throws EventSourceError `ERR_OPTION`. */
  constructor(key: string | undefined, url: string, options: ViewOptions<State>) {
    super(sources, key)
    checkHookOptions(options, 'events', 'initial', 'reduce', 'onEvent', 'onReset')
    this.#options = options
    this.#url = url
    this.#before = stateBefore(key)
    this.#state = options.initial as State
  }

  set options(options: ViewOptions<State>) {
    this.#options = options
    if (this.held) this.held.options = options
  }

  protected make(): SharedSource {
    return new SharedSource(this.#url, this.#options)
  }

  protected attach(source: SharedSource, before: SharedSource | undefined): void {
    const missed = source === before ? source.after(this.#count) : undefined
    if (before && missed === undefined) this.begin()
    for (const message of missed ?? source.kept) attempt(() => this.#add(message))
    this.#count = source.count
    source.options = this.#options
    source.watch(this, keepOf(this.#options))
  }

  protected detach(source: SharedSource): void {
    source.unwatch(this)
  }

  protected look(source: SharedSource | undefined): EventsSnapshot<State> {
    this.#events ??= newest(this.#recent, keepOf(this.#options))
    const [events, last, state] = [this.#events, this.#last, this.#state]
    const { close, reopen, restart } = this
    return { ...(source?.state ?? this.#before), events, last, state, close, reopen, restart }
  }

  readonly close = (): void => this.held?.close()
  readonly reopen = (): void => this.held?.reopen()
  readonly restart = (): void => this.held?.restart()

  begin(): void {
    this.#recent = []
    this.#events = none
    this.#last = undefined
    this.#state = this.#options.initial as State
    this.show()
  }

  take(message: Message): void {
    this.#count = this.held?.count ?? 0
    if (this.#isUnwanted(message)) return
    this.show()
    attempt(() => this.#add(message))
    this.#options.onEvent?.(message as never)
  }

  reset(event: ResetEvent): void {
    this.#options.onReset?.(event)
  }

  end(): void {
    this.show()
  }

  changed(): void {
    this.show()
  }

  #isUnwanted({ type }: Message): boolean {
    return this.#options.events?.includes(type) === false
  }

  #add(message: Message): void {
    if (this.#isUnwanted(message)) return
    const keep = keepOf(this.#options)
    this.#recent.push(message)
    // Not for each event, as it costs as much as there are.
    if (this.#recent.length >= 2 * keep) this.#recent = newest(this.#recent, keep)
    this.#events = undefined
    this.#last = message
    const { reduce } = this.#options
    if (reduce) this.#state = reduce(this.#state, message as never)
  }
}
