import { createParser } from 'eventsource-parser'
import { parseCursor } from '../../src/core/cursor.js'
import type { Connection } from '../../src/hub/connection.js'
import { Hub } from '../../src/hub/hub.js'
import type { Frame, Sink } from '../../src/hub/sink.js'
import { EventStream } from '../../src/index.js'
import type {
  Appended,
  EventLog,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  StoredEvent,
} from '../../src/log/event-log.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { Observer } from '../../src/observe/observer.js'

/** What happens to a live message on its way from the log, as on a network. */
export type Fate = 'arrives' | 'late' | 'lost' | 'twice'

/**
 * A log across a network that the test is: every answer and every live message waits until the test
 * lets it through, in any order; messages get lost or doubled, reads fail, and the store may be wiped.
 */
export class DistantLog implements EventLog {
  readonly waiting: (() => void)[] = []
  nextFate: () => Fate = () => 'arrives'
  failReads = 0
  readonly #limits: { readonly maxEvents: number }
  readonly #followers = new Map<string, Set<LogListener>>()
  #inner: EventLog

  constructor(limits: { readonly maxEvents: number }) {
    this.#limits = limits
    this.#inner = memoryEventLog(limits)
  }

  async append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    const appended = await this.#inner.append(channel, entries)
    appended.forEach(({ id, prevId }, i) => {
      const { event, data } = entries[i] as NewEntry
      this.#send(() => this.#tell(channel, { id, prevId, event, data }))
    })
    return appended
  }

  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    await this.#pass()
    if (this.failReads > 0) {
      this.failReads -= 1
      throw new Error('the store is away')
    }
    const page = await this.#inner.read(channel, from, limit)
    await this.#pass()
    return page
  }

  async heads(channels: readonly string[]): Promise<readonly string[]> {
    const heads = await this.#inner.heads(channels)
    await this.#pass()
    return heads
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    await this.#pass()
    const listeners = this.#followers.get(channel) ?? new Set()
    this.#followers.set(channel, listeners.add(listener))
    await this.#pass()
    return () => listeners.delete(listener)
  }

  async closeChannel(channel: string): Promise<void> {
    await this.#inner.closeChannel(channel)
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  /** The store loses everything and starts again. */
  async wipe(): Promise<void> {
    const old = this.#inner
    this.#inner = memoryEventLog(this.#limits)
    await old.close()
  }

  /** The position check of a real backend: a last message that is lost has no successor to show it. */
  suspectAll(): void {
    for (const listeners of this.#followers.values()) {
      for (const listener of [...listeners]) listener.suspect()
    }
  }

  get followers(): number {
    return [...this.#followers.values()].reduce((sum, set) => sum + set.size, 0)
  }

  #tell(channel: string, entry: StoredEvent): void {
    for (const listener of [...(this.#followers.get(channel) ?? [])]) listener.append([entry])
  }

  #send(deliver: () => void): void {
    const fate = this.nextFate()
    if (fate === 'arrives') deliver()
    if (fate === 'late' || fate === 'twice') this.waiting.push(deliver)
    if (fate === 'twice') this.waiting.push(deliver)
  }

  #pass(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve)
    })
  }
}

/** A socket whose client reads only when the test lets it. */
class SlowSink implements Sink {
  readonly transport = 'response'
  stalled = false
  dead = false
  connection: Connection | undefined
  readonly #receive: (text: string) => void
  #queue = ''

  constructor(receive: (text: string) => void) {
    this.#receive = receive
  }

  write(frame: Frame): boolean {
    if (this.dead) return false
    if (!this.stalled) {
      this.#receive(frame.bytes.toString())
      return true
    }
    this.#queue += frame.bytes.toString()
    return false
  }

  get queuedBytes(): number {
    return this.#queue.length
  }

  get isEmpty(): boolean {
    return this.#queue === ''
  }

  get progress(): number {
    return -this.#queue.length
  }

  /** The client reads on; all that waited arrives. */
  drain(): void {
    this.stalled = false
    const text = this.#queue
    this.#queue = ''
    this.#receive(text)
    if (!this.dead) this.connection?.drained()
  }

  /** The network breaks: `share` of what waited still arrives. */
  cut(share: number): void {
    if (this.dead) return
    this.dead = true
    this.#receive(this.#queue.slice(0, this.#queue.length * share))
    this.#queue = ''
    this.connection?.closed()
  }

  end(last: Frame): void {
    this.write(last)
    this.dead = true
    this.#queue = ''
    this.connection?.closed()
  }

  destroy(): void {
    this.cut(0)
  }
}

interface Progress {
  /** Number of the last event seen. */
  last: number
  /** Whether the next event must be `last + 1`; else it starts at any number up to `atMost`. */
  exact: boolean
  atMost: number
}

/** A client as a browser is: keeps its last id, and notes whatever breaks the promise. */
export class Client {
  readonly channels: readonly string[]
  readonly faults: string[] = []
  resets = 0
  events = 0
  sink: SlowSink | undefined
  readonly #world: World
  readonly #progress: Map<string, Progress>
  #lastEventId = ''
  #connecting = false

  constructor(world: World, channels: readonly string[]) {
    this.#world = world
    this.channels = channels
    this.#progress = new Map(channels.map((name) => [name, { last: 0, exact: false, atMost: 0 }]))
  }

  get connected(): boolean {
    return this.sink !== undefined && !this.sink.dead
  }

  /** @param process - Which of the processes it happens to reach. */
  async connect(process = 0): Promise<void> {
    if (this.#connecting || this.connected) return
    this.#connecting = true
    try {
      const resuming = this.#lastEventId !== ''
      const cursor = resuming ? (parseCursor(this.#lastEventId) ?? 'invalid') : undefined
      if (cursor === 'invalid') this.faults.push(`the cursor ${this.#lastEventId} is no cursor`)
      const prepared = await (this.#world.hubs[process] as Hub).prepare({
        channels: this.channels,
        cursor,
        startFrom: 'now',
      })
      if (!resuming) for (const state of this.#progress.values()) state.exact = false
      const parser = createParser({
        onEvent: ({ event = 'message', data, id }) => {
          if (id !== undefined) this.#lastEventId = id
          this.#see(event, JSON.parse(data), resuming)
        },
      })
      const sink = new SlowSink((text) => parser.feed(text))
      this.sink = sink
      sink.connection = prepared.attach(sink, { retryMs: 1 })
    } catch {
      // Sent away; the test lets it come back.
      this.sink = undefined
    } finally {
      this.#connecting = false
    }
  }

  /** What is missing at the end, when nothing is on its way any more. */
  missing(): string[] {
    return [...this.#progress].flatMap(([name, { last, exact, atMost }]) => {
      const published = this.#world.published(name)
      if (exact ? last === published : atMost >= published) return []
      return [`${name}: has ${last} of ${published}${exact ? '' : `, starts by ${atMost}`}`]
    })
  }

  #see(event: string, data: unknown, resuming: boolean): void {
    if (event === 'stream-open') {
      if (!resuming) for (const [name, state] of this.#progress) this.#startAnew(name, state)
    } else if (event === 'stream-reset') {
      this.resets += 1
      for (const name of (data as { channels: string[] }).channels) this.#reset(name)
    } else if (event === 'message') {
      const { channel, n } = data as { channel: string; n: number }
      this.#count(channel, n)
    }
  }

  #count(channel: string, n: number): void {
    this.events += 1
    const state = this.#progress.get(channel)
    if (state === undefined) {
      this.faults.push(`an event of ${channel}, which was not asked for`)
      return
    }
    const { last, exact, atMost } = state
    if (exact && n !== last + 1) this.faults.push(`${channel}: ${n} after ${last}`)
    if (!exact && n <= last) this.faults.push(`${channel}: ${n} again, after ${last}`)
    if (!exact && n > atMost + 1)
      this.faults.push(`${channel}: ${n}, should start by ${atMost + 1}`)
    state.last = n
    state.exact = true
  }

  #reset(channel: string): void {
    const state = this.#progress.get(channel) as Progress
    if (state.exact && this.#world.holds(channel, state.last + 1)) {
      this.faults.push(`${channel}: reset at ${state.last}, and nothing is lost`)
    }
    this.#startAnew(channel, state)
  }

  /** Whatever was published by now may be left out, and nothing that comes later. */
  #startAnew(channel: string, state: Progress): void {
    state.exact = false
    state.atMost = this.#world.published(channel)
  }
}

/** Two processes with one log, in which only what the test says happens. */
export class World {
  readonly log: DistantLog
  readonly hubs: readonly Hub[]
  readonly #maxEvents: number
  readonly #published = new Map<string, number>()
  /** Number of the last event that was lost with the store. */
  readonly #wipedUpTo = new Map<string, number>()

  constructor(maxEvents: number) {
    this.#maxEvents = maxEvents
    this.log = new DistantLog({ maxEvents })
    const options = {
      log: this.log,
      keepAliveMs: 60_000,
      keepAliveText: ':\n',
      isShared: false,
      maxQueueBytes: 300,
      stallTimeoutMs: 60_000,
      observer: new Observer(new EventStream()),
      onError: () => undefined,
    }
    this.hubs = [new Hub(options), new Hub(options)]
  }

  /** What should be gone with the last connection. */
  left(): Record<string, number> {
    const sum = (of: (hub: Hub) => number) => this.hubs.reduce((total, hub) => total + of(hub), 0)
    return {
      connections: sum((hub) => hub.connections.size),
      channels: sum((hub) => hub.activeChannels),
      followers: this.log.followers,
    }
  }

  async publish(channel: string): Promise<void> {
    const n = this.published(channel) + 1
    this.#published.set(channel, n)
    await this.log.append(channel, [{ data: JSON.stringify({ channel, n }) }])
  }

  async wipe(): Promise<void> {
    for (const [channel, n] of this.#published) this.#wipedUpTo.set(channel, n)
    await this.log.wipe()
  }

  published(channel: string): number {
    return this.#published.get(channel) ?? 0
  }

  /** Whether the log can still give all events of a channel from the n-th on. */
  holds(channel: string, n: number): boolean {
    return (
      n > this.published(channel) - this.#maxEvents && n > (this.#wipedUpTo.get(channel) ?? 0) + 1
    )
  }
}

/** Lets everything that waits for nothing but promises happen. */
export async function settlePromises(): Promise<void> {
  for (let i = 0; i < 30; i++) await undefined
}

/** Lets the event loop turn once, in which frames are flushed. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
