import { beforeNextFrame, forget } from './frames.js'
import type { Registry, Shared } from './registry.js'

/** What one component sees, for `useSyncExternalStore`. A snapshot is the same object until something differs. */
export abstract class View<Item extends Shared, Snapshot extends object> {
  readonly #registry: Registry<Item>
  readonly #key: string | undefined
  #item: Item | undefined
  #initial: Snapshot | undefined
  #snapshot: Snapshot | undefined
  #onChange: (() => void) | undefined

  /** @param key - undefined where there is nothing to see. */
  constructor(registry: Registry<Item>, key: string | undefined) {
    this.#registry = registry
    this.#key = key
  }

  protected abstract make(): Item
  /** @param before - What it was attached to the last time. */
  protected abstract attach(item: Item, before: Item | undefined): void
  protected abstract detach(item: Item): void
  protected abstract look(item: Item | undefined): Snapshot

  readonly subscribe = (onChange: () => void): (() => void) => {
    if (this.#key === undefined) return () => undefined
    const before = this.#item
    // After a longer absence it goes on with what it had, unless others have opened another one.
    const { item, release } = this.#registry.hold(this.#key, () => before ?? this.make())
    this.#item = item
    this.#onChange = onChange
    this.attach(item, before)
    this.#show()
    return () => {
      this.#onChange = undefined
      forget(this.#show)
      this.detach(item)
      release()
    }
  }

  readonly getSnapshot = (): Snapshot => {
    this.#snapshot ??= this.getServerSnapshot()
    return this.#snapshot
  }

  /** What servers render, and pages before they have opened anything. */
  readonly getServerSnapshot = (): Snapshot => {
    this.#initial ??= this.look(undefined)
    return this.#initial
  }

  /** What the component holds now: nothing before it is mounted, and after. */
  protected get held(): Item | undefined {
    return this.#onChange && this.#item
  }

  /** Something differs. It is shown before the next frame. */
  protected show(): void {
    beforeNextFrame(this.#show)
  }

  readonly #show = (): void => {
    const next = this.look(this.#item)
    if (areSame(this.getSnapshot(), next)) return
    this.#snapshot = next
    this.#onChange?.()
  }
}

function areSame(a: object, b: object): boolean {
  const [before, after] = [Object.values(a), Object.values(b)]
  return before.every((value, i) => Object.is(value, after[i]))
}
