/** Milliseconds: what is mounted again within them finds its connection as it was. */
export const graceMs = 300

/** What several components have together. */
export interface Shared {
  /** Somebody wants it, who may be the first one. */
  resume(): void
  /** Nobody does. Nothing may run on. */
  suspend(): void
}

interface Entry<Item> {
  readonly item: Item
  holders: number
  timer?: ReturnType<typeof setTimeout> | undefined
}

/** Holds what is in use, by key: one of each, for as long as anybody wants it and a moment longer. */
export class Registry<Item extends Shared> {
  readonly #entries = new Map<string, Entry<Item>>()
  readonly #graceMs: number

  /** @param graceMs - Milliseconds without a holder until an item is suspended. */
  constructor(graceMs: number) {
    this.#graceMs = graceMs
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * @param make - Makes the item, where there is none.
   * @returns The item, and what gives it back; the latter may be called again.
   * @throws What `make` and `resume` throw. Nothing is held then.
   */
  hold(key: string, make: () => Item): { readonly item: Item; readonly release: () => void } {
    const entry = this.#entries.get(key) ?? this.#add(key, make())
    entry.holders += 1
    clearTimeout(entry.timer)
    let isHeld = true
    const release = () => {
      if (!isHeld) return
      isHeld = false
      entry.holders -= 1
      if (entry.holders > 0) return
      entry.timer = setTimeout(() => {
        this.#entries.delete(key)
        entry.item.suspend()
      }, this.#graceMs)
    }
    return { item: entry.item, release }
  }

  #add(key: string, item: Item): Entry<Item> {
    item.resume()
    const entry = { item, holders: 0 }
    this.#entries.set(key, entry)
    return entry
  }
}
