import type { EntryId } from '../../src/core/entry-id.js'
import { Hub } from '../../src/hub/hub.js'
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
import { type KnownTail, KnownTails } from '../../src/log/known-tails.js'
import { Losses } from '../../src/log/losses.js'
import { Observer } from '../../src/observe/observer.js'
import { ReferenceStore } from '../support/reference-store.js'
import type { Fate } from './simulation.js'

/** Between processes and the store: what is under way waits until the test lets it through, in any order. */
class Network {
  readonly waiting: (() => void)[] = []
  nextFate: () => Fate = () => 'arrives'
  failReads = 0

  pass(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  send(deliver: () => void): void {
    const fate = this.nextFate()
    if (fate === 'arrives') deliver()
    if (fate === 'late' || fate === 'twice') this.waiting.push(deliver)
    if (fate === 'twice') this.waiting.push(deliver)
  }
}

/** The log as one process has it. */
export class ProcessLog implements EventLog {
  readonly losses: Losses
  readonly tails: KnownTails
  /** What it has told its publishers and clients of, by channel. */
  readonly told = new Map<string, Set<EntryId>>()
  readonly #world: World
  readonly #followers = new Map<string, Set<LogListener>>()

  constructor(world: World) {
    this.#world = world
    const { store, network } = world
    this.tails = new KnownTails(store.now)
    const between = async <Result>(ask: () => Result): Promise<Result> => {
      await network.pass()
      const result = ask()
      await network.pass()
      return result
    }
    this.losses = new Losses(
      {
        server: () => world.wentBack,
        read: (channel, from, limit) =>
          between(() => {
            if (network.failReads > 0) {
              network.failReads -= 1
              throw new Error('the store is away')
            }
            return store.read(channel, from, limit)
          }),
        heads: (channels) =>
          between(() =>
            channels.map((channel) => {
              const head = store.head(channel)
              return { head, end: head }
            }),
          ),
        look: (tails) => between(() => tails.map((tail) => store.look(tail))),
        mark: (tail) => between(() => world.mark(tail)),
      },
      this.tails,
    )
  }

  async append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    const { store, network } = this.#world
    const server = this.#world.wentBack
    const asked = this.losses.asks(channel)
    const known = this.tails.last(channel) ?? ''
    const { appended, wasLost, told } = store.append(channel, entries, asked)
    this.#world.added(channel, told)
    this.#world.expectMark(channel, known)
    await network.pass()
    if (server !== this.#world.wentBack) throw new Error('the connection was lost')
    this.losses.appended(channel, appended, server, wasLost)
    for (const { id } of appended) this.tells(channel, id)
    return appended
  }

  read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    return this.losses.read(channel, from, limit)
  }

  heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    return this.losses.heads(channels)
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    await this.#world.network.pass()
    const listeners = this.#followers.get(channel) ?? new Set()
    this.#followers.set(channel, listeners.add(listener))
    await this.#world.network.pass()
    return () => listeners.delete(listener)
  }

  async closeChannel(): Promise<void> {
    // Nothing closes one here.
  }

  async close(): Promise<void> {
    // There is nothing to free.
  }

  tells(channel: string, id: EntryId): void {
    const ids = this.told.get(channel) ?? new Set()
    this.told.set(channel, ids.add(id))
  }

  /** @param server - That it comes from. */
  tell(channel: string, entries: readonly StoredEvent[], server: number): void {
    const listeners = [...(this.#followers.get(channel) ?? [])]
    if (listeners.length > 0 && server === this.#world.wentBack)
      this.losses.delivered(channel, entries)
    for (const listener of listeners) listener.append(entries)
  }

  /** The connection is another one, or it is time to look for what was not told. */
  async check(): Promise<void> {
    await this.losses.check()
    for (const listeners of this.#followers.values()) {
      for (const listener of [...listeners]) listener.suspect()
    }
  }

  get followers(): number {
    return [...this.#followers.values()].reduce((sum, set) => sum + set.size, 0)
  }
}

/** The store went back, and entries of a channel are no more. */
export interface Loss {
  readonly channel: string
  readonly at: number
  readonly ids: ReadonlySet<EntryId>
  /** Processes that had told somebody of one of them, and so know of the loss. */
  readonly knowers: readonly ProcessLog[]
}

/** Who is to be told of losses. */
interface Reader {
  mayMiss(loss: Loss): void
}

interface Placed {
  readonly prevId: EntryId
  readonly isMark: boolean
  readonly at: number
}

/**
 * How it is when a store goes back: `full`, nothing is on its way, and all processes look at once what became of it;
 * `some`, nothing is on its way; `none`, what is answered may be from before, so that clients may be told twice.
 */
export type Calm = 'full' | 'some' | 'none'

/** Processes with one store, in which only what the test says happens, and which may go back to what it was. */
export class World {
  readonly store: ReferenceStore
  readonly network = new Network()
  readonly logs: ProcessLog[]
  readonly hubs: readonly Hub[]
  readonly calm: Calm
  readonly faults: string[] = []
  readonly losses: Loss[] = []
  readonly readers: Reader[] = []
  /** How often the store went back. */
  wentBack = 0
  /** All that was ever in the store, in any history, by channel. */
  readonly #placed = new Map<string, Map<EntryId, Placed>>()
  readonly #published = new Map<string, number>()
  #saved: (() => void)[] = []

  /**
   * @param calm - How it is when the store goes back.
   * @param processes - The last one serves nobody.
   */
  constructor(maxEvents: number, calm: Calm, processes = 3) {
    this.calm = calm
    this.store = new ReferenceStore(maxEvents)
    this.logs = Array.from({ length: processes }, () => new ProcessLog(this))
    const observer = new Observer(new EventStream())
    this.hubs = this.logs.slice(0, -1).map(
      (log) =>
        new Hub({
          log,
          keepAliveMs: 60_000,
          keepAliveText: ':\n',
          isShared: false,
          maxQueueBytes: 300,
          stallTimeoutMs: 60_000,
          observer,
          onError: () => undefined,
        }),
    )
  }

  async publish(channel: string, process: number): Promise<void> {
    const n = (this.#published.get(channel) ?? 0) + 1
    this.#published.set(channel, n)
    const log = this.logs[process] as ProcessLog
    log.append(channel, [{ data: JSON.stringify({ channel, n }) }]).catch(() => undefined)
  }

  mark(tail: KnownTail) {
    const { looked, told } = this.store.mark(tail)
    if (told.length > 0) this.added(tail.channel, told)
    return looked
  }

  /** Tells followers what was added to the store. */
  added(channel: string, entries: readonly StoredEvent[]): void {
    const placed = this.#placedOf(channel)
    for (const { id, prevId, isLoss: isMark = false } of entries) {
      placed.set(id, { prevId, isMark, at: this.store.now() })
    }
    const server = this.wentBack
    for (const log of this.logs) this.network.send(() => log.tell(channel, entries, server))
  }

  /** The process that serves nobody ends, and another one takes its place. */
  replace(): void {
    this.logs[this.logs.length - 1] = new ProcessLog(this)
  }

  save(): void {
    this.#saved = [...this.#saved.slice(-3), this.store.save()]
  }

  /** @param which - Of the last saved states. */
  goBack(which: number): void {
    const index = which % Math.max(1, this.#saved.length)
    const restore = this.#saved[index]
    if (restore === undefined) return
    // What was saved later is of the history that is lost.
    this.#saved = this.#saved.slice(0, index + 1)
    const before = new Map([...this.#placed].map(([name]) => [name, this.#history(name)]))
    restore()
    this.wentBack += 1
    for (const [channel, ids] of before) {
      const left = new Set(this.#history(channel))
      const lost = new Set(ids.filter((id) => !left.has(id)))
      if (lost.size === 0) continue
      const knowers = this.logs.filter(({ told, tails }) =>
        // While it marks another loss, a process does not learn of what it tells.
        this.calm === 'none'
          ? lost.has(tails.last(channel) ?? '')
          : [...(told.get(channel) ?? [])].some((id) => lost.has(id)),
      )
      const loss = { channel, at: this.store.now(), ids: lost, knowers }
      this.losses.push(loss)
      for (const reader of this.readers) reader.mayMiss(loss)
    }
  }

  /** Who appends and knows of a loss has marked it. */
  expectMark(channel: string, known: EntryId): void {
    for (const loss of this.losses) {
      if (loss.channel !== channel || !loss.ids.has(known)) continue
      if (this.markOf(loss) === undefined) this.faults.push(`${channel}: no mark for ${known}`)
    }
  }

  /** The first mark of this history that came after a loss. */
  markOf({ channel, at }: Loss): EntryId | undefined {
    const placed = this.#placedOf(channel)
    return this.#history(channel).find((id) => {
      const entry = placed.get(id)
      return entry?.isMark && entry.at > at
    })
  }

  /** Losses that a process knows of and has not marked, though nothing is on its way any more. */
  unmarked(): string[] {
    return this.losses
      .filter(({ knowers }) => knowers.some((log) => this.logs.includes(log)))
      .filter((loss) => this.markOf(loss) === undefined)
      .map(({ channel, at }) => `${channel}: nobody has marked what was lost at ${at}`)
  }

  before(channel: string, id: EntryId): Placed | undefined {
    return this.#placedOf(channel).get(id)
  }

  headOf(channel: string): EntryId {
    return this.store.head(channel)
  }

  left(): Record<string, number> {
    const sum = (of: (hub: Hub) => number) => this.hubs.reduce((total, hub) => total + of(hub), 0)
    return {
      connections: sum((hub) => hub.connections.size),
      channels: sum((hub) => hub.activeChannels),
      followers: this.logs.reduce((total, log) => total + log.followers, 0),
    }
  }

  #history(channel: string): EntryId[] {
    const placed = this.#placedOf(channel)
    const ids: EntryId[] = []
    for (let id = this.store.head(channel); placed.has(id); id = placed.get(id)?.prevId ?? '') {
      ids.unshift(id)
    }
    return ids
  }

  #placedOf(channel: string): Map<EntryId, Placed> {
    let placed = this.#placed.get(channel)
    if (placed === undefined) {
      placed = new Map()
      this.#placed.set(channel, placed)
    }
    return placed
  }
}
