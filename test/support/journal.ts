import { seqOf } from './position.js'

/** An event that its publisher was told to be in the log. */
export interface Acknowledged {
  readonly producer: string
  /** With the producer, the number of the event. */
  readonly n: number
  readonly channel: string
  readonly id: string
  /** By the system's clock, in milliseconds. */
  readonly sentAt: number
  readonly ackedAt: number
}

interface Entry {
  /** Number of the event. */
  readonly key: string
  /** Undefined while nobody has come to it from its predecessor. */
  prevId: string | undefined
}

/** What all clients together have seen of the log: they must agree. */
export class Journal {
  readonly acknowledged: Acknowledged[] = []
  /** The same entry behind different ones: somebody came there from a history that was lost. */
  forks = 0
  /** Different events under one id. */
  swaps = 0
  readonly #entries = new Map<string, Map<string, Entry>>()
  readonly #places = new Map<string, { readonly channel: string; readonly id: string }[]>()

  /** @param prevId - What the client had before, if that is the place before. */
  saw(channel: string, id: string, prevId: string | undefined, key: string): void {
    const entry = this.#entriesOf(channel).get(id)
    if (entry === undefined) {
      this.#entriesOf(channel).set(id, { key, prevId })
      this.#placesOf(key).push({ channel, id })
      return
    }
    if (entry.key !== key) this.swaps += 1
    if (prevId === undefined) return
    entry.prevId ??= prevId
    if (entry.prevId !== prevId) this.forks += 1
  }

  acknowledge(all: readonly Acknowledged[]): void {
    for (const acknowledged of all) {
      this.acknowledged.push(acknowledged)
      const { channel, id, producer, n } = acknowledged
      this.saw(channel, id, undefined, `${producer}:${n}`)
    }
  }

  /** The ids that led to this one, as far as anybody has seen. */
  historyOf(channel: string, head: string): ReadonlySet<string> {
    const entries = this.#entriesOf(channel)
    const ids = new Set<string>()
    for (let id: string | undefined = head; id !== undefined; id = entries.get(id)?.prevId) {
      ids.add(id)
    }
    return ids
  }

  /** Events that one history has twice. In two, one of which was lost, they may well be. */
  get repeated(): number {
    let count = 0
    for (const places of this.#places.values()) {
      for (const [i, { channel, id }] of places.entries()) {
        if (places.slice(0, i).some((other) => this.#areInOneHistory(channel, id, other.id))) {
          count += 1
        }
      }
    }
    return count
  }

  #areInOneHistory(channel: string, a: string, b: string): boolean {
    const [earlier, later] = seqOf(a) < seqOf(b) ? [a, b] : [b, a]
    const entries = this.#entriesOf(channel)
    let id: string | undefined = later
    while (id !== undefined && seqOf(id) > seqOf(earlier)) id = entries.get(id)?.prevId
    return id === earlier
  }

  #entriesOf(channel: string): Map<string, Entry> {
    let entries = this.#entries.get(channel)
    if (entries === undefined) {
      entries = new Map()
      this.#entries.set(channel, entries)
    }
    return entries
  }

  #placesOf(key: string) {
    let places = this.#places.get(key)
    if (places === undefined) {
      places = []
      this.#places.set(key, places)
    }
    return places
  }
}
