import { inBackground } from '../background.js'

/** Ids of one command. */
const maxItems = 1000

interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** Makes one call of all that is asked for in one turn, up to 1000 at a time. */
export class Calls<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>
  #waiting: Waiting<Item, Result>[] = []

  constructor(run: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.#run = run
  }

  /** @throws What the call throws. */
  call(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) inBackground(() => setImmediate(() => this.#flush()))
      this.#waiting.push({ item, resolve, reject })
    })
  }

  #flush(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (let i = 0; i < waiting.length; i += maxItems)
      void this.#send(waiting.slice(i, i + maxItems))
  }

  async #send(waiting: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#run(waiting.map(({ item }) => item))
      for (const [i, { resolve }] of waiting.entries()) resolve(results[i] as Result)
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
  }
}
