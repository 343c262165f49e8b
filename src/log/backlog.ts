import { EventStreamError } from '../core/errors.js'
import { quoteName } from '../core/log-names.js'
import { entryCost } from './entry-cost.js'
import type { NewEntry } from './event-log.js'

export interface BacklogLimits {
  /** Appends. */
  readonly maxPending: number
  /** What their entries take in memory. */
  readonly maxPendingBytes: number
}

/** What is to be appended and has no answer yet: it waits in memory, also while the store is away. */
export class Backlog {
  readonly #limits: BacklogLimits
  #count = 0
  #bytes = 0

  constructor(limits: BacklogLimits) {
    this.#limits = limits
  }

  /**
   * @returns Ends the wait; must be called once. An append that is larger than all that may wait is let in alone.
   * @throws EventStreamError `ERR_LOG_UNAVAILABLE` when too much waits.
   */
  enter(channel: string, entries: readonly NewEntry[]): () => void {
    const { maxPending, maxPendingBytes } = this.#limits
    const bytes = entries.reduce((sum, it) => sum + entryCost(it, it.idempotencyKey), 0)
    if (this.#count >= maxPending) {
      throw tooMuch(channel, `${this.#count} others wait already`, 'maxPending')
    }
    if (this.#count > 0 && this.#bytes + bytes > maxPendingBytes) {
      throw tooMuch(channel, `${this.#bytes} bytes wait already`, 'maxPendingBytes')
    }
    this.#add(1, bytes)
    return () => this.#add(-1, -bytes)
  }

  #add(count: number, bytes: number): void {
    this.#count += count
    this.#bytes += bytes
  }
}

function tooMuch(channel: string, what: string, limit: keyof BacklogLimits): EventStreamError {
  return new EventStreamError(
    'ERR_LOG_UNAVAILABLE',
    `The append to ${quoteName(channel)} failed: ${what}. Nothing was done: publish more slowly, or raise ${limit}.`,
  )
}
