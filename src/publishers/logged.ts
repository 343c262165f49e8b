import { checkChannel } from '../core/channels.js'
import { EventStreamError, quote } from '../core/errors.js'
import { encodeEvent, type NewEvent } from '../core/event.js'
import type { EventLog, NewEntry } from '../log/event-log.js'
import type { Published, Publisher } from './publisher.js'

/** What may be published before the event loop gets a turn. */
const perTurn = { events: 128, length: 65_536 }

/** Publishes into an event log; whoever follows the log delivers. */
export class LoggedPublisher implements Publisher {
  readonly #log: EventLog
  readonly #maxEventBytes: number
  #events = 0
  #length = 0
  #turn: Promise<void> | undefined

  constructor(log: EventLog, maxEventBytes: number) {
    this.#log = log
    this.#maxEventBytes = maxEventBytes
  }

  async publish(channel: string, events: readonly NewEvent[]): Promise<readonly Published[]> {
    checkChannel(channel)
    const entries = events.map((event) => this.#encode(event))
    const appended = await this.#log.append(channel, entries)
    for (const { data } of entries) this.#length += data.length
    this.#events += entries.length
    if (this.#events >= perTurn.events || this.#length >= perTurn.length) await this.#nextTurn()
    return appended.map(({ id }) => ({ id }))
  }

  #encode(event: NewEvent): NewEntry {
    const entry = encodeEvent(event)
    const bytes = Buffer.byteLength(entry.data)
    if (bytes <= this.#maxEventBytes) return entry
    throw new EventStreamError(
      'ERR_EVENT_TOO_LARGE',
      `The event ${quote(entry.event ?? 'message')} has ${bytes} bytes of data, and maxEventBytes is ` +
        `${this.#maxEventBytes}; publish a reference to it, or raise the limit.`,
    )
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
