/** A source whose chunks the test gives, one at a time. */
export class Faucet<T> implements AsyncIterable<T> {
  /** How often a chunk was asked for. */
  pulls = 0
  /** Whether the reader has left before the end. */
  isReturned = false
  readonly #waiting: T[] = []
  #end: { error?: unknown } | undefined
  #wake: () => void = () => undefined

  give(...chunks: T[]): void {
    this.#waiting.push(...chunks)
    this.#wake()
  }

  end(): void {
    this.#end = {}
    this.#wake()
  }

  fail(error: unknown): void {
    this.#end = { error }
    this.#wake()
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: async () => {
        this.pulls += 1
        while (this.#waiting.length === 0 && this.#end === undefined) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
        if (this.#waiting.length > 0) return { done: false, value: this.#waiting.shift() as T }
        if (this.#end !== undefined && 'error' in this.#end) throw this.#end.error
        return { done: true, value: undefined }
      },
      return: async () => {
        this.isReturned = true
        this.end()
        return { done: true, value: undefined }
      },
    }
  }
}
