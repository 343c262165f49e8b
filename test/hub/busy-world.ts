import { createParser } from 'eventsource-parser'
import type { Cursor } from '../../src/core/cursor.js'
import type { Connection } from '../../src/hub/connection.js'
import { Hub } from '../../src/hub/hub.js'
import type { Frame, Sink } from '../../src/hub/sink.js'
import type { Wish } from '../../src/hub/start.js'
import { EventStream } from '../../src/index.js'
import type { EventLog, LogListener, StoredEvent } from '../../src/log/event-log.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { Observer } from '../../src/observe/observer.js'
import { wrapLog } from '../support/wrap-log.js'
import type { VirtualClock } from './virtual-clock.js'

/** Milliseconds of a round trip to the log. */
export const roundTrip = 12

/** What is published does not pause: so often, in milliseconds. */
const everyMs = roundTrip / 3

export interface Traffic {
  readonly channels: readonly string[]
  /** UTF-16 units of each event. */
  readonly length: number
  /** How long the next live message is on its way; undefined when it is lost. */
  nextDelay(): number | undefined
}

/** One process whose log is a round trip away, and another one that publishes to it for ever. */
export class BusyWorld {
  readonly hub: Hub
  reads = 0
  readonly #clock: VirtualClock
  readonly #traffic: Traffic
  readonly #store = memoryEventLog({ maxEvents: 10_000, maxBytes: 1e9 })
  readonly #followers = new Map<string, Set<LogListener>>()
  #isOver = false

  constructor(clock: VirtualClock, traffic: Traffic) {
    this.#clock = clock
    this.#traffic = traffic
    this.hub = new Hub({
      log: this.#distantLog(),
      keepAliveMs: 60_000,
      keepAliveText: ':\n',
      isShared: true,
      maxQueueBytes: 1_048_576,
      stallTimeoutMs: 60_000,
      observer: new Observer(new EventStream()),
      onError: (error) => {
        throw error
      },
    })
    this.#publishForEver(0)
  }

  /** Where a client is that has seen all but the last `behind` events. */
  async place(channel: string, behind: number): Promise<string> {
    const last = { maxEvents: behind + 1, maxLength: 1e9 }
    const { entries, head } = await this.#store.read(channel, { last: behind + 1 }, last)
    return entries[0]?.id ?? head
  }

  connect(cursor: Wish['cursor']): BusyClient {
    const { channels } = this.#traffic
    return new BusyClient(this.#clock, this.hub, channels, cursor)
  }

  async end(): Promise<void> {
    this.#isOver = true
    for (const connection of [...this.hub.connections]) connection.destroy()
    await this.#store.close()
  }

  #publishForEver(n: number): void {
    if (this.#isOver) return
    for (const channel of this.#traffic.channels) void this.#publish(channel, n)
    this.#clock.schedule(everyMs, () => this.#publishForEver(n + 1))
  }

  async #publish(channel: string, n: number): Promise<void> {
    const data = JSON.stringify({ channel, n, fill: 'x'.repeat(this.#traffic.length) })
    const [appended] = await this.#store.append(channel, [{ data }])
    if (appended === undefined) return
    const entry: StoredEvent = { id: appended.id, prevId: appended.prevId, data }
    const delay = this.#traffic.nextDelay()
    if (delay !== undefined) this.#clock.schedule(delay, () => this.#tell(channel, entry))
  }

  #tell(channel: string, entry: StoredEvent): void {
    for (const listener of [...(this.#followers.get(channel) ?? [])]) listener.append([entry])
  }

  /** What is asked of it is done half a round trip later. */
  #distantLog(): EventLog {
    const clock = this.#clock
    const store = this.#store
    const distant = async <Result>(act: () => Promise<Result>): Promise<Result> => {
      await clock.after(roundTrip / 2)
      const result = await act()
      await clock.after(roundTrip / 2)
      return result
    }
    return wrapLog(store, {
      append: (...args) => distant(() => store.append(...args)),
      read: (...args) => {
        this.reads += 1
        return distant(() => store.read(...args))
      },
      heads: (...args) => distant(() => store.heads(...args)),
      follow: (channel, listener) =>
        distant(async () => {
          const listeners = this.#followers.get(channel) ?? new Set()
          this.#followers.set(channel, listeners.add(listener))
          return () => listeners.delete(listener)
        }),
    })
  }
}

/** A client that takes all it gets, and notes when. Times are in round trips from its request. */
export class BusyClient {
  openedAfter: number | undefined
  /** When it was told of the first reset. */
  resetAfter: number | undefined
  liveAfter: number | undefined
  resets = 0
  readonly faults: string[] = []
  /** Number of the last event of each channel. */
  readonly last = new Map<string, number>()
  connection: Connection | undefined
  readonly #clock: VirtualClock
  readonly #requestedAt: number

  constructor(clock: VirtualClock, hub: Hub, channels: readonly string[], cursor: Wish['cursor']) {
    this.#clock = clock
    this.#requestedAt = clock.now
    void this.#connect(hub, channels, cursor)
  }

  /** @param last - For a cursor, the number of the last event that it stands for. */
  expectAfter(channel: string, last: number): void {
    this.last.set(channel, last)
  }

  get #trips(): number {
    return (this.#clock.now - this.#requestedAt) / roundTrip
  }

  /** Called whenever something has happened. */
  look(): void {
    if (this.connection?.state === 'live') this.liveAfter ??= this.#trips
  }

  async #connect(
    hub: Hub,
    channels: readonly string[],
    cursor: Cursor | 'invalid' | undefined,
  ): Promise<void> {
    // As a request does before its rights are looked at.
    const done = await hub.watchKicks()
    const prepared = await hub.prepare({ channels, cursor, startFrom: 'now' })
    const parser = createParser({
      onEvent: ({ event = 'message', data }) => this.#see(event, JSON.parse(data)),
    })
    const sink: Sink = {
      transport: 'response',
      queuedBytes: 0,
      isEmpty: true,
      progress: 0,
      write: (frame: Frame) => {
        parser.feed(frame.bytes.toString())
        return true
      },
      end: () => undefined,
      destroy: () => undefined,
    }
    this.connection = prepared.attach(sink, { retryMs: 1 })
    done()
    this.look()
  }

  #see(event: string, data: { channel: string; n: number }): void {
    if (event === 'stream-open') this.openedAfter ??= this.#trips
    else if (event === 'stream-reset') {
      this.resetAfter ??= this.#trips
      this.resets += 1
      this.last.clear()
    } else {
      const { channel, n } = data
      const last = this.last.get(channel)
      if (last !== undefined && n !== last + 1) this.faults.push(`${channel}: ${n} after ${last}`)
      this.last.set(channel, n)
    }
  }
}
