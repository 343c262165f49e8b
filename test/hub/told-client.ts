import { createParser } from 'eventsource-parser'
import { parseCursor } from '../../src/core/cursor.js'
import { type EntryId, seqOf } from '../../src/core/entry-id.js'
import type { Connection } from '../../src/hub/connection.js'
import type { Hub } from '../../src/hub/hub.js'
import type { Frame, Sink } from '../../src/hub/sink.js'
import type { Loss, World } from './going-back.js'

/** A socket whose client reads only when the test lets it. */
class SlowSink implements Sink {
  readonly transport = 'response'
  stalled = false
  dead = false
  connection: Connection | undefined
  readonly #now: () => number
  /** Is given what the client reads, and when it was written. */
  readonly #receive: (text: string, writtenAt: number) => void
  #queue: { readonly text: string; readonly writtenAt: number }[] = []

  constructor(now: () => number, receive: (text: string, writtenAt: number) => void) {
    this.#now = now
    this.#receive = receive
  }

  write(frame: Frame): boolean {
    if (this.dead) return false
    this.#queue.push({ text: frame.bytes.toString(), writtenAt: this.#now() })
    if (!this.stalled) this.#read(Number.POSITIVE_INFINITY)
    return !this.stalled
  }

  get queuedBytes(): number {
    return this.#queue.reduce((sum, { text }) => sum + text.length, 0)
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  get progress(): number {
    return -this.queuedBytes
  }

  drain(): void {
    this.stalled = false
    this.#read(Number.POSITIVE_INFINITY)
    if (!this.dead) this.connection?.drained()
  }

  cut(share: number): void {
    if (this.dead) return
    this.dead = true
    this.#read(this.queuedBytes * share)
    this.connection?.closed()
  }

  end(last: Frame): void {
    this.write(last)
    this.dead = true
    this.#queue = []
    this.connection?.closed()
  }

  destroy(): void {
    this.cut(0)
  }

  /** @param length - What of it arrives. */
  #read(length: number): void {
    for (const { text, writtenAt } of this.#queue.splice(0)) {
      if (length > 0) this.#receive(text.slice(0, length), writtenAt)
      length -= text.length
    }
  }
}

/** What a client has of a channel. */
interface State {
  at: EntryId
  /** Losses that it must be told of if anybody can. */
  readonly untold: Set<Loss>
  /** Losses that it may be told of. */
  losses: number
  resets: number
}

/** How often a client is told of each loss at most, unless all notice it before anything else happens. */
const maxTold = 2

/** A client as a browser is: keeps its last id, and notes whatever breaks the promise. */
export class Client {
  readonly channels: readonly string[]
  readonly faults: string[] = []
  resets = 0
  events = 0
  sink: SlowSink | undefined
  readonly #world: World
  readonly #states = new Map<string, State>()
  #process = 0
  #lastEventId = ''
  /** When what it reads now was written. */
  #writtenAt = 0
  #connecting = false

  constructor(world: World, channels: readonly string[]) {
    this.#world = world
    this.channels = channels
    world.readers.push(this)
  }

  get connected(): boolean {
    return this.sink !== undefined && !this.sink.dead
  }

  async connect(process = 0): Promise<void> {
    if (this.#connecting || this.connected) return
    this.#connecting = true
    this.#process = process
    try {
      const resuming = this.#lastEventId !== ''
      const cursor = resuming ? (parseCursor(this.#lastEventId) ?? 'invalid') : undefined
      if (cursor === 'invalid') this.faults.push(`the cursor ${this.#lastEventId} is no cursor`)
      const prepared = await (this.#world.hubs[process] as Hub).prepare({
        channels: this.channels,
        cursor,
        startFrom: 'now',
      })
      const parser = createParser({
        onEvent: ({ event = 'message', data, id = '' }) => {
          // The store was away, and the client comes back.
          if (event === 'stream-error') return
          if (id === '') this.faults.push(`no id: ${event}`)
          this.#lastEventId = id
          this.#see(event, JSON.parse(data), this.#positions(id))
        },
      })
      const sink = new SlowSink(this.#world.store.now, (text, writtenAt) => {
        this.#writtenAt = writtenAt
        parser.feed(text)
      })
      this.sink = sink
      sink.connection = prepared.attach(sink, { retryMs: 1 })
    } catch {
      // Sent away; the test lets it come back.
      this.sink = undefined
    } finally {
      this.#connecting = false
    }
  }

  mayMiss(loss: Loss): void {
    const state = this.#states.get(loss.channel)
    if (state === undefined) return
    state.untold.add(loss)
    state.losses += 1
  }

  /** What is not as it must be in the end, when nothing is on its way any more. */
  unsettled(): string[] {
    const perLoss = this.#world.calm === 'full' ? 1 : maxTold
    return [...this.#states].flatMap(([channel, { at, untold, losses, resets }]) => {
      const head = this.#world.headOf(channel)
      const never = [...untold].filter((loss) => this.#world.markOf(loss) !== undefined)
      return [
        ...(at === head ? [] : [`${channel}: at ${at}, and not ${head}`]),
        ...never.map((loss) => `${channel}: never told of what was lost at ${loss.at}`),
        ...(resets > perLoss * losses ? [`${channel}: ${resets} resets for ${losses} losses`] : []),
      ]
    })
  }

  #positions(id: string): ReadonlyMap<string, EntryId> {
    const cursor = parseCursor(id)
    if (cursor === undefined) return new Map()
    if ('id' in cursor) return new Map([[this.channels[0] as string, cursor.id]])
    return cursor.positions
  }

  #see(event: string, data: unknown, positions: ReadonlyMap<string, EntryId>): void {
    if (event === 'stream-open') {
      for (const [channel, id] of positions) {
        if (this.#states.has(channel)) this.#expectAt(channel, id)
        else {
          this.#states.set(channel, {
            at: id,
            untold: new Set(),
            losses: this.#ahead(channel, id),
            resets: 0,
          })
        }
      }
    } else if (event === 'stream-reset') {
      this.resets += 1
      const { channels, reason } = data as { channels: string[]; reason: string }
      for (const [channel, id] of positions) {
        if (channels.includes(channel)) this.#reset(channel, id, reason)
        else this.#expectAt(channel, id)
      }
    } else {
      this.events += 1
      const { channel: own, n } = data as { channel: string; n: number }
      for (const [channel, id] of positions) {
        if (channel !== own) this.#expectAt(channel, id)
        else this.#advance(channel, id, n)
      }
    }
  }

  #advance(channel: string, id: EntryId, n: number): void {
    const state = this.#states.get(channel) as State
    if (this.#world.before(channel, id)?.prevId !== state.at) {
      this.faults.push(`${channel}: event ${n} is ${id}, not behind ${state.at}`)
    }
    state.at = id
    this.#world.logs[this.#process]?.tells(channel, id)
  }

  #reset(channel: string, id: EntryId, reason: string): void {
    const state = this.#states.get(channel) as State
    if (reason === 'unknown') state.resets += 1
    if (this.#world.calm === 'full' && !this.#isMark(channel, id)) {
      const isKnown = this.#world.store.isLost(channel, state.at)
      if (isKnown)
        this.faults.push(`${channel}: goes on at ${id}, and not where ${state.at} was lost`)
    }
    for (const loss of state.untold) {
      // What tells may itself be of the history that was lost.
      if (loss.at < this.#writtenAt && !loss.ids.has(id)) state.untold.delete(loss)
    }
    state.at = id
  }

  #isMark(channel: string, id: EntryId): boolean {
    return this.#world.before(channel, id)?.isMark === true
  }

  /** Losses from before a client came whose mark it may come to. */
  #ahead(channel: string, id: EntryId): number {
    if (this.#world.calm === 'full') return 0
    return this.#world.losses.filter(
      (loss) => loss.channel === channel && seqOf(this.#world.markOf(loss) ?? id) >= seqOf(id),
    ).length
  }

  #expectAt(channel: string, id: EntryId): void {
    const state = this.#states.get(channel) as State
    if (state.at !== id) this.faults.push(`${channel}: at ${id}, and not ${state.at}`)
    state.at = id
  }
}
