import { EventStreamError } from '../../core/errors.js'
import type { ControlEndpoint } from './endpoint.js'
import { type GripItem, hintItem, maxRequestBytes } from './item.js'

/** How a proxy is doing, as seen from here. */
export interface ProxyHealth {
  /** Its URL, without credentials. */
  readonly name: string
  /** `down`: it does not take events; clients have them when it does again. */
  readonly state: 'up' | 'down'
  /** Since when it is so. */
  readonly since: Date
  /** Why it is down. */
  readonly error?: Error | undefined
  /** Bytes that wait in memory for this proxy. */
  readonly queuedBytes: number
}

export interface ProxyOptions {
  /** Bytes that may wait in memory. */
  readonly maxQueueBytes: number
  /** Milliseconds after which a request that is not answered is given up. */
  readonly requestTimeoutMs: number
  /** Milliseconds after which what was tried again and again is given up. */
  readonly deliveryTimeoutMs: number
  /** Milliseconds between looks at a proxy that is down. */
  readonly probeMs: number
  readonly onError: (error: unknown) => void
}

/** What one `send` waits for. */
interface Delivery {
  waiting: number
  readonly settle: (error?: Error) => void
}

interface Queued {
  readonly item: GripItem
  readonly delivery: Delivery
}

/** Channels that are told to ask again; those beyond it do by themselves, by the poll of their link. */
const maxHints = 1000

/** Bytes of them in one request, of which there must be less than a proxy refuses. */
const maxHintBytes = 90_000

/**
 * Items of one request. Of a thousand, a Pushpin without `message_rate` was seen to drop the last ones,
 * since it keeps no more than a hundred for a client that is not ready; of 500, it was not.
 */
const maxItems = 500

const firstRetryMs = 50

/**
 * Items of one channel in one request, after which its clients are told to ask whether they have all,
 * and milliseconds after it. Pushpin drops what is more than `message_hwm`, or than it keeps for one
 * client, without a word; nothing comes behind the end of a burst that would show it.
 */
const burst = { items: 250, hintsMs: [1000, 4000, 12_000] } as const

/**
 * The queue of one proxy. Requests go one at a time, so that the items of a channel keep their order;
 * what comes meanwhile, or within one tick, goes in the next one together.
 *
 * What could not be delivered is not repeated later, since it is in the log: the channels are told to
 * ask for it.
 */
export class GripProxy {
  readonly #endpoint: ControlEndpoint
  readonly #options: ProxyOptions
  #queue: Queued[] = []
  #queuedBytes = 0
  #running: Promise<void> | undefined
  /** Channels that have missed something. */
  readonly #hints = new Set<string>()
  #down: { readonly error: Error; readonly since: Date } | undefined
  #upSince = new Date()
  #probe: NodeJS.Timeout | undefined
  /** Until something is published after all. */
  #isClosed = false
  /** By channel. */
  readonly #reminders = new Map<string, readonly NodeJS.Timeout[]>()

  constructor(endpoint: ControlEndpoint, options: ProxyOptions) {
    this.#endpoint = endpoint
    this.#options = options
  }

  /** See {@link ControlEndpoint.isStrict}. */
  get isStrict(): boolean {
    return this.#endpoint.isStrict
  }

  health(): ProxyHealth {
    const { name } = this.#endpoint
    const queuedBytes = this.#queuedBytes
    return this.#down === undefined
      ? { name, state: 'up', since: this.#upSince, queuedBytes }
      : { name, state: 'down', ...this.#down, queuedBytes }
  }

  /**
   * @returns Once the proxy has accepted all items. In order with those of earlier calls.
   * @throws EventStreamError `ERR_PROXY_UNAVAILABLE`, at once while it is known to be down;
   *   `ERR_PROXY_REFUSED`; `ERR_PROXY_BUSY` when too much is waiting for it.
   */
  async send(items: readonly GripItem[]): Promise<void> {
    if (items.length === 0) return
    this.#isClosed = false
    if (this.#down !== undefined) {
      this.#miss(items)
      if (this.#probe === undefined) this.#probeSoon()
      throw this.#down.error
    }
    const bytes = items.reduce((sum, item) => sum + item.bytes, 0)
    // What is more than may wait by itself is sent alone.
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > this.#options.maxQueueBytes) {
      this.#miss(items)
      throw new EventStreamError(
        'ERR_PROXY_BUSY',
        `${this.#queuedBytes} bytes wait for the GRIP proxy ${this.#endpoint.name} already; await ` +
          'what you publish, so that you are as fast as the proxy is.',
      )
    }
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error) => (error === undefined ? resolve() : reject(error))
      const delivery = { waiting: items.length, settle }
      for (const item of items) this.#queue.push({ item, delivery })
      this.#queuedBytes += bytes
      this.#running ??= this.#run()
    })
  }

  /** Waits until nothing is on its way, at most `graceMs`; looks at the proxy no more. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs)
    })
    await Promise.race([this.#running, deadline])
    clearTimeout(timer)
    clearTimeout(this.#probe)
    this.#probe = undefined
    for (const channel of this.#reminders.keys()) this.#forget(channel)
  }

  async #run(): Promise<void> {
    await nextTick()
    while (this.#down === undefined && this.#queue.length + this.#hints.size > 0) {
      const hints = this.#takeHints()
      const batch = this.#take(hints.reduce((sum, { bytes }) => sum + bytes + 1, 0))
      try {
        await this.#deliver([...hints, ...batch.map(({ item }) => item)])
        this.#settle(batch)
        this.#remind(batch)
      } catch (error) {
        this.#miss(hints)
        this.#fail(batch, error as Error)
      }
    }
    this.#running = undefined
  }

  /** From here on they are told again of whatever they miss. */
  #takeHints(): GripItem[] {
    const items: GripItem[] = []
    let bytes = 0
    for (const channel of this.#hints) {
      const item = hintItem(channel)
      bytes += item.bytes
      if (bytes > maxHintBytes) break
      items.push(item)
      this.#hints.delete(channel)
    }
    return items
  }

  /** What fits one request beside what goes there already. */
  #take(bytes: number): Queued[] {
    let count = 0
    for (const { item } of this.#queue) {
      bytes += item.bytes + 1
      if (count > 0 && (bytes > maxRequestBytes || count === maxItems)) break
      count += 1
    }
    return this.#queue.splice(0, count)
  }

  #settle(batch: readonly Queued[], error?: Error): void {
    for (const { item, delivery } of batch) {
      this.#queuedBytes -= item.bytes
      delivery.waiting -= 1
      if (error !== undefined || delivery.waiting === 0) delivery.settle(error)
    }
  }

  /** What waits behind a batch that failed would only wait for the same. */
  #fail(batch: readonly Queued[], error: Error): void {
    const all = [...batch, ...this.#queue.splice(0)]
    this.#miss(all.map(({ item }) => item))
    this.#down = { error, since: new Date() }
    this.#settle(all, error)
    this.#options.onError(error)
    this.#probeSoon()
  }

  /**
   * The same items again do no harm: the proxy drops an id that it had within the last minute, and
   * its clients one that is not the next.
   */
  async #deliver(items: readonly GripItem[]): Promise<void> {
    const { deliveryTimeoutMs, requestTimeoutMs } = this.#options
    const deadline = performance.now() + deliveryTimeoutMs
    for (let delayMs = firstRetryMs; ; delayMs *= 2) {
      try {
        const left = Math.max(1, Math.round(deadline - performance.now()))
        await this.#publish(items, Math.min(left, requestTimeoutMs))
        return
      } catch (error) {
        const passes = error instanceof EventStreamError && error.code === 'ERR_PROXY_UNAVAILABLE'
        if (!passes || performance.now() + delayMs >= deadline) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, delayMs * (0.5 + Math.random())))
    }
  }

  #publish(items: readonly GripItem[], timeoutMs: number): Promise<void> {
    return this.#endpoint.publish(items, AbortSignal.timeout(timeoutMs))
  }

  /** The last burst of a channel counts. */
  #remind(batch: readonly Queued[]): void {
    if (batch.length < burst.items || this.#isClosed) return
    const counts = new Map<string, number>()
    for (const { item } of batch) counts.set(item.channel, (counts.get(item.channel) ?? 0) + 1)
    for (const [channel, count] of counts) {
      if (count < burst.items) continue
      this.#forget(channel)
      const timers = burst.hintsMs.map((ms, i) =>
        setTimeout(() => {
          if (i === burst.hintsMs.length - 1) this.#forget(channel)
          this.#hints.add(channel)
          if (this.#down === undefined) this.#running ??= this.#run()
        }, ms).unref(),
      )
      this.#reminders.set(channel, timers)
    }
  }

  #forget(channel: string): void {
    for (const timer of this.#reminders.get(channel) ?? []) clearTimeout(timer)
    this.#reminders.delete(channel)
  }

  #miss(items: readonly GripItem[]): void {
    for (const { channel } of items) if (this.#hints.size < maxHints) this.#hints.add(channel)
  }

  #probeSoon(): void {
    if (this.#isClosed) return
    const delayMs = this.#options.probeMs * (0.75 + Math.random() / 2)
    this.#probe = setTimeout(() => void this.#look(), delayMs).unref()
  }

  /** Tells the channels that missed something to ask for it, which shows whether the proxy is back. */
  async #look(): Promise<void> {
    const hints = this.#takeHints()
    try {
      await this.#publish(hints, this.#options.requestTimeoutMs)
    } catch (error) {
      this.#miss(hints)
      this.#down = { error: error as Error, since: this.#down?.since ?? new Date() }
      this.#probeSoon()
      return
    }
    this.#down = undefined
    this.#upSince = new Date()
    this.#running ??= this.#run()
  }
}

/** Whatever is published before the event loop turns goes together. */
function nextTick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
