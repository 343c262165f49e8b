import { AsyncResource } from 'node:async_hooks'
import type { EntryId } from '../core/entry-id.js'
import { EventStreamError } from '../core/errors.js'
import { controlEvents } from '../core/event.js'
import { kindOf, shownName } from '../core/log-names.js'
import { encodeBlock, encodeRetry } from '../core/wire.js'
import type { CloseReason } from '../observe/counters.js'
import type { Observer } from '../observe/observer.js'
import type { Feed, LiveReader } from './feed.js'
import { catchUp } from './replay.js'
import { Frame, type Sink, type Transport } from './sink.js'

/**
 * `replaying`, reads what it missed from the log; `live`, gets events as they are published;
 * `behind`, its client is slow, so it waits to read on from the log; `closing`, its end is on the
 * way to the client; `closed`.
 */
export type ConnectionState = 'replaying' | 'live' | 'behind' | 'closing' | 'closed'

/** Positions of the live: they are where the feed is. */
const nowhere: EntryId[] = []

/** What a connection needs of the hub. */
export interface ConnectionHost {
  readonly maxQueueBytes: number
  readonly observer: Observer
  /** Bytes wait for this connection's client: watch whether they go. */
  watch(connection: Connection): void
  unwatch(connection: Connection): void
  remove(connection: Connection): void
  /** A random reconnect delay, so that clients that are sent away do not return all at once. */
  retryMs(): number
  onError(error: unknown): void
}

/** One client's stream. */
export class Connection implements LiveReader {
  readonly #openedAtMs = Date.now()
  readonly feed: Feed
  /** Position in each channel of the feed. A live connection is where the feed is. */
  positions: EntryId[]
  liveIndex = -1
  lastWriteAt = performance.now()
  /** For the hub: progress of the sink when it was last looked at, and since when it is the same. */
  seenProgress = -1
  stalledSince = 0
  readonly #host: ConnectionHost
  readonly #sink: Sink
  readonly #onClosed: (() => void) | undefined
  #state: ConnectionState = 'replaying'
  #closeReason: CloseReason | undefined
  #full = false
  #onDrained: (() => void) | undefined
  #signal: AbortSignal | undefined
  #abort: (() => void) | undefined
  #retry: NodeJS.Timeout | undefined

  /** @param onClosed - Called once when the stream has ended, whoever ended it. */
  constructor(
    host: ConnectionHost,
    feed: Feed,
    positions: EntryId[],
    sink: Sink,
    onClosed: (() => void) | undefined,
  ) {
    this.#host = host
    this.feed = feed
    this.positions = positions
    this.#sink = sink
    this.#onClosed = onClosed
  }

  get openedAt(): Date {
    return new Date(this.#openedAtMs)
  }

  get state(): ConnectionState {
    return this.#state
  }

  get channels(): readonly string[] {
    return this.feed.channels.map((channel) => shownName(channel.name))
  }

  get kind(): 'channels' | 'stream' {
    return kindOf(this.feed.channels.map((channel) => channel.name))
  }

  get observer(): Observer {
    return this.#host.observer
  }

  /** Once it is closed. Unless it was ended here, its client has gone. */
  get closeReason(): CloseReason {
    return this.#closeReason ?? 'client'
  }

  get queuedBytes(): number {
    return this.#state === 'closed' ? 0 : this.#sink.queuedBytes
  }

  get transport(): Transport {
    return this.#sink.transport
  }

  /** Bytes wait, so the client is not waiting for a sign of life. */
  get full(): boolean {
    return this.#full
  }

  /** Whether its client waits, though the sink has not said that it was drained. */
  get isIdle(): boolean {
    return this.isOpen() && this.#sink.isEmpty
  }

  get progress(): number {
    return this.#sink.progress
  }

  /** Aborts when the stream has ended, whoever ended it. */
  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      const controller = new AbortController()
      this.#signal = controller.signal
      // Whoever ends the stream is not whom its listeners belong to.
      this.#abort = AsyncResource.bind(() => controller.abort())
      if (this.#state === 'closed') this.#abort()
    }
    return this.#signal
  }

  /** Writes the opening blocks, then replays what was missed and goes live. */
  open(opening: string): void {
    this.write(new Frame(opening), performance.now())
    this.#catchUp()
  }

  /** A frame of the feed, while live. */
  deliver(frame: Frame, now: number): boolean {
    if (this.#write(frame, now) || this.#sink.queuedBytes <= this.#host.maxQueueBytes) return true
    this.positions = this.feed.channels.map((channel) => channel.position)
    this.#state = 'behind'
    this.observer.fellBehind(this)
    return false
  }

  /** @returns False when the sink is full; {@link whenDrained} tells when to go on. */
  write(frame: Frame, now: number): boolean {
    this.observer.counters.writtenBytes += frame.length
    return this.#write(frame, now)
  }

  /** What comes from the feed, it has counted for all of its connections. */
  #write(frame: Frame, now: number): boolean {
    this.lastWriteAt = now
    if (this.#sink.write(frame)) return true
    if (!this.#full) {
      this.#full = true
      this.#host.watch(this)
    }
    return false
  }

  /** Resolves when the sink is empty, or the connection is closed. */
  async whenDrained(): Promise<void> {
    if (!this.#full) return
    this.#state = 'behind'
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve
    })
    if (this.isOpen()) this.#state = 'replaying'
  }

  isOpen(): boolean {
    return this.#state !== 'closing' && this.#state !== 'closed'
  }

  /** Called by the replay, at the live position. */
  goLive(): void {
    this.#state = 'live'
    this.positions = nowhere
    this.feed.join(this)
  }

  /** Called by the sink's side when all that waited has gone. */
  drained(): void {
    if (!this.#full) return
    this.#full = false
    this.#host.unwatch(this)
    const onDrained = this.#onDrained
    this.#onDrained = undefined
    if (onDrained !== undefined) onDrained()
    else if (this.#state === 'behind') {
      this.#state = 'replaying'
      this.#catchUp()
    }
  }

  /**
   * Called by the sink's side when nothing more can be written.
   *
   * @param reason - Unless it was ended here.
   */
  closed(reason: CloseReason = 'client'): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#closeReason ??= reason
    clearTimeout(this.#retry)
    this.feed.leave(this)
    this.#host.unwatch(this)
    this.#host.remove(this)
    this.#onDrained?.()
    this.#abort?.()
    try {
      this.#onClosed?.()
    } catch (error) {
      this.#host.onError(error)
    }
  }

  /** Ends the stream; the client comes back after `retryMs` and goes on where it was. */
  end(retryMs = this.#host.retryMs()): void {
    if (this.#state === 'live') this.feed.flush()
    this.#end(this.feed.isOver ? 'over' : 'server', encodeRetry(retryMs))
  }

  /** Ends the stream, since a right was taken away. */
  kick(): void {
    if (this.isOpen()) this.#closeReason = 'kick'
    this.end()
  }

  /** Closes a stream whose client takes nothing. */
  stall(): void {
    this.#closeReason ??= 'stall'
    this.destroy()
  }

  destroy(): void {
    this.#sink.destroy()
    this.closed()
  }

  #catchUp(): void {
    catchUp(this).catch((error: unknown) => {
      this.#host.onError(error)
      if (!isPassing(error)) this.#fail()
      // It stays open, and is told that it is alive, until the log is back.
      else if (this.isOpen())
        this.#retry = setTimeout(() => this.#catchUp(), retryReplayMs()).unref()
    })
  }

  /** Ends a stream that cannot go on. The reason is for the server's log, not for the client. */
  #fail(): void {
    const retry = this.#host.retryMs()
    this.#end('failed', encodeBlock({ event: controlEvents.error, retry, data: '{}' }))
  }

  #end(reason: CloseReason, last: string): void {
    if (!this.isOpen()) return
    this.#state = 'closing'
    this.#closeReason ??= reason
    clearTimeout(this.#retry)
    this.feed.leave(this)
    this.#onDrained?.()
    const frame = new Frame(last)
    this.observer.counters.writtenBytes += frame.length
    // A client that does not take the end is closed like any other that takes nothing. Before the end, as
    // a sink may be closed by it.
    this.#host.watch(this)
    this.#sink.end(frame)
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof EventStreamError && error.code === 'ERR_LOG_UNAVAILABLE'
}

/** Not all at once. */
function retryReplayMs(): number {
  return 500 + Math.random() * 1000
}
