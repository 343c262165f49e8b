import { turn } from './simulation.js'

interface Due {
  readonly at: number
  readonly place: number
  readonly act: () => void
}

/** Time that passes only where a test lets it, from one thing that is due to the next one. */
export class VirtualClock {
  now = 0
  readonly #due: Due[] = []
  #places = 0

  /** Things that are due at the same time happen in the order in which they were asked for. */
  schedule(ms: number, act: () => void): void {
    const due = { at: this.now + ms, place: this.#places++, act }
    let index = this.#due.length
    while (index > 0 && (this.#due[index - 1] as Due).at > due.at) index -= 1
    this.#due.splice(index, 0, due)
  }

  after(ms: number): Promise<void> {
    return new Promise((resolve) => this.schedule(ms, resolve))
  }

  /** Lets time pass until a condition holds, or for so long. */
  async pass(ms: number, isOver: () => boolean = () => false): Promise<void> {
    const end = this.now + ms
    await turn()
    for (let next = this.#due[0]; next !== undefined && next.at <= end; next = this.#due[0]) {
      if (isOver()) return
      this.#due.shift()
      this.now = next.at
      next.act()
      // All that follows from it happens at that time.
      await turn()
    }
    if (!isOver()) this.now = end
  }
}
