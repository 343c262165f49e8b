/** A timer for each part of a link, of which none keeps the process running. */
export class PartTimers<Part> {
  readonly #timers = new Map<Part, NodeJS.Timeout>()

  /** Whether one is set that has not run out. */
  has(part: Part): boolean {
    return this.#timers.has(part)
  }

  /** In place of the one that is set. */
  set(part: Part, ms: number, run: () => void): void {
    this.clear(part)
    const timer = setTimeout(() => {
      this.#timers.delete(part)
      run()
    }, ms).unref()
    this.#timers.set(part, timer)
  }

  clear(part: Part): void {
    clearTimeout(this.#timers.get(part))
    this.#timers.delete(part)
  }

  clearAll(): void {
    for (const part of this.#timers.keys()) this.clear(part)
  }
}
