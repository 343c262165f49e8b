import { EventStreamError } from '../core/errors.js'
import type { OpenedStream } from './status.js'

/** How many streams may run in one process. */
export interface RunningLimits {
  readonly maxRunning: number
  readonly maxRunningPerKey: number
}

/** Whose a stream is, of those that count together; absent, it counts for the process alone. */
export type RunningKey = string | undefined

/** @param key - The connection key of the request that starts it, where it is registered for nobody. */
export function runningKey(user: string | number | undefined, key?: string): RunningKey {
  if (user !== undefined && user !== null) return `user ${user}`
  return key === undefined ? undefined : `key ${key}`
}

/** Counts streams whose source runs in this process, in total and per key, from before they are claimed until they end. */
export class RunningStreams {
  readonly #limits: RunningLimits
  readonly #perKey = new Map<string, number>()
  #total = 0

  constructor(limits: RunningLimits) {
    this.#limits = limits
  }

  /**
   * Starts a stream where there is room for it.
   *
   * @param known - Gives it where it is there already: whoever follows it starts none.
   * @throws EventStreamError `ERR_STREAM_LIMIT`, `ERR_STREAM_KEY_LIMIT`.
   */
  async start(
    key: RunningKey,
    known: () => Promise<OpenedStream | undefined>,
    begin: () => Promise<OpenedStream>,
  ): Promise<OpenedStream> {
    const full = this.#whyFull(key)
    if (full !== undefined) {
      const stream = await known()
      if (stream === undefined) throw full
      return stream
    }
    this.#count(key, 1)
    const leave = () => this.#count(key, -1)
    let ended: OpenedStream['ended']
    try {
      const stream = await begin()
      ended = stream.ended
      return stream
    } finally {
      if (ended === undefined) leave()
      else void ended.then(leave)
    }
  }

  #whyFull(key: RunningKey): EventStreamError | undefined {
    const { maxRunning, maxRunningPerKey } = this.#limits
    if (this.#total >= maxRunning) {
      return new EventStreamError(
        'ERR_STREAM_LIMIT',
        `This process must not run more than ${maxRunning} streams, and runs ${this.#total}; try again later, or raise streams.maxRunning.`,
      )
    }
    const count = this.#of(key)
    if (count < maxRunningPerKey) return undefined
    return new EventStreamError(
      'ERR_STREAM_KEY_LIMIT',
      `One owner must not run more than ${maxRunningPerKey} streams, and runs ${count}; wait until one has ended, or raise streams.maxRunningPerKey.`,
    )
  }

  #of(key: RunningKey): number {
    return key === undefined ? 0 : (this.#perKey.get(key) ?? 0)
  }

  #count(key: RunningKey, by: 1 | -1): void {
    this.#total += by
    if (key === undefined) return
    const count = this.#of(key) + by
    if (count === 0) this.#perKey.delete(key)
    else this.#perKey.set(key, count)
  }
}
