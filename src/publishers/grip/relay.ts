import { gripChannel, gripControlChannel } from '../../core/grip.js'
import type { StoredEvent } from '../../log/event-log.js'
import type { Observer } from '../../observe/observer.js'
import type { Relay } from '../relay.js'
import type { Chains } from './chains.js'
import type { ComposedDemand } from './demand.js'
import type { ControlEndpoint } from './endpoint.js'
import { controlItem, encodeItems, type GripItem, hintItem, type ItemOptions } from './item.js'
import { GripProxy, type ProxyHealth } from './proxy.js'

/** See {@link GripProxy}. */
const limits = {
  maxQueueBytes: 16_777_216,
  requestTimeoutMs: 2500,
  deliveryTimeoutMs: 5000,
  probeMs: 1000,
} as const

export interface GripRelayOptions {
  readonly endpoints: readonly ControlEndpoint[]
  readonly prefix: string
  /** Whether clients may be held that listen to several channels. */
  readonly demand: ComposedDemand | undefined
  /** Undefined when only this process publishes. */
  readonly chains: Chains | undefined
  readonly observer: Observer
  readonly onError: (error: unknown) => void
}

/** Publishes to GRIP proxies what their clients wait for. Each proxy has a queue of its own. */
export class GripRelay implements Relay {
  readonly #options: GripRelayOptions
  readonly #proxies: readonly GripProxy[]

  constructor(options: GripRelayOptions) {
    this.#options = options
    const { endpoints, onError } = options
    this.#proxies = endpoints.map((endpoint) => new GripProxy(endpoint, { ...limits, onError }))
  }

  async relay(channel: string, events: readonly StoredEvent[]): Promise<void> {
    const { demand, chains, observer } = this.#options
    if (demand?.isWanted === undefined) await demand?.find()
    try {
      await this.#publish(channel, events)
      observer.counters.relayedEvents += events.length
    } catch (error) {
      chains?.broke(channel)
      throw error
    }
  }

  #publish(channel: string, events: readonly StoredEvent[]): Promise<void> {
    const { prefix, demand, chains } = this.#options
    const composes = demand !== undefined && demand.isWanted !== false
    const encode = (isOnlyPublisher: boolean) => {
      const options: ItemOptions = { prefix, composes, isOnlyPublisher }
      return events.flatMap((event) => encodeItems(channel, event, options))
    }
    const items = [...this.#hints(channel, composes), ...encode(chains === undefined)]
    // That an item need not wait for another one is nothing that Fanout's API has a word for.
    const strictItems = this.hasStrict && chains === undefined ? encode(false) : items
    return this.#send(({ isStrict }) => (isStrict ? strictItems : items))
  }

  #hints(channel: string, composes: boolean): readonly GripItem[] {
    const { prefix, chains } = this.#options
    if (!chains?.mayWait(channel)) return []
    const forms = composes ? (['plain', 'composed'] as const) : (['plain'] as const)
    return forms.map((form) => hintItem(gripChannel(prefix, channel, form)))
  }

  /** Whether there is a proxy that closes nothing, but asks whether to. */
  get hasStrict(): boolean {
    return this.#proxies.some(({ isStrict }) => isStrict)
  }

  /**
   * Ends the streams of all clients that listen to a channel, which come back; or has a strict proxy
   * ask whether they missed something.
   *
   * @throws AggregateError of the proxies that could not be told.
   */
  closeStreams(channel: string): Promise<void> {
    const names = this.#namesOf(channel)
    const control = gripControlChannel(this.#options.prefix)
    const items = names.map((requiredChannel) =>
      controlItem({ channel: control, action: 'close', requiredChannel }),
    )
    const hints = names.map(hintItem)
    return this.#send(({ isStrict }) => (isStrict ? hints : items))
  }

  /**
   * Makes all clients ask for what they have not got, whether there is any or not; those of a strict
   * proxy do when they do by themselves.
   *
   * @throws AggregateError of the proxies that could not be told.
   */
  hint(): Promise<void> {
    const channel = gripControlChannel(this.#options.prefix)
    const item = controlItem({ channel, action: 'hint' })
    return this.#send(({ isStrict }) => (isStrict ? [] : [item]))
  }

  /** A channel has lost its end: its clients ask, and are told where they are. */
  lost(channel: string): void {
    const { chains, onError } = this.#options
    chains?.broke(channel)
    const hints = this.#namesOf(channel).map(hintItem)
    this.#send(() => hints).catch(onError)
  }

  health(): readonly ProxyHealth[] {
    return this.#proxies.map((proxy) => proxy.health())
  }

  /** Waits until nothing is on its way, at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.close(graceMs)))
    this.#options.demand?.close()
  }

  #namesOf(channel: string): readonly string[] {
    const forms = ['plain', 'composed'] as const
    return forms.map((form) => gripChannel(this.#options.prefix, channel, form))
  }

  async #send(itemsFor: (proxy: GripProxy) => readonly GripItem[]): Promise<void> {
    const results = await Promise.allSettled(
      this.#proxies.map((proxy) => proxy.send(itemsFor(proxy))),
    )
    const errors = results.filter((result) => result.status === 'rejected')
    if (errors.length === 0) return
    const reasons = errors.map(({ reason }) => reason as Error)
    throw new AggregateError(reasons, reasons.map(({ message }) => message).join(' '))
  }
}
