import { checkChannel } from '../core/channels.js'
import { EventStreamError } from '../core/errors.js'
import { checkSize, encodeEvent, type NewEvent } from '../core/event.js'
import type { Appended, EventLog, NewEntry, StoredEvent } from '../log/event-log.js'
import type { Observer } from '../observe/observer.js'
import type { Published, Publisher } from './publisher.js'
import type { Relay } from './relay.js'

/** What may be published before the event loop gets a turn. */
const perTurn = { events: 128, length: 65_536 }

const oneEntry = { maxEvents: 1, maxLength: 1 }

/**
 * Publishes into an event log; whoever follows the log delivers. What readers are told of by a relay,
 * it passes on.
 */
export class LoggedPublisher implements Publisher {
  readonly #log: EventLog
  readonly #maxEventBytes: number
  readonly #observer: Observer
  readonly #relay: Relay | undefined
  #events = 0
  #length = 0
  #turn: Promise<void> | undefined

  constructor(log: EventLog, maxEventBytes: number, observer: Observer, relay?: Relay) {
    this.#log = log
    this.#maxEventBytes = maxEventBytes
    this.#observer = observer
    this.#relay = relay
  }

  async publish(channel: string, events: readonly NewEvent[]): Promise<readonly Published[]> {
    const startedAt = performance.now()
    try {
      checkChannel(channel)
      const entries = events.map((event) => this.#encode(event))
      const appended = await this.#log.append(channel, entries)
      this.#observer.counters.publishedEvents += entries.length
      for (const { data } of entries) this.#length += data.length
      this.#events += entries.length
      if (this.#events >= perTurn.events || this.#length >= perTurn.length) await this.#nextTurn()
      if (this.#relay !== undefined) await this.#pass(this.#relay, channel, entries, appended)
      this.#observer.published(channel, events.length, startedAt)
      return appended.map(({ id }) => ({ id }))
    } catch (error) {
      this.#observer.published(channel, events.length, startedAt, error)
      throw error
    }
  }

  async #pass(
    relay: Relay,
    channel: string,
    entries: readonly NewEntry[],
    appended: readonly Appended[],
  ): Promise<void> {
    try {
      await relay.relay(channel, await this.#stored(channel, entries, appended))
    } catch (cause) {
      throw new EventStreamError(
        'ERR_PUBLISH_PARTIAL',
        `The events are in the log, and not everybody has been told. ${(cause as Error).message}`,
        { cause, published: appended.map(({ id }) => ({ id })) },
      )
    }
  }

  /**
   * What is in the log now. An event whose key was known may be another one than the one given, and
   * is passed on again, since that may be what failed the first time.
   */
  async #stored(
    channel: string,
    entries: readonly NewEntry[],
    appended: readonly Appended[],
  ): Promise<readonly StoredEvent[]> {
    const stored: StoredEvent[] = []
    for (const [i, { id, prevId, duplicate }] of appended.entries()) {
      if (duplicate) {
        const { entries: found } = await this.#log.read(channel, prevId, oneEntry)
        stored.push(...found.filter((entry) => entry.id === id))
      } else {
        const { event, data } = entries[i] as NewEntry
        stored.push({ id, prevId, event, data })
      }
    }
    return stored
  }

  #encode(event: NewEvent): NewEntry {
    const entry = encodeEvent(event)
    checkSize(entry, this.#maxEventBytes)
    return entry
  }

  /**
   * An append to memory takes no turn of the event loop, so a loop that awaits nothing else would
   * never let a socket drain, and what it publishes would pile up.
   */
  #nextTurn(): Promise<void> {
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined
        this.#events = 0
        this.#length = 0
        resolve()
      })
    })
    return this.#turn
  }
}
