import type { EntryId } from '../core/entry-id.js'
import type {
  Appended,
  EventLog,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
} from '../log/event-log.js'
import type { Producer } from './producer.js'

const ignore = () => undefined

/**
 * An event log, and beside it the streams that this process produces: their readers here get entries as
 * they are made, whether the log has them yet or is away. Ids are the same, so a reader can go on from either.
 */
export class ProducedLog implements EventLog {
  readonly #log: EventLog
  readonly #producers = new Map<string, Producer>()
  readonly #listeners = new Map<string, Set<LogListener>>()

  constructor(log: EventLog) {
    this.#log = log
  }

  get(channel: string): Producer | undefined {
    return this.#producers.get(channel)
  }

  get producers(): readonly Producer[] {
    return [...this.#producers.values()]
  }

  /** From here on readers get its entries from it. */
  add(producer: Producer): void {
    const { channel } = producer
    this.#producers.set(channel, producer)
    producer.follow({
      append: (entries) => {
        for (const listener of [...(this.#listeners.get(channel) ?? [])]) listener.append(entries)
      },
      suspect: ignore,
    })
  }

  /** Its readers have all of it, or the log does. */
  delete(producer: Producer): void {
    if (this.#producers.get(producer.channel) === producer) {
      this.#producers.delete(producer.channel)
    }
  }

  append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    return this.#log.append(channel, entries)
  }

  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const producer = this.#producers.get(channel)
    if (producer === undefined) return this.#log.read(channel, from, limit)
    const isPlace = typeof from === 'string' && from !== 'earliest'
    const entries = isPlace ? producer.after(from, limit) : undefined
    if (entries !== undefined) return { entries, gap: undefined, head: producer.head }
    const page = await this.#log.read(channel, from, limit)
    // Of one that has just begun the log may have nothing yet.
    const isBehind = !isPlace && page.entries.length === 0
    const first = isBehind ? producer.after(producer.origin, limit) : undefined
    return { ...page, entries: first ?? page.entries, head: producer.head }
  }

  async heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    const others = channels.filter((channel) => !this.#producers.has(channel))
    const heads = others.length === 0 ? [] : await this.#log.heads(others)
    const headOf = new Map(others.map((channel, i) => [channel, heads[i] as EntryId]))
    return channels.map(
      (channel) => this.#producers.get(channel)?.head ?? (headOf.get(channel) as EntryId),
    )
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    const listeners = this.#listeners.get(channel) ?? new Set()
    // One of its own, so that the same listener may follow twice.
    const follower: LogListener = {
      append: (entries) => listener.append(entries),
      suspect: (head) => listener.suspect(head),
    }
    this.#listeners.set(channel, listeners.add(follower))
    const leave = () => {
      if (listeners.delete(follower) && listeners.size === 0) this.#listeners.delete(channel)
    }
    // Whatever happens to a stream that is produced here, its producer tells of.
    if (this.#producers.has(channel)) return leave
    try {
      const unfollow = await this.#log.follow(channel, listener)
      return () => {
        leave()
        unfollow()
      }
    } catch (error) {
      leave()
      throw error
    }
  }

  closeChannel(channel: string): Promise<void> {
    return this.#log.closeChannel(channel)
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}
