import { EventStreamError, quote } from './errors.js'

/** What belongs to objects, and is not for those who use them. */
export class Parts<Owner extends object, Part> {
  readonly #all = new WeakMap<object, Part>()
  readonly #needed: string

  /** @param needed - What an owner is, and how to get one: `an event stream, such as new EventStream()`. */
  constructor(needed: string) {
    this.#needed = needed
  }

  /** Called once for each owner, when it is made. */
  set(owner: Owner, part: Part): void {
    this.#all.set(owner, part)
  }

  /** @throws EventStreamError `ERR_OPTION` for what is no owner. */
  of(owner: Owner): Part {
    const part = this.#all.get(owner)
    if (part !== undefined) return part
    throw new EventStreamError('ERR_OPTION', `${quote(owner)} was given; give ${this.#needed}.`)
  }
}

/** @see Parts */
export const anEventStream = 'an event stream, such as new EventStream()'
