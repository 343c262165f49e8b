import type { Notices } from '../../hub/notices.js'

/**
 * Whether anybody listens to several channels on one connection at a proxy that composes ids, so that
 * events must go there in that form too. Found out, as it doubles what a proxy has to do.
 *
 * Who answers such a client says so, again and again as long as its proxy asks, and all processes
 * that share the log hear it; one that starts finds the last time in the log.
 */
export class ComposedDemand {
  readonly #notices: Notices | undefined
  readonly #refreshMs: number
  #isWanted = false
  #isKnown = false
  #finding: Promise<void> | undefined
  #notedAt = -Infinity

  /**
   * @param notices - Undefined where no other process uses the log. Their listener calls `heard`.
   * @param refreshMs - How often those who listen are found again, at most.
   */
  constructor(notices: Notices | undefined, refreshMs: number) {
    this.#notices = notices
    this.#refreshMs = refreshMs
    this.#isKnown = notices === undefined
  }

  /** Undefined until it is known; `find` then. */
  get isWanted(): boolean | undefined {
    return this.#isWanted || (this.#isKnown ? false : undefined)
  }

  /** Another process, or this one, has such a client. */
  heard(): void {
    this.#isWanted = true
    this.#notedAt = performance.now()
  }

  /** Called before such a client is answered; what is published from then on is for it too. */
  async note(): Promise<void> {
    const isRecent = performance.now() - this.#notedAt < this.#refreshMs
    this.heard()
    if (isRecent || this.#notices === undefined) return
    try {
      await this.#notices.publish('')
    } catch (error) {
      this.#notedAt = -Infinity
      throw error
    }
  }

  /** @returns Once it is known; without the log, it stays unknown. */
  find(): Promise<void> {
    this.#finding ??= this.#find().finally(() => {
      this.#finding = undefined
    })
    return this.#finding
  }

  async #find(): Promise<void> {
    try {
      await this.#notices?.open()
      if (await this.#notices?.hasAny()) this.#isWanted = true
      this.#isKnown = true
    } catch {
      // The publish that wants to know has just used the log, so the next one may find out.
      this.#notices?.close()
    }
  }

  close(): void {
    this.#notices?.close()
    this.#isKnown = this.#notices === undefined
  }
}
