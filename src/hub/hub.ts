import { inBackground } from '../background.js'
import { encodeChannelName } from '../core/cursor.js'
import { isEndOf } from '../core/stream-end.js'
import type { EventLog } from '../log/event-log.js'
import type { Observer } from '../observe/observer.js'
import { ActiveChannel, type ChannelListener } from './active-channel.js'
import { TailTotal } from './channel-tail.js'
import { Connection, type ConnectionHost } from './connection.js'
import { Feed } from './feed.js'
import { Notices } from './notices.js'
import { openingText } from './opening.js'
import { RecentKicks } from './recent-kicks.js'
import { Frame, type Sink } from './sink.js'
import { findStart, type Start, type Wish } from './start.js'

export interface HubOptions {
  readonly log: EventLog
  /** The longest silence on a stream, in milliseconds. */
  readonly keepAliveMs: number
  /** What breaks the silence. */
  readonly keepAliveText: string
  /** Bytes that may wait in memory for one slow client. */
  readonly maxQueueBytes: number
  /** Milliseconds after which a client that takes none of what waits for it is closed. */
  readonly stallTimeoutMs: number
  /** Whether other processes use the log too. */
  readonly isShared: boolean
  readonly observer: Observer
  readonly onError: (error: unknown) => void
}

/** A stream whose head is about to be sent: end it by one of the two. */
export interface PreparedStream {
  /** Whether its client has all there will ever be. */
  readonly isOver: boolean
  /**
   * Sends the opening event, replays what was missed and goes live.
   *
   * @throws What the sink throws, when nothing could be sent: then the stream is released.
   */
  attach(sink: Sink, options: AttachOptions): Connection
  release(): void
}

export interface AttachOptions {
  /** Milliseconds that the client is told to wait before it reconnects. */
  readonly retryMs: number
  /** Called once when the stream has ended, whoever ended it. */
  readonly onClosed?: (() => void) | undefined
}

/** How often silence and stalls are looked for, in parts of the shortest time that matters. */
const ticksPerInterval = 8

/** Reconnect delays that clients are sent away with, in milliseconds. */
const retryRangeMs = { min: 1000, max: 5000 }

/**
 * The connections of this process, and the channels they listen to. Nothing here knows HTTP, and
 * nothing is left of a channel, timer or subscription when its last connection is gone.
 */
export class Hub {
  readonly connections = new Set<Connection>()
  readonly #options: HubOptions
  readonly #keepAlive: Frame
  readonly #channels = new Map<string, ActiveChannel>()
  readonly #feeds = new Map<string, Feed>()
  readonly #tails = new TailTotal()
  /** Connections by their feed. */
  readonly #members = new Map<ChannelListener, Set<Connection>>()
  readonly #watched = new Set<Connection>()
  readonly #host: ConnectionHost
  readonly #kicks: Notices | undefined
  readonly #recentKicks = new RecentKicks()
  /** Requests that are told of kicks, and have no stream yet. */
  #kickWatchers = 0
  #dirty: Feed[] = []
  #ticker: NodeJS.Timeout | undefined
  #onEmpty: (() => void) | undefined

  constructor(options: HubOptions) {
    this.#options = options
    this.#keepAlive = new Frame(options.keepAliveText)
    if (options.isShared) {
      const { log, onError } = options
      const onNotice = (channel: string) => this.#kick(channel)
      this.#kicks = new Notices({ log, topic: 'kicks', onNotice, onError })
    }
    this.#host = {
      maxQueueBytes: options.maxQueueBytes,
      observer: options.observer,
      watch: (connection) => {
        connection.stalledSince = performance.now()
        connection.seenProgress = connection.progress
        this.#watched.add(connection)
      },
      unwatch: (connection) => this.#watched.delete(connection),
      remove: (connection) => this.#remove(connection),
      retryMs: () => this.retryMs(),
      onError: options.onError,
    }
  }

  /**
   * Makes a stream ready: once this resolves its channels are followed and its place is known, so
   * that the head can be sent. End it by `attach` or `release`.
   *
   * @param signal - Aborts when nobody wants it any more: then it is released at once, however far it is.
   */
  async prepare(wish: Wish, signal?: AbortSignal): Promise<PreparedStream> {
    const feed = this.#acquire(wish.channels)
    let isHeld = true
    const release = () => {
      signal?.removeEventListener('abort', release)
      if (isHeld) this.#release(feed)
      isHeld = false
    }
    signal?.addEventListener('abort', release)
    try {
      await Promise.all([...feed.channels.map((channel) => channel.follow()), this.#kicks?.open()])
      const start = await findStart(this.#options.log, feed.channels, wish)
      return {
        isOver: start.lost.length === 0 && (await isAtEnd(feed, start)),
        attach: (sink, options) => {
          signal?.removeEventListener('abort', release)
          return this.#attach(feed, start, sink, options)
        },
        release,
      }
    } catch (error) {
      release()
      throw error
    }
  }

  /** A reconnect delay for a client that is sent away: random, so that not all return at once. */
  retryMs(): number {
    const { min, max } = retryRangeMs
    return Math.round(min + Math.random() * (max - min))
  }

  /** Ends the streams that listen to a channel, in all processes that use the log. */
  async kick(channel: string): Promise<void> {
    this.#kick(channel)
    await this.#kicks?.publish(channel)
  }

  /**
   * Has kicks of other processes heard, from before the rights of a request are checked until it has its stream.
   *
   * @returns Ends that; may be called twice.
   */
  async watchKicks(): Promise<() => void> {
    let isWatching = true
    this.#kickWatchers += 1
    const leave = () => {
      if (isWatching) this.#kickWatchers -= 1
      isWatching = false
      this.#closeKicks()
    }
    try {
      await this.#kicks?.begin()
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  /** Resolves when all kicks are known that were asked for by now, in any process. */
  async hearKicks(): Promise<void> {
    await this.#kicks?.hear()
  }

  /** Whether a stream of these channels, whose rights were checked at `since`, must end. */
  isKicked(channels: readonly string[], since: number): boolean {
    return this.#recentKicks.hasAny(channels, since)
  }

  /** Connections that listen to a channel. */
  count(channel: string): number {
    let count = 0
    for (const members of this.#membersOf(channel)) count += members.size
    return count
  }

  /** Channels that are followed now. */
  get activeChannels(): number {
    return this.#channels.size
  }

  /**
   * Ends every stream with a reconnect delay, and resolves when all are gone; those that are not by
   * then are cut off after `graceMs`.
   */
  async close(graceMs: number): Promise<void> {
    if (this.connections.size === 0) return
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
    const deadline = setTimeout(() => {
      for (const connection of [...this.connections]) connection.destroy()
    }, graceMs)
    for (const connection of [...this.connections]) connection.end()
    await empty
    clearTimeout(deadline)
  }

  #kick(channel: string): void {
    this.#recentKicks.add(channel)
    const kicked = [...this.#membersOf(channel)].flatMap((members) => [...members])
    for (const connection of kicked) connection.kick()
  }

  /** The connections of each feed of a channel: what is done to them costs nothing for all others. */
  *#membersOf(channel: string): Iterable<ReadonlySet<Connection>> {
    for (const listener of this.#channels.get(channel)?.listeners ?? []) {
      const members = this.#members.get(listener)
      if (members !== undefined) yield members
    }
  }

  #attach(feed: Feed, start: Start, sink: Sink, options: AttachOptions): Connection {
    const connection = new Connection(this.#host, feed, start.positions, sink, options.onClosed)
    const { observer } = this.#options
    this.connections.add(connection)
    const members = this.#members.get(feed) ?? new Set()
    this.#members.set(feed, members.add(connection))
    observer.opened(connection)
    if (start.lost.length > 0) observer.reset(start.lost, 'invalid', 1)
    this.#ticker ??= inBackground(() => setInterval(() => this.#tick(), this.#tickMs()).unref())
    try {
      connection.open(openingText(feed.encodedNames, start, options.retryMs))
    } catch (error) {
      connection.closed()
      throw error
    }
    return connection
  }

  #remove(connection: Connection): void {
    this.connections.delete(connection)
    const members = this.#members.get(connection.feed)
    members?.delete(connection)
    if (members?.size === 0) this.#members.delete(connection.feed)
    this.#options.observer.closed(connection, connection.closeReason)
    this.#release(connection.feed)
    if (this.connections.size > 0) return
    clearInterval(this.#ticker)
    this.#ticker = undefined
    this.#onEmpty?.()
  }

  #acquire(names: readonly string[]): Feed {
    // One order for one set, whichever way a route names it.
    const sorted = [...names].sort()
    const key = sorted.map(encodeChannelName).join('*')
    let feed = this.#feeds.get(key)
    if (feed === undefined) {
      const channels = sorted.map((name) => this.#channel(name))
      feed = new Feed(key, channels, this.#options.observer, (dirty) => this.#schedule(dirty))
      for (const channel of channels) channel.listeners.add(feed)
      this.#feeds.set(key, feed)
    }
    feed.members += 1
    return feed
  }

  #channel(name: string): ActiveChannel {
    let channel = this.#channels.get(name)
    if (channel === undefined) {
      const { log, onError } = this.#options
      channel = new ActiveChannel(name, log, onError, undefined, this.#tails)
      this.#channels.set(name, channel)
    }
    return channel
  }

  #release(feed: Feed): void {
    feed.members -= 1
    if (feed.members > 0) return
    this.#feeds.delete(feed.key)
    for (const channel of feed.channels) {
      channel.listeners.delete(feed)
      if (channel.listeners.size > 0) continue
      this.#channels.delete(channel.name)
      channel.close()
    }
    this.#closeKicks()
  }

  #closeKicks(): void {
    if (this.#feeds.size === 0 && this.#kickWatchers === 0) this.#kicks?.close()
  }

  #schedule(feed: Feed): void {
    if (this.#dirty.length === 0) inBackground(() => setImmediate(() => this.#flush()))
    this.#dirty.push(feed)
  }

  #flush(): void {
    const dirty = this.#dirty
    this.#dirty = []
    for (const feed of dirty) feed.flush()
  }

  #tickMs(): number {
    const { keepAliveMs, stallTimeoutMs } = this.#options
    return Math.max(1, Math.floor(Math.min(keepAliveMs, stallTimeoutMs) / ticksPerInterval))
  }

  /** The one timer: breaks silences before they get too long, and closes who takes nothing. */
  #tick(): void {
    const { keepAliveMs, stallTimeoutMs } = this.#options
    const now = performance.now()
    const quietSince = now - keepAliveMs + this.#tickMs()
    for (const connection of this.connections) {
      if (connection.lastWriteAt > quietSince || connection.full || !connection.isOpen()) continue
      connection.write(this.#keepAlive, now)
    }
    for (const connection of this.#watched) {
      const { progress } = connection
      if (progress !== connection.seenProgress) {
        connection.seenProgress = progress
        connection.stalledSince = now
      } else if (connection.isIdle) {
        // What stands between may never say so.
        connection.drained()
      } else if (now - connection.stalledSince >= stallTimeoutMs) {
        connection.stall()
      }
    }
  }
}

/** Whether a client has all there will ever be of its channels. */
async function isAtEnd(feed: Feed, { positions }: Start): Promise<boolean> {
  if (!positions.every((id, i) => isEndOf(feed.channels[i]?.name ?? '', id))) return false
  const heads = await Promise.all(feed.channels.map((channel) => channel.locate()))
  return heads.every((head, i) => head === positions[i])
}
