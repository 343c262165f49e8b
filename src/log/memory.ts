import { type EntryId, formatEntryId, seqOf } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { checkNames, checkWhole } from '../core/options.js'
import type {
  Appended,
  EventLog,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  StoredEvent,
} from './event-log.js'
import { MemoryChannel } from './memory-channel.js'
import { randomNonce } from './nonce.js'

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
export function memoryEventLog(options: MemoryEventLogOptions = {}): EventLog {
  return new MemoryEventLog(options)
}

class MemoryEventLog implements EventLog {
  readonly #channels = new Map<string, MemoryChannel>()
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #maxAgeMs: number
  readonly #maxChannels: number
  readonly #maxTotalBytes: number
  #totalBytes = 0
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
    if (channel.closed) {
      throw new EventStreamError(
        'ERR_CHANNEL_CLOSED',
        `The channel ${quote(name)} is closed and takes no more events.`,
      )
    }
    const now = performance.now()
    const before = channel.bytes
    const { appended, added } = channel.append(entries, randomNonce, now)
    if (added.length > 0) {
      channel.trim(this.#maxEvents, this.#maxBytes, now - this.#maxAgeMs)
      this.#totalBytes += channel.bytes - before
      if (this.#totalBytes > this.#maxTotalBytes) this.#shrink()
      for (const listener of [...channel.listeners]) listener.append(added)
    }
    return appended
  }

  async read(name: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const channel = this.#use(name)
    this.#trimByAge(channel)
    return channel.read(from, limit)
  }

  async heads(names: readonly string[]): Promise<readonly EntryId[]> {
    return names.map((name) => this.#use(name).head)
  }

  async follow(name: string, listener: LogListener): Promise<() => void> {
    const channel = this.#use(name)
    // One of its own, so that the same listener may follow twice.
    const follower = { append: (entries: readonly StoredEvent[]) => listener.append(entries) }
    channel.listeners.add(follower)
    return () => {
      if (!channel.listeners.delete(follower)) return
      channel.usedAt = performance.now()
    }
  }

  async closeChannel(name: string): Promise<void> {
    this.#use(name).closed = true
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const channel of this.#channels.values()) channel.listeners.clear()
    this.#channels.clear()
    this.#totalBytes = 0
  }

  /** The channel, made if need be, and now the last to be forgotten. */
  #use(name: string): MemoryChannel {
    if (this.#closed) {
      throw new EventStreamError(
        'ERR_LOG_CLOSED',
        'The event log is closed; publish and read before close().',
      )
    }
    let channel = this.#channels.get(name)
    if (channel === undefined) {
      channel = new MemoryChannel(formatEntryId(0, randomNonce()))
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs(this.#maxAgeMs)).unref()
      if (this.#channels.size >= this.#maxChannels) this.#forgetSome()
      this.#channels.set(name, channel)
    }
    channel.usedAt = performance.now()
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
    this.#totalBytes -= channel.bytes
    this.#channels.delete(name)
  }

  #trimByAge(channel: MemoryChannel): void {
    const before = channel.bytes
    channel.trim(this.#maxEvents, this.#maxBytes, performance.now() - this.#maxAgeMs)
    this.#totalBytes += channel.bytes - before
  }

  /** Drops a tenth of all that is kept. */
  #shrink(): void {
    const goal = Math.floor(this.#maxTotalBytes * 0.9)
    for (const [, channel] of inOrderOfUse([...this.#channels])) {
      const excess = this.#totalBytes - goal
      if (excess <= 0) return
      const before = channel.bytes
      channel.trim(this.#maxEvents, Math.max(0, channel.bytes - excess), 0)
      this.#totalBytes += channel.bytes - before
    }
  }

  #sweep(): void {
    const deadline = performance.now() - this.#maxAgeMs
    for (const [name, channel] of this.#channels) {
      this.#trimByAge(channel)
      if (channel.listeners.size === 0 && channel.usedAt <= deadline) this.#forget(name, channel)
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
