import type { EntryId } from '../core/entry-id.js'
import { isLogClosed } from '../core/errors.js'
import type { StoredEvent } from '../log/event-log.js'
import type { Claimed, Produced, StreamLog } from '../log/stream-log.js'
import type { ResolvedStreamsOptions } from './options.js'

/** Why a stream's entries are no longer taken. */
export type Lost = 'ended' | 'taken' | 'closed'

export interface AppenderHost {
  readonly log: StreamLog
  readonly channel: string
  readonly token: string
  readonly origin: EntryId
  readonly options: ResolvedStreamsOptions
  /** The log has these now. */
  appended(entries: readonly StoredEvent[]): void
  /** The log takes no more of this producer's. */
  lost(why: Lost): void
  /** The log is away; once per outage. */
  away(error: unknown): void
}

const retryMs = 500

/** A batch of entries above this is as good as any larger one. */
const maxBatch = { entries: 1000, bytes: 262_144 }

/**
 * Writes the entries of one stream to its log: one batch at a time, and not more often than the options say.
 * A batch whose answer was lost is sent again as it was: the log takes it once.
 */
export class Appender {
  readonly #host: AppenderHost
  #waiting: StoredEvent[] = []
  #waitingBytes = 0
  #lastWriteAt = Number.NEGATIVE_INFINITY
  #running: Promise<void> | undefined
  #isRunning = false
  #hurry: (() => void) | undefined
  /** Whether the next batch is not to wait for its time. */
  #isDue = false
  /** Since when it is to be written as soon as it can be. */
  #hurriedAt: number | undefined
  #isStopped = false
  #isAway = false

  constructor(host: AppenderHost) {
    this.#host = host
  }

  /** Whether the log could not be written when it was last tried. */
  get isAway(): boolean {
    return this.#isAway
  }

  add(entry: StoredEvent): void {
    if (this.#isStopped) return
    this.#waiting.push(entry)
    this.#waitingBytes += entry.data.length
    if (this.#waitingBytes >= this.#host.options.flushBytes) this.#hurry?.()
    if (!this.#isRunning) this.#running = this.#run()
  }

  /**
   * Writes all that waits as soon as it can be; resolves when it is, or never will be. A log that is away
   * for as long as a lease has orphaned the stream by the time it is back.
   */
  async flush(): Promise<void> {
    this.#hurriedAt ??= performance.now()
    this.#hurry?.()
    await this.#running
  }

  /** Writes the next batch at once: its source waits for it. */
  hurry(): void {
    this.#isDue = true
    this.#hurry?.()
  }

  /** Drops what waits. */
  stop(): void {
    this.#isStopped = true
    this.#waiting = []
    this.#waitingBytes = 0
    this.#hurry?.()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    try {
      while (this.#waiting.length > 0 && !this.#isStopped) {
        await this.#untilDue()
        this.#lastWriteAt = performance.now()
        await this.#write(this.#takeBatch())
      }
    } finally {
      // In the turn in which it looked for more: what is added after that begins anew.
      this.#isRunning = false
    }
  }

  async #untilDue(): Promise<void> {
    const { flushMs, flushBytes } = this.#host.options
    const ms = this.#lastWriteAt + flushMs - performance.now()
    const isDue = this.#isDue || this.#hurriedAt !== undefined || this.#waitingBytes >= flushBytes
    this.#isDue = false
    if (ms <= 0 || isDue) {
      // What is given in the same turn goes together.
      await undefined
      return
    }
    await this.#wait(ms)
  }

  /** @param ms - At most; a hurry ends it. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        clearTimeout(timer)
        this.#hurry = undefined
        resolve()
      }
      // A part of a millisecond would be cut off, and what comes too early is one write more.
      const timer = setTimeout(go, Math.ceil(ms))
      this.#hurry = go
    })
  }

  #takeBatch(): StoredEvent[] {
    let [count, bytes] = [0, 0]
    while (count < this.#waiting.length && count < maxBatch.entries && bytes < maxBatch.bytes) {
      bytes += (this.#waiting[count] as StoredEvent).data.length
      count += 1
    }
    this.#waitingBytes -= bytes
    return this.#waiting.splice(0, count)
  }

  async #write(batch: readonly StoredEvent[]): Promise<void> {
    const { log, channel, token, options } = this.#host
    const { leaseMs, limits } = options
    while (!this.#isStopped) {
      try {
        const outcome = await log.produce(channel, { token, leaseMs, limits, entries: batch })
        this.#isAway = false
        if (outcome === 'appended') {
          this.#host.appended(batch)
          return
        }
        await this.#refused(outcome, batch)
      } catch (error) {
        await this.#failed(error)
      }
    }
  }

  /** A log that has lost what it had goes on from here: readers who are here miss nothing. */
  async #refused(
    outcome: Exclude<Produced, 'appended'>,
    [first]: readonly StoredEvent[],
  ): Promise<void> {
    if (outcome === 'ended' || outcome === 'taken') {
      this.#lose(outcome)
      return
    }
    const { log, channel, token, origin, options } = this.#host
    const { leaseMs, limits } = options
    const from = { origin, head: (first as StoredEvent).prevId }
    const { outcome: claimed }: Claimed = await log.claim(channel, { token, leaseMs, limits, from })
    if (claimed !== 'owned') this.#lose(claimed === 'ended' ? 'ended' : 'taken')
  }

  async #failed(error: unknown): Promise<void> {
    if (isLogClosed(error)) {
      this.#lose('closed')
      return
    }
    if (!this.#isAway) {
      this.#isAway = true
      this.#host.away(error)
    }
    const { leaseMs } = this.#host.options
    if (performance.now() - (this.#hurriedAt ?? performance.now()) > leaseMs) this.stop()
    if (!this.#isStopped) await this.#wait(retryMs)
  }

  #lose(why: Lost): void {
    this.stop()
    this.#host.lost(why)
  }
}
