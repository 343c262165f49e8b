import { type EntryId, formatEntryId, seqOf } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import type { EncodedEvent } from '../core/event.js'
import { checkNames, checkWhole } from '../core/options.js'
import type {
  Appended,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  StoredEvent,
} from './event-log.js'
import { MemoryChannel, type Total } from './memory-channel.js'
import { MemoryRegistry } from './memory-registry.js'
import { MemoryStreams } from './memory-streams.js'
import { randomNonce } from './nonce.js'
import type { RegistryLog } from './registry-store.js'
import {
  type Claim,
  type Claimed,
  checkUnproduced,
  type Lease,
  type Produced,
  type Production,
  type StreamInfo,
  type StreamLog,
} from './stream-log.js'

/** Limits of an in-memory log. Whatever passes one of them is dropped, oldest first. */
export interface MemoryEventLogOptions {
  /**
   * Entries kept per channel.
   * @defaultValue 1000
   */
  readonly maxEvents?: number | undefined
  /**
   * Payload kept per channel, in UTF-16 units: bytes, for ASCII.
   * @defaultValue 4_194_304
   */
  readonly maxBytes?: number | undefined
  /**
   * Milliseconds an entry is kept. A channel that nobody follows, reads or appends to for this long
   * is forgotten.
   * @defaultValue 300_000
   */
  readonly maxAgeMs?: number | undefined
  /**
   * Channels held at once. Past this, those that were not used for longest are forgotten, a tenth of
   * them at a time: first those without entries, never one that is followed.
   * @defaultValue 10_000
   */
  readonly maxChannels?: number | undefined
  /**
   * Payload kept in all channels together, in the unit of `maxBytes`. Past this a tenth is dropped,
   * from the channels that were not used for longest.
   * @defaultValue 268_435_456
   */
  readonly maxTotalBytes?: number | undefined
}

/**
 * An event log in this process's memory: it ends with the process, and other processes do not see it.
 *
 * @throws EventStreamError `ERR_OPTION` when a limit is not a whole number above 0.
 */
export function memoryEventLog(options: MemoryEventLogOptions = {}): StreamLog & RegistryLog {
  return new MemoryEventLog(options)
}

class MemoryEventLog implements StreamLog, RegistryLog {
  readonly registry = new MemoryRegistry(() => this.#checkOpen())
  readonly #channels = new Map<string, MemoryChannel>()
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #maxAgeMs: number
  readonly #maxChannels: number
  readonly #maxTotalBytes: number
  readonly #total: Total = { bytes: 0 }
  readonly #streams = new MemoryStreams((channel, entries) => this.#added(channel, entries))
  #closed = false
  #sweeper: NodeJS.Timeout | undefined

  constructor(options: MemoryEventLogOptions) {
    const {
      maxEvents = 1000,
      maxBytes = 4_194_304,
      maxAgeMs = 300_000,
      maxChannels = 10_000,
      maxTotalBytes = 268_435_456,
    } = options
    const limits = { maxEvents, maxBytes, maxAgeMs, maxChannels, maxTotalBytes }
    checkNames('memoryEventLog', options, Object.keys(limits))
    for (const [name, value] of Object.entries(limits)) checkWhole(name, value, 1)
    this.#maxEvents = maxEvents
    this.#maxBytes = maxBytes
    this.#maxAgeMs = maxAgeMs
    this.#maxChannels = maxChannels
    this.#maxTotalBytes = maxTotalBytes
  }

  async append(name: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    const channel = this.#use(name)
    checkUnproduced(name, channel.stream !== undefined && !channel.closed)
    if (channel.closed) {
      throw new EventStreamError(
        'ERR_CHANNEL_CLOSED',
        `The channel ${quote(name)} is closed and takes no more events.`,
      )
    }
    const { appended, added } = channel.append(entries, randomNonce, performance.now())
    if (added.length > 0) this.#added(channel, added)
    return appended
  }

  async read(name: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const channel = this.#use(name)
    this.#trim(channel, performance.now())
    return channel.read(from, limit)
  }

  async heads(names: readonly string[]): Promise<readonly EntryId[]> {
    return names.map((name) => this.#use(name).head)
  }

  async follow(name: string, listener: LogListener): Promise<() => void> {
    const channel = this.#use(name)
    // One of its own, so that the same listener may follow twice.
    const follower: LogListener = {
      append: (entries) => listener.append(entries),
      suspect: () => listener.suspect(),
    }
    channel.listeners.add(follower)
    return () => {
      if (!channel.listeners.delete(follower)) return
      channel.usedAt = performance.now()
    }
  }

  async closeChannel(name: string): Promise<void> {
    const channel = this.#use(name)
    checkUnproduced(name, channel.stream !== undefined && !channel.closed)
    channel.closed = true
  }

  async claim(name: string, claim: Claim): Promise<Claimed> {
    return this.#streams.claim(this.#use(name), claim)
  }

  async produce(name: string, production: Production): Promise<Produced> {
    return this.#streams.produce(this.#use(name), production)
  }

  async renew(leases: readonly Lease[]): Promise<readonly boolean[]> {
    this.#checkOpen()
    return leases.map(({ channel, token, leaseMs }) =>
      this.#streams.renew(this.#find(channel), token, leaseMs),
    )
  }

  async endStream(name: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    this.#checkOpen()
    return this.#streams.end(this.#find(name), ending)
  }

  async inspect(name: string): Promise<StreamInfo | 'channel' | undefined> {
    this.#checkOpen()
    return this.#streams.inspect(this.#find(name))
  }

  async dropStream(name: string): Promise<boolean> {
    this.#checkOpen()
    const channel = this.#find(name)
    if (channel === undefined || !this.#streams.drop(channel)) return false
    if (channel.listeners.size === 0) this.#forget(name, channel)
    return true
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    this.registry.close()
    for (const [name, channel] of this.#channels) {
      channel.listeners.clear()
      this.#forget(name, channel)
    }
  }

  #checkOpen(): void {
    if (!this.#closed) return
    throw new EventStreamError(
      'ERR_LOG_CLOSED',
      'The event log is closed; publish and read before close().',
    )
  }

  #find(name: string): MemoryChannel | undefined {
    const channel = this.#channels.get(name)
    if (channel === undefined || !this.#isPast(channel, performance.now())) return channel
    this.#forget(name, channel)
    return undefined
  }

  #isPast({ listeners, stream, closed, usedAt }: MemoryChannel, now: number): boolean {
    // Its lease ends before it does.
    if (stream !== undefined && !closed) return false
    return listeners.size === 0 && usedAt <= now - (stream?.limits.maxAgeMs ?? this.#maxAgeMs)
  }

  /** The channel, made if need be, and now the last to be forgotten. */
  #use(name: string): MemoryChannel {
    this.#checkOpen()
    let channel = this.#find(name)
    if (channel === undefined) {
      channel = new MemoryChannel(formatEntryId(0, randomNonce()), this.#total)
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs(this.#maxAgeMs)).unref()
      if (this.#channels.size >= this.#maxChannels) this.#forgetSome()
      this.#channels.set(name, channel)
    }
    channel.usedAt = performance.now()
    this.#streams.expire(channel)
    return channel
  }

  /**
   * Makes room for a channel. Channels are looked through and sorted only here, many at a time: to
   * keep them in order of use would cost every append, and the more the more channels there are.
   */
  #forgetSome(): void {
    const unfollowed = inOrderOfUse(
      [...this.#channels].filter(([, { listeners }]) => listeners.size === 0),
    )
    const isEmpty = ([, { head }]: readonly [string, MemoryChannel]) => seqOf(head) === 0
    const first = [...unfollowed.filter(isEmpty), ...unfollowed.filter((entry) => !isEmpty(entry))]
    const goal = this.#maxChannels - 1 - Math.floor(this.#maxChannels / 10)
    for (const [name, channel] of first) {
      if (this.#channels.size <= goal) return
      this.#forget(name, channel)
    }
  }

  #forget(name: string, channel: MemoryChannel): void {
    channel.forget()
    this.#channels.delete(name)
  }

  #added(channel: MemoryChannel, entries: readonly StoredEvent[]): void {
    this.#trim(channel, performance.now())
    if (this.#total.bytes > this.#maxTotalBytes) this.#shrink()
    for (const listener of [...channel.listeners]) listener.append(entries)
  }

  #trim(channel: MemoryChannel, now: number): void {
    const limits = channel.stream?.limits
    // A stream is kept as a whole: its entries have no age of their own.
    if (limits !== undefined) channel.trim(limits.maxEvents, limits.maxBytes, 0)
    else channel.trim(this.#maxEvents, this.#maxBytes, now - this.#maxAgeMs)
  }

  /** Drops a tenth of all that is kept. */
  #shrink(): void {
    const goal = Math.floor(this.#maxTotalBytes * 0.9)
    for (const [, channel] of inOrderOfUse([...this.#channels])) {
      const excess = this.#total.bytes - goal
      if (excess <= 0) return
      channel.trim(Number.POSITIVE_INFINITY, Math.max(0, channel.bytes - excess), 0)
    }
  }

  #sweep(): void {
    const now = performance.now()
    for (const [name, channel] of this.#channels) {
      this.#streams.expire(channel)
      this.#trim(channel, now)
      if (this.#isPast(channel, now)) this.#forget(name, channel)
    }
    if (this.#channels.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}

/** The first was not used for longest. */
function inOrderOfUse(channels: [string, MemoryChannel][]): [string, MemoryChannel][] {
  return channels.sort(([, a], [, b]) => a.usedAt - b.usedAt)
}

/** Often enough that nothing outlives its age by more than a quarter, or half a minute. */
function sweepMs(maxAgeMs: number): number {
  return Math.min(30_000, Math.max(10, Math.floor(maxAgeMs / 4)))
}
