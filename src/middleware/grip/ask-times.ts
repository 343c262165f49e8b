import { createHash } from 'node:crypto'

/** Milliseconds in which Pushpin asks for the clients of one group, if there are up to a thousand. */
const burstMs = 1000

/**
 * After how many seconds proxies ask for their clients. Pushpin asks at once for all clients that have the same number, a
 * hundred of them every 100 ms, and delivers no event to a client that waits for its turn. So channels have different
 * numbers; and the clients of one set of channels that are more than a hundred are put into groups with different ones.
 *
 * Nothing is kept of clients: the number of their group comes back with the proof. Those of group 0 are not more than a
 * hundred, as far as is known.
 */
export class AskTimes {
  readonly #seconds: number
  /** How many different numbers there are, and groups. */
  readonly #count: number
  /** Sets of channels whose group 0 was asked for just now. */
  readonly #recent = new Set<string>()
  #recentSince = 0

  /** @param pollMs - Milliseconds after which they have asked, but for the time that they take. */
  constructor(pollMs: number) {
    this.#seconds = Math.floor(pollMs / 1000)
    this.#count = Math.max(1, Math.floor(this.#seconds / 3))
  }

  /** @returns Less than the interval, so that the answer is there in time. */
  secondsOf(names: readonly string[], group: number): number {
    const [byte = 0] = createHash('sha256').update(names.join('\n')).digest()
    return Math.max(1, this.#seconds - 1 - ((byte + group) % this.#count))
  }

  /**
   * The group that clients are in from here on, which a proxy asks for.
   *
   * @param group - The one that they were in.
   */
  nextGroup(names: readonly string[], group: number): number {
    if (group > 0 || this.#count === 1) return group
    const now = performance.now()
    if (now - this.#recentSince > burstMs) {
      this.#recent.clear()
      this.#recentSince = now
    }
    const key = names.join('\n')
    if (this.#recent.has(key)) return 1 + Math.floor(Math.random() * (this.#count - 1))
    this.#recent.add(key)
    return 0
  }
}
