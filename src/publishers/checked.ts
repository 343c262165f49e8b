import type { NewEvent } from '../core/event.js'
import type { Observer } from '../observe/observer.js'
import { type ChannelSchemas, checkEvent, type EventSchemas } from './channel-schemas.js'
import type { Published, Publisher } from './publisher.js'

type Events = readonly NewEvent[]

/**
 * Holds events to the schemas of their channel before another publisher gets any of them. What is published to a
 * channel stays in the order of the calls, however long a schema takes.
 */
export class CheckedPublisher implements Publisher {
  readonly #inner: Publisher
  readonly #schemas: ChannelSchemas
  readonly #observer: Observer
  /** Of channels where a schema is awaited: resolves when the last call has handed over its events, or has failed. */
  readonly #turns = new Map<string, Promise<void>>()

  constructor(inner: Publisher, schemas: ChannelSchemas, observer: Observer) {
    this.#inner = inner
    this.#schemas = schemas
    this.#observer = observer
  }

  async publish(channel: string, events: Events): Promise<readonly Published[]> {
    const schemas = this.#schemas.of(channel)
    if (schemas === undefined) return this.#inner.publish(channel, events)
    const startedAt = performance.now()
    let checked: Events
    let endTurn: () => void = () => undefined
    try {
      const checking = checkAll(channel, schemas, events)
      const before = this.#turns.get(channel)
      if (before !== undefined || checking instanceof Promise) {
        endTurn = this.#beginTurn(channel)
        await before
      }
      // What is known at once, in a channel where nobody is awaited, is handed over at once.
      checked = checking instanceof Promise ? await checking : checking
    } catch (error) {
      endTurn()
      this.#observer.published(channel, events.length, startedAt, error)
      throw error
    }
    try {
      return this.#inner.publish(channel, checked)
    } finally {
      endTurn()
    }
  }

  /** @returns Ends the turn. */
  #beginTurn(channel: string): () => void {
    let resolve: () => void = () => undefined
    const turn = new Promise<void>((done) => {
      resolve = done
    })
    this.#turns.set(channel, turn)
    return () => {
      if (this.#turns.get(channel) === turn) this.#turns.delete(channel)
      resolve()
    }
  }
}

/** @returns A promise only where a schema gives one. */
function checkAll(
  channel: string,
  schemas: EventSchemas,
  events: Events,
): Events | Promise<Events> {
  const checks: (NewEvent | Promise<NewEvent>)[] = []
  let isAwaited = false
  for (const event of events) {
    const check = checkEvent(channel, schemas, event)
    checks.push(check)
    if (!(check instanceof Promise)) continue
    isAwaited = true
    // Another event may have failed by then, or the turn not have come: nobody listens yet.
    check.catch(() => undefined)
  }
  if (!isAwaited) return checks as NewEvent[]
  const all = Promise.all(checks)
  all.catch(() => undefined)
  return all
}
