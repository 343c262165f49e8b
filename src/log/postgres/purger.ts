/** Purges now and then while the log is used, and until what it has appended is past its age. */
export class Purger {
  readonly #purge: () => Promise<number>
  readonly #intervalMs: number
  readonly #isNeeded: () => boolean
  #lastsMs: number
  #timer: NodeJS.Timeout | undefined
  #usedAt = 0
  #isClosed = false

  /**
   * @param purge - Looks at some of what is due, and tells how many that were.
   * @param maxAgeMs - When nothing is left of what is appended now.
   * @param isNeeded - Whether it is to go on though nothing was appended or read.
   */
  constructor(
    purge: () => Promise<number>,
    intervalMs: number,
    maxAgeMs: number,
    isNeeded: () => boolean,
  ) {
    this.#purge = purge
    this.#intervalMs = intervalMs
    // A channel outlives its last use by a quarter of its age.
    this.#lastsMs = maxAgeMs * 1.5 + intervalMs
    this.#isNeeded = isNeeded
  }

  /** Something is kept for so many milliseconds after its last use. */
  keeps(ms: number): void {
    this.#lastsMs = Math.max(this.#lastsMs, ms + this.#intervalMs)
  }

  /** The log is used. */
  used(): void {
    this.#usedAt = performance.now()
    if (this.#timer === undefined) this.#later()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #later(): void {
    if (this.#isClosed || this.#intervalMs === 0) return
    // Not all processes at once.
    const delayMs = this.#intervalMs * (0.75 + Math.random() / 2)
    this.#timer = setTimeout(() => void this.#run(), delayMs).unref()
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isClosed && (await this.#purge()) > 0);
    } catch {
      // Postgres is away, which its owner knows, or another process will see to it.
    }
    this.#timer = undefined
    const isOver = performance.now() - this.#usedAt > this.#lastsMs
    if (!isOver || this.#isNeeded()) this.#later()
  }
}
