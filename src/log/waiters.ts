/** Those who wait for something to change, each for a time at most. */
export class Waiters {
  readonly #waiting = new Set<() => void>()

  /**
   * Resolves at the next `wake`, or when the time is over.
   *
   * @param keepsRunning - Whether the process goes on for that, though nothing else is to be done.
   */
  wait(ms: number, keepsRunning = true): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      if (!keepsRunning) timer.unref()
      this.#waiting.add(done)
    })
  }

  wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}
