import { Backlog, type BacklogLimits } from '../backlog.js'
import type { Appended, NewEntry } from '../event-log.js'

/** @param since - When the first of it was appended, on the clock of `performance.now()`. */
type Send = (
  channel: string,
  entries: readonly NewEntry[],
  since: number,
) => Promise<readonly Appended[]>

const maxBatch = { entries: 256, length: 262_144 }

interface Batch {
  readonly entries: NewEntry[]
  readonly since: number
  length: number
  readonly appended: Promise<readonly Appended[]>
}

/** What is appended to one channel: one batch at a time is under way. */
interface Queue {
  open: Batch | undefined
  last: Promise<unknown>
}

/**
 * Appends to a channel one batch behind the other, since statements on several connections would
 * overtake each other. What is appended meanwhile makes the next batch: a commit costs Postgres
 * much more than an entry does. Each append of a batch is appended as a whole, with all others.
 */
export class Batches {
  readonly #send: Send
  readonly #backlog: Backlog
  readonly #queues = new Map<string, Queue>()

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
    let queue = this.#queues.get(channel)
    if (queue === undefined) {
      // Once all that goes on in this turn has been said.
      queue = { open: undefined, last: new Promise((resolve) => process.nextTick(resolve)) }
      this.#queues.set(channel, queue)
    }
    const { open } = queue
    const hasRoom =
      open !== undefined &&
      open.entries.length < maxBatch.entries &&
      open.length + length <= maxBatch.length
    if (hasRoom) return open
    const entries: NewEntry[] = []
    const since = performance.now()
    const appended = this.#behind(queue, channel, entries, since)
    const batch = { entries, since, length: 0, appended }
    queue.open = batch
    const last = appended.catch(() => undefined)
    queue.last = last
    void last.then(() => {
      if (queue.last === last) this.#queues.delete(channel)
    })
    return batch
  }

  async #behind(
    queue: Queue,
    channel: string,
    entries: readonly NewEntry[],
    since: number,
  ): Promise<readonly Appended[]> {
    await queue.last
    if (queue.open?.entries === entries) queue.open = undefined
    return this.#send(channel, entries, since)
  }
}
