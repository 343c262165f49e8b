/** For a connection to be made, however slow the network is. */
const returnMs = 1000

/**
 * Connections that were closed while there was nothing to do, as servers and proxies close those that are quiet. Nothing
 * is lost with them, so health stays as it is, unless the next one cannot be made.
 */
export class Returning<Part> {
  readonly #onLate: (error: Error | undefined) => void
  readonly #timers = new Map<Part, NodeJS.Timeout>()

  /** @param onLate - It is not back: then it is lost. */
  constructor(onLate: (error: Error | undefined) => void) {
    this.#onLate = onLate
  }

  has(part: Part): boolean {
    return this.#timers.has(part)
  }

  begin(part: Part, error: Error | undefined): void {
    this.done(part)
    const timer = setTimeout(() => {
      this.#timers.delete(part)
      this.#onLate(error)
    }, returnMs).unref()
    this.#timers.set(part, timer)
  }

  /** It is back; or will not be so soon. */
  done(part: Part): void {
    clearTimeout(this.#timers.get(part))
    this.#timers.delete(part)
  }

  close(): void {
    for (const part of this.#timers.keys()) this.done(part)
  }
}
