/** What can be in one order at a time. The order keeps the fields. */
export interface Ordered<Item extends Ordered<Item>> {
  order: UseOrder<Item> | undefined
  before: Item | undefined
  after: Item | undefined
}

/**
 * Items in the order of their last use. To use one costs the same however many there are, and allocates nothing,
 * so that whatever happens may count as use.
 */
export class UseOrder<Item extends Ordered<Item>> {
  size = 0
  /** The one that was not used for longest. */
  first: Item | undefined
  #last: Item | undefined

  /** Makes it the last one, whichever order it was in. */
  use(item: Item): void {
    if (item === this.#last) return
    item.order?.remove(item)
    item.order = this
    item.before = this.#last
    if (this.#last === undefined) this.first = item
    else this.#last.after = item
    this.#last = item
    this.size += 1
  }

  remove(item: Item): void {
    const { before, after } = item
    if (before === undefined) this.first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    item.order = undefined
    item.before = undefined
    item.after = undefined
    this.size -= 1
  }
}
