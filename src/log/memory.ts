import { inBackground } from '../background.js'
import { type EntryId, formatEntryId } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import type { EncodedEvent } from '../core/event.js'
import { checkNames, checkWhole } from '../core/options.js'
import { UseOrder } from '../core/use-order.js'
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
   * Bytes of memory that the entries of a channel may take: 256 for each, its text in ASCII, twice that where not all
   * of it is ASCII, and 192 more for an idempotency key beside its text.
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
   * Channels held that nobody follows, of about 500 bytes each beside their entries. Past this, the one that was not
   * used for longest is forgotten: first those without entries. Followed channels do not count, as they end with
   * their connections: twice `maxConnections` is enough for all clients to leave at once and come back.
   * @defaultValue 100_000
   */
  readonly maxChannels?: number | undefined
  /**
   * Bytes of memory that the entries of all channels may take together, counted as in `maxBytes`. Past this a tenth
   * is dropped, from the channels that were not used for longest: first those that nobody follows.
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
  readonly kind = 'memory'
  readonly registry = new MemoryRegistry(() => this.#checkOpen())
  readonly #channels = new Map<string, MemoryChannel>()
  /** Followed, or produced, with entries. */
  readonly #inUse = new UseOrder<MemoryChannel>()
  /** Others with entries. */
  readonly #left = new UseOrder<MemoryChannel>()
  /** Others without. */
  readonly #empty = new UseOrder<MemoryChannel>()
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #maxAgeMs: number
  readonly #maxChannels: number
  readonly #maxTotalBytes: number
  readonly #total: Total = { bytes: 0 }
  readonly #streams = new MemoryStreams((channel, entries) => this.#added(channel, entries))
  #closed = false
  #sweeper: NodeJS.Timeout | undefined
  /** What the sweep that is under way has not looked at. */
  #unswept: Iterator<MemoryChannel> | undefined

  constructor(options: MemoryEventLogOptions) {
    const {
      maxEvents = 1000,
      maxBytes = 4_194_304,
      maxAgeMs = 300_000,
      maxChannels = 100_000,
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
    const { appended, added } = channel.append(entries, randomNonce, channel.usedAt)
    if (added.length > 0) this.#added(channel, added)
    return appended
  }

  async read(name: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const channel = this.#use(name)
    this.#trim(channel, channel.usedAt)
    this.#place(channel)
    return channel.read(from, limit)
  }

  async heads(names: readonly string[]): Promise<readonly EntryId[]> {
    return names.map((name) => this.#use(name).head)
  }

  async follow(name: string, listener: LogListener): Promise<() => void> {
    const channel = this.#get(name)
    // One of its own, so that the same listener may follow twice.
    const follower: LogListener = {
      append: (entries) => listener.append(entries),
      suspect: (head) => listener.suspect(head),
    }
    channel.listeners.add(follower)
    this.#place(channel)
    return () => {
      if (!channel.listeners.delete(follower)) return
      channel.usedAt = performance.now()
      this.#place(channel)
    }
  }

  async closeChannel(name: string): Promise<void> {
    const channel = this.#use(name)
    checkUnproduced(name, channel.stream !== undefined && !channel.closed)
    channel.closed = true
  }

  async claim(name: string, claim: Claim): Promise<Claimed> {
    const channel = this.#get(name)
    const claimed = this.#streams.claim(channel, claim)
    this.#place(channel)
    return claimed
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

  async inspect(name: string): Promise<StreamInfo | undefined> {
    this.#checkOpen()
    return this.#streams.inspect(this.#find(name))
  }

  async dropStream(name: string): Promise<boolean> {
    this.#checkOpen()
    const channel = this.#find(name)
    if (channel === undefined || !this.#streams.drop(channel)) return false
    if (channel.isInUse) this.#place(channel)
    else this.#forget(channel)
    return true
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    this.registry.close()
    for (const channel of this.#channels.values()) {
      channel.listeners.clear()
      this.#forget(channel)
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
    this.#forget(channel)
    return undefined
  }

  #isPast(channel: MemoryChannel, now: number): boolean {
    const { isInUse, usedAt, stream } = channel
    return !isInUse && usedAt <= now - (stream?.limits.maxAgeMs ?? this.#maxAgeMs)
  }

  /** The channel, made if need be, and now the last to be forgotten. */
  #use(name: string): MemoryChannel {
    const channel = this.#get(name)
    this.#place(channel)
    return channel
  }

  /** The channel, made if need be: it has to be placed. */
  #get(name: string): MemoryChannel {
    this.#checkOpen()
    let channel = this.#find(name)
    if (channel === undefined) {
      channel = new MemoryChannel(name, formatEntryId(0, randomNonce()), this.#total)
      this.#sweeper ??= inBackground(() =>
        setInterval(() => this.#beginSweep(), sweepMs(this.#maxAgeMs)).unref(),
      )
      this.#channels.set(name, channel)
    }
    channel.usedAt = performance.now()
    this.#streams.expire(channel)
    return channel
  }

  /** Puts a channel where what it is now belongs, behind all that were used before it. */
  #place(channel: MemoryChannel): void {
    const { order, isInUse, bytes } = channel
    if (isInUse) {
      // Nothing can be taken from one without entries.
      if (bytes > 0) this.#inUse.use(channel)
      else order?.remove(channel)
      return
    }
    if (order !== this.#left && order !== this.#empty) this.#makeRoom()
    if (bytes > 0) this.#left.use(channel)
    else this.#empty.use(channel)
  }

  /** For one more channel that nobody follows. */
  #makeRoom(): void {
    if (this.#empty.size + this.#left.size < this.#maxChannels) return
    this.#forget((this.#empty.first ?? this.#left.first) as MemoryChannel)
  }

  #forget(channel: MemoryChannel): void {
    channel.forget()
    this.#channels.delete(channel.name)
  }

  #added(channel: MemoryChannel, entries: readonly StoredEvent[]): void {
    this.#trim(channel, channel.usedAt)
    this.#place(channel)
    if (this.#total.bytes > this.#maxTotalBytes) this.#shrink()
    for (const listener of [...channel.listeners]) listener.append(entries)
  }

  #trim(channel: MemoryChannel, now: number): void {
    const limits = channel.stream?.limits
    // A stream is kept as a whole: its entries have no age of their own.
    if (limits !== undefined) channel.trim(limits.maxEvents, limits.maxBytes, 0)
    else channel.trim(this.#maxEvents, this.#maxBytes, now - this.#maxAgeMs)
  }

  /** Drops a tenth of all that is kept. Who has lost all of his goes to another place. */
  #shrink(): void {
    const goal = Math.floor(this.#maxTotalBytes * 0.9)
    for (;;) {
      const excess = this.#total.bytes - goal
      const channel = this.#left.first ?? this.#inUse.first
      if (excess <= 0 || channel === undefined) return
      channel.trim(Number.POSITIVE_INFINITY, Math.max(0, channel.bytes - excess), 0)
      if (channel.bytes === 0) this.#place(channel)
    }
  }

  #beginSweep(): void {
    if (this.#unswept !== undefined) return
    this.#unswept = this.#channels.values()
    this.#sweep(this.#unswept)
  }

  /** Drops what is past its age: of some channels in each turn of the event loop, however many there are. */
  #sweep(unswept: Iterator<MemoryChannel>): void {
    const now = performance.now()
    for (let i = 0; i < sweptPerTurn; i++) {
      const { done, value: channel } = unswept.next()
      if (done) {
        this.#endSweep()
        return
      }
      this.#streams.expire(channel)
      const { bytes } = channel
      this.#trim(channel, now)
      if (this.#isPast(channel, now)) this.#forget(channel)
      else if (bytes > 0 && channel.bytes === 0) this.#place(channel)
    }
    setImmediate(() => this.#sweep(unswept)).unref()
  }

  #endSweep(): void {
    this.#unswept = undefined
    if (this.#channels.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}

const sweptPerTurn = 1000

/** Often enough that nothing outlives its age by more than a quarter, or half a minute. */
function sweepMs(maxAgeMs: number): number {
  return Math.min(30_000, Math.max(10, Math.floor(maxAgeMs / 4)))
}
