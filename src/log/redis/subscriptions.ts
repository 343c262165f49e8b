import type { EntryId } from '../../core/entry-id.js'
import { quoteName } from '../../core/log-names.js'
import type { LogListener, StoredEvent } from '../event-log.js'
import { type Intake, readInstead } from '../intake.js'
import { channelKeys, type KeyPrefix, parseMessage } from './format.js'

/** What subscriptions need of the log. */
export interface SubscriptionHost {
  readonly prefix: KeyPrefix | string
  readonly intake: Intake
  subscribe(live: readonly string[]): Promise<unknown>
  unsubscribe(live: readonly string[]): Promise<unknown>
  heads(channels: readonly string[]): Promise<readonly EntryId[]>
  /** Followers are about to get entries. */
  delivered(channel: string, entries: readonly StoredEvent[]): void
}

export interface SubscriptionTimes {
  /** How long a channel that nobody follows any more stays subscribed, in case somebody comes back. */
  readonly lingerMs?: number
  /** Between two looks for messages that were lost, on average. */
  readonly checkMs?: number
}

/** Channels of one command. */
const batch = 200

class Subscription {
  readonly channel: string
  readonly live: string
  readonly followers = new Set<LogListener>()
  /** Resolves when messages come. */
  ready: Promise<unknown> = Promise.resolve()
  /** The last entry that was told of. */
  seen: EntryId | undefined
  idleSince = 0

  constructor(prefix: KeyPrefix | string, channel: string) {
    this.channel = channel
    this.live = channelKeys(prefix, channel).live
  }

  suspect(head?: EntryId): void {
    for (const follower of [...this.followers]) follower.suspect(head)
  }
}

/**
 * The channels that this process gets messages of. A message may be lost, and the last one has no
 * successor that would show it: so positions are compared with the log's now and then, and whenever
 * the connection has come back.
 */
export class Subscriptions {
  readonly #host: SubscriptionHost
  readonly #lingerMs: number
  readonly #checkMs: number
  readonly #byChannel = new Map<string, Subscription>()
  readonly #byLive = new Map<string, Subscription>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(
    host: SubscriptionHost,
    { lingerMs = 10_000, checkMs = 10_000 }: SubscriptionTimes = {},
  ) {
    this.#host = host
    this.#lingerMs = lingerMs
    this.#checkMs = checkMs
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    const subscription = this.#subscribe(channel)
    // One of its own, so that the same listener may follow twice.
    const follower: LogListener = {
      append: (entries) => listener.append(entries),
      suspect: (head) => listener.suspect(head),
    }
    subscription.followers.add(follower)
    const leave = () => {
      if (!subscription.followers.delete(follower)) return
      if (subscription.followers.size === 0) subscription.idleSince = performance.now()
    }
    try {
      await subscription.ready
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  /** A message came. */
  message(live: string, text: string): void {
    const subscription = this.#byLive.get(live)
    if (subscription === undefined) return
    const message = parseMessage(text)
    if (message === undefined) {
      const what = `A live message of the channel ${quoteName(subscription.channel)}`
      this.#host.intake.drop(what, readInstead)
      subscription.suspect()
      return
    }
    subscription.seen = message.head
    this.#host.delivered(subscription.channel, message.entries)
    if (message.entries.length === 0) subscription.suspect()
    else for (const follower of [...subscription.followers]) follower.append(message.entries)
  }

  /** The connection is there again, without its subscriptions. */
  async resubscribe(): Promise<void> {
    const all = [...this.#byChannel.values()]
    for (let i = 0; i < all.length; i += batch) {
      await this.#host.subscribe(all.slice(i, i + batch).map(({ live }) => live))
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#byChannel.clear()
    this.#byLive.clear()
  }

  get size(): number {
    return this.#byChannel.size
  }

  #subscribe(channel: string): Subscription {
    let subscription = this.#byChannel.get(channel)
    if (subscription === undefined) {
      subscription = new Subscription(this.#host.prefix, channel)
      this.#byChannel.set(channel, subscription)
      this.#byLive.set(subscription.live, subscription)
      subscription.ready = this.#begin(subscription)
      // Whoever follows gets it; nobody may be left by then.
      subscription.ready.catch(() => undefined)
      this.#timer ??= this.#nextCheck()
    }
    return subscription
  }

  async #begin(subscription: Subscription): Promise<void> {
    try {
      await this.#host.subscribe([subscription.live])
    } catch (error) {
      this.#forget(subscription)
      throw error
    }
    void this.#locate(subscription)
  }

  /** Not waited for, so that who follows may look for his own place at the same time: messages come already. */
  async #locate(subscription: Subscription): Promise<void> {
    try {
      const [head] = await this.#host.heads([subscription.channel])
      if (subscription.seen !== undefined) return
      subscription.seen = head
      // Messages of what was appended meanwhile may have been lost.
      subscription.suspect(head)
    } catch {
      // Redis is away. Without a place, the next check suspects that something was lost.
    }
  }

  #forget(subscription: Subscription): void {
    if (this.#byChannel.get(subscription.channel) !== subscription) return
    this.#byChannel.delete(subscription.channel)
    this.#byLive.delete(subscription.live)
  }

  #nextCheck(): NodeJS.Timeout {
    // Not all processes at once.
    const delayMs = this.#checkMs * (0.5 + Math.random())
    return setTimeout(() => {
      this.#timer = undefined
      this.#sweep()
      this.check()
        // Redis is away, which its owner knows: all is checked when it is back.
        .catch(() => undefined)
        .finally(() => {
          if (!this.#isClosed && this.#byChannel.size > 0) this.#timer ??= this.#nextCheck()
        })
    }, delayMs).unref()
  }

  /** Unsubscribes from what nobody has followed for a while. */
  #sweep(): void {
    const idle = [...this.#byChannel.values()].filter(
      ({ followers, idleSince }) =>
        followers.size === 0 && performance.now() - idleSince >= this.#lingerMs,
    )
    for (const subscription of idle) this.#forget(subscription)
    if (idle.length === 0) return
    // Not waited for: from a dead connection no answer comes, and the look that follows would show it.
    this.#host.unsubscribe(idle.map(({ live }) => live)).catch(() => undefined)
  }

  /** Tells those whose log is not where they are. */
  async check(): Promise<void> {
    const all = [...this.#byChannel.values()].filter(({ followers }) => followers.size > 0)
    for (let i = 0; i < all.length; i += batch) {
      const some = all.slice(i, i + batch)
      const before = some.map(({ seen }) => seen)
      const heads = await this.#host.heads(some.map(({ channel }) => channel))
      const missed = some.filter((subscription, n) => {
        const { seen } = subscription
        // Messages come while it was looked, so they come.
        if (seen !== before[n] || seen === heads[n]) return false
        subscription.seen = heads[n]
        return true
      })
      for (const subscription of missed) subscription.suspect()
      // They may have been lost because the subscription was: to subscribe twice does no harm.
      if (missed.length > 0) await this.#host.subscribe(missed.map(({ live }) => live))
    }
  }
}
