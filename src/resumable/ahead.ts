import { type EntryId, seqOf } from '../core/entry-id.js'
import { isEndId } from '../core/stream-end.js'
import { within } from '../core/within.js'
import { entryCost } from '../log/entry-cost.js'
import type { EventLog, LogListener } from '../log/event-log.js'
import type { ResolvedStreamsOptions } from './options.js'

/** Milliseconds that a write to the log may take, from a producer that can reach it. */
const writeMs = 2000

/** What an entry counts for in `maxAheadBytes` at least. */
const leastCost = entryCost({ data: '' })

/** What is known of the producer of a stream, which may be in another process. */
export type ProducerLimits = Pick<ResolvedStreamsOptions, 'flushMs' | 'maxAheadBytes'>

/** Where a client is in a stream, and where the stream was when the client asked. */
export interface Place {
  readonly position: EntryId
  readonly head: EntryId
}

/**
 * Readers beside a producer get entries as they are made, up to `flushMs` before the log has them. One that goes on
 * in another process is ahead of the log, and is waited for there. Whether its position is one of the stream's
 * only the log can tell, once it has an entry of that `seq`.
 */
export class AheadReaders {
  readonly #log: Pick<EventLog, 'follow' | 'heads'>
  readonly #limits: ProducerLimits
  /** Ends the waits. */
  readonly #settles = new Set<() => void>()
  #isClosed = false

  constructor(log: Pick<EventLog, 'follow' | 'heads'>, limits: ProducerLimits) {
    this.#log = log
    this.#limits = limits
  }

  /**
   * Waits for the log to reach a position that may be ahead of it. That ends when the log has an entry of the position's
   * `seq`, whichever it is; when the stream has ended; when a producer that can reach the log would have written
   * the entry by now; or when the client leaves.
   *
   * @param channel - The stream's name in the log.
   * @param gone - Aborts when the client has left.
   * @returns The head by then. A read tells whether the position is one of the stream's.
   */
  async reached(channel: string, place: Place, gone?: AbortSignal): Promise<EntryId> {
    const { position } = place
    let { head } = place
    if (this.#isClosed || !this.#mayCome(place)) return head
    if (gone?.aborted) return head
    let settle: () => void = () => undefined
    const settled = new Promise<void>((resolve) => {
      settle = resolve
    })
    const check = (id: EntryId) => {
      if (seqOf(id) > seqOf(head)) head = id
      if (isEndId(head) || seqOf(head) >= seqOf(position)) settle()
    }
    const look = async () => {
      for (const id of await this.#log.heads([channel])) check(id)
    }
    const listener: LogListener = {
      append: (entries) => {
        for (const { id } of entries) check(id)
      },
      // A log that is away is told of by the look behind the wait.
      suspect: (found) => {
        if (found === undefined) look().catch(() => undefined)
        else check(found)
      },
    }
    this.#settles.add(settle)
    gone?.addEventListener('abort', settle)
    let unfollow: (() => void) | undefined
    try {
      unfollow = await this.#log.follow(channel, listener)
      await look()
      if (!(await within(settled, this.#limits.flushMs + writeMs))) await look()
    } finally {
      unfollow?.()
      this.#settles.delete(settle)
      gone?.removeEventListener('abort', settle)
    }
    return head
  }

  /** Ends all waits. */
  close(): void {
    this.#isClosed = true
    for (const settle of this.#settles) settle()
  }

  /** Whether the log may get there: a producer is not further ahead of it than this. */
  #mayCome({ head, position }: Place): boolean {
    const entries = seqOf(position) - seqOf(head)
    // A source waits once one entry has passed the limit, and the end is an entry as well.
    const most = Math.ceil(this.#limits.maxAheadBytes / leastCost) + 2
    return !isEndId(head) && entries > 0 && entries <= most
  }
}
