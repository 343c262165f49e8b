import { PartTimers } from './part-timers.js'

/** For a connection to be made, however slow the network is. */
const returnMs = 1000

/**
 * Connections that were closed while there was nothing to do, as servers and proxies close those that are quiet. Nothing
 * is lost with them, so health stays as it is, unless the next one cannot be made.
 */
export class Returning<Part> {
  readonly #onLate: (error: Error | undefined) => void
  readonly #timers = new PartTimers<Part>()

  /** @param onLate - It is not back: then it is lost. */
  constructor(onLate: (error: Error | undefined) => void) {
    this.#onLate = onLate
  }

  has(part: Part): boolean {
    return this.#timers.has(part)
  }

  begin(part: Part, error: Error | undefined): void {
    this.#timers.set(part, returnMs, () => this.#onLate(error))
  }

  /** It is back; or will not be so soon. */
  done(part: Part): void {
    this.#timers.clear(part)
  }

  close(): void {
    this.#timers.clearAll()
  }
}
