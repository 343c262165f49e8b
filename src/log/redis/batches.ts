import { Backlog, type BacklogLimits } from '../backlog.js'
import type { Appended, NewEntry } from '../event-log.js'

type Send = (channel: string, entries: readonly NewEntry[]) => Promise<readonly Appended[]>

/** Well below what makes a live message too large. */
const maxBatch = { entries: 128, length: 16_384 }

interface Batch {
  readonly entries: NewEntry[]
  length: number
  readonly appended: Promise<readonly Appended[]>
}

/**
 * Sends what is appended to one channel in one turn of the event loop as one command: a command costs
 * Redis and this process more than an entry does. Like each of them, it is appended as a whole.
 */
export class Batches {
  readonly #send: Send
  readonly #backlog: Backlog
  readonly #open = new Map<string, Batch>()

  constructor(send: Send, limits: BacklogLimits) {
    this.#send = send
    this.#backlog = new Backlog(limits)
  }

  /** @throws EventStreamError `ERR_LOG_UNAVAILABLE` when too much waits. */
  async append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    const leave = this.#backlog.enter(channel, entries)
    try {
      const length = entries.reduce((sum, { data }) => sum + data.length, 0)
      const batch = this.#batchFor(channel, length)
      const start = batch.entries.length
      for (const entry of entries) batch.entries.push(entry)
      batch.length += length
      const appended = await batch.appended
      return appended.slice(start, start + entries.length)
    } finally {
      leave()
    }
  }

  /** @returns The one that is not sent yet, or another one behind it where that has no room. */
  #batchFor(channel: string, length: number): Batch {
    const open = this.#open.get(channel)
    const hasRoom =
      open !== undefined &&
      open.entries.length < maxBatch.entries &&
      open.length + length <= maxBatch.length
    if (hasRoom) return open
    const entries: NewEntry[] = []
    const batch = { entries, length: 0, appended: this.#whenComplete(channel, entries) }
    this.#open.set(channel, batch)
    return batch
  }

  /** Once all that goes on in this turn has been said. */
  async #whenComplete(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    await new Promise<void>((resolve) => process.nextTick(resolve))
    if (this.#open.get(channel)?.entries === entries) this.#open.delete(channel)
    return this.#send(channel, entries)
  }
}
