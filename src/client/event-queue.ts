/** What waits for one `for await` loop. */
export interface Queued<Item> {
  readonly item: Item
  /** The position before it. */
  readonly before: string
}

export interface EventQueueHost {
  /** An event has been dealt with. */
  passed(): void
  /** The loop was left. */
  left(): void
}

/** The events of one `for await` loop: what is not dealt with yet, the oldest first. */
export class EventQueue<Item> {
  readonly #waiting: Queued<Item>[] = []
  readonly #host: EventQueueHost
  #isInLoop = false
  #end: { readonly error?: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(host: EventQueueHost) {
    this.#host = host
  }

  get length(): number {
    return this.#waiting.length
  }

  /** Where the loop is; undefined when it has all. */
  get position(): string | undefined {
    return this.#waiting[0]?.before
  }

  push(queued: Queued<Item>): void {
    this.#waiting.push(queued)
    this.#wake?.()
  }

  /** The loop ends when it has dealt with all that waits, by an error if one is given. */
  end(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error }
    this.#wake?.()
  }

  /** The event that the loop is at is dealt with. */
  pass(): void {
    if (this.#isInLoop) this.#waiting.shift()
    this.#isInLoop = false
  }

  clear(): void {
    this.#waiting.length = 0
    this.#isInLoop = false
  }

  async *drain(): AsyncGenerator<Item, void, undefined> {
    try {
      for (;;) {
        const [next] = this.#waiting
        if (next !== undefined) {
          this.#isInLoop = true
          yield next.item
          this.pass()
          this.#host.passed()
        } else if (this.#end === undefined) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        } else if ('error' in this.#end) throw this.#end.error
        else return
      }
    } finally {
      this.pass()
      this.#host.left()
    }
  }
}
