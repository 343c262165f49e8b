/**
 * Counts how often what answers may have become another server, or the same one from before, and finds out each time
 * whether it is.
 */
export class Changes {
  readonly #check: () => Promise<void>
  #count = 0
  #checking: Promise<void> | undefined

  /** @param check - Rejects where there is no answer: there is a change when there is one again. */
  constructor(check: () => Promise<void>) {
    this.#check = check
  }

  get count(): number {
    return this.#count
  }

  add(): void {
    this.#count += 1
    this.#checking ??= this.#checkAll().finally(() => {
      this.#checking = undefined
    })
  }

  async #checkAll(): Promise<void> {
    let count: number
    do {
      // What breaks connections breaks several.
      await Promise.resolve()
      count = this.#count
      await this.#check().catch(() => undefined)
    } while (count !== this.#count)
  }
}
