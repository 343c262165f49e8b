/** Runs jobs side by side, so many at most: one that takes long holds up none that there is room for. */
export class Slots {
  readonly #count: number
  readonly #running = new Set<Promise<void>>()

  constructor(count: number) {
    this.#count = count
  }

  get free(): number {
    return this.#count - this.#running.size
  }

  /** @param job - Must not reject. */
  run(job: () => Promise<void>): void {
    const running = job().finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Resolves when there is room for one more. */
  async room(): Promise<void> {
    while (this.free <= 0) await Promise.race(this.#running)
  }

  /** Resolves when none of those that run now does any more. */
  async done(): Promise<void> {
    await Promise.all(this.#running)
  }
}
