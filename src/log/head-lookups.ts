import type { EntryId } from '../core/entry-id.js'

interface Lookup<Head> {
  readonly names: Set<string>
  readonly heads: Promise<ReadonlyMap<string, Head>>
}

/** One query for all who ask for heads at about the same time: a crowd that comes back asks one by one. */
export class HeadLookups<Head = EntryId> {
  readonly #maxNames: number
  readonly #isInTurn: boolean
  readonly #query: (names: readonly string[]) => Promise<ReadonlyMap<string, Head>>
  #open: Lookup<Head> | undefined
  #last: Promise<unknown> = Promise.resolve()

  /**
   * @param maxNames - Channels of one query.
   * @param isInTurn - Whether a query waits for the one before it, and takes in who asks meanwhile.
   */
  constructor(
    { maxNames, isInTurn }: { readonly maxNames: number; readonly isInTurn: boolean },
    query: (names: readonly string[]) => Promise<ReadonlyMap<string, Head>>,
  ) {
    this.#maxNames = maxNames
    this.#isInTurn = isInTurn
    this.#query = query
  }

  async heads(names: readonly string[]): Promise<readonly Head[]> {
    const lookups: Lookup<Head>[] = []
    for (const name of names) {
      if (this.#open === undefined || this.#open.names.size >= this.#maxNames)
        this.#open = this.#begin()
      this.#open.names.add(name)
      if (!lookups.includes(this.#open)) lookups.push(this.#open)
    }
    const found = await Promise.all(lookups.map(({ heads }) => heads))
    return names.map((name) => found.find((heads) => heads.has(name))?.get(name) as Head)
  }

  #begin(): Lookup<Head> {
    const names = new Set<string>()
    const heads = this.#behind(this.#last, names)
    this.#last = heads.catch(() => undefined)
    return { names, heads }
  }

  async #behind(
    before: Promise<unknown>,
    names: ReadonlySet<string>,
  ): Promise<ReadonlyMap<string, Head>> {
    if (this.#isInTurn) await before
    await new Promise<void>((resolve) => process.nextTick(resolve))
    if (this.#open?.names === names) this.#open = undefined
    return this.#query([...names])
  }
}
