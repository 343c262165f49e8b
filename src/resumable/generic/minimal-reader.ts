import { seqOf } from '../../core/entry-id.js'
import type { Page, PageLimit, ReadFrom, StoredEvent } from '../../log/event-log.js'
import { chained } from '../../log/intake.js'
import { fromRows, fromText, lengthOf } from './entry-text.js'
import {
  headOf,
  type PageIndex,
  parseIndex,
  type StreamKeys,
  type StreamState,
} from './minimal-format.js'
import type { Store } from './store.js'

/** Pages that readers of one stream after another find here. */
const maxCached = 32
/** UTF-16 units of a page that is worth it. */
const maxCachedLength = 262_144

/** Entries from one place on. */
interface Run {
  readonly entries: StoredEvent[]
  /** Whether some before them have expired. */
  readonly isLate: boolean
}

/** Reads streams: their pages, and then what is in their state. */
export class MinimalReader {
  readonly #store: Store
  /** Pages that grow no more. */
  readonly #pages = new Map<string, readonly StoredEvent[]>()
  readonly #indexes = new Map<string, PageIndex>()

  constructor(store: Store) {
    this.#store = store
  }

  async read(
    keys: StreamKeys,
    state: StreamState,
    from: ReadFrom,
    limit: PageLimit,
  ): Promise<Page> {
    const head = headOf(state)
    const first = seqOf(state.before)
    const pageFrom = async (after: number) => {
      const { entries, isLate } = await this.#run(keys, state, after, limit)
      return { entries: chained(undefined, entries, head), isLate }
    }
    const earliest = async (gap: Page['gap']): Promise<Page> => {
      const { entries } = await pageFrom(first)
      return { entries, gap, head }
    }
    if (from === head) return { entries: [], gap: undefined, head }
    if (typeof from === 'object') {
      const { entries } = await pageFrom(Math.max(first, seqOf(head) - from.last))
      return { entries, gap: undefined, head }
    }
    if (from === 'earliest') return earliest(undefined)
    const after = seqOf(from)
    if (after < first) return earliest('trimmed')
    if (after < seqOf(head)) {
      const { entries, isLate } = await pageFrom(after)
      if (isLate) return { entries, gap: 'trimmed', head }
      if (entries[0]?.prevId === from) return { entries, gap: undefined, head }
    }
    return earliest('unknown')
  }

  async #run(
    keys: StreamKeys,
    state: StreamState,
    after: number,
    { maxEvents, maxLength }: PageLimit,
  ): Promise<Run> {
    const entries: StoredEvent[] = []
    let length = 0
    /** @returns Whether there is room for more. */
    const take = (some: readonly StoredEvent[]) => {
      for (const entry of some) {
        if (entries.length >= maxEvents || (length >= maxLength && entries.length > 0)) return false
        entries.push(entry)
        length += lengthOf([entry])
      }
      return true
    }
    let isLate = false
    const stored = seqOf(state.stored)
    for (let seq = after; seq < stored; ) {
      const { number, end } = await this.#find(keys, state, seq)
      const page = number === undefined ? undefined : await this.#page(keys, state, number)
      const found = page?.filter(({ id }) => seqOf(id) > seq && seqOf(id) <= stored) ?? []
      if (found.length === 0) {
        if (entries.length > 0) return { entries, isLate }
        isLate = true
        seq = end
        continue
      }
      if (!take(found)) return { entries, isLate }
      seq = seqOf((found.at(-1) as StoredEvent).id)
    }
    take(state.tail.filter(({ id }) => seqOf(id) > after))
    return { entries, isLate }
  }

  /** The page that has what comes after a place, and where that page ends. */
  async #find(
    keys: StreamKeys,
    state: StreamState,
    seq: number,
  ): Promise<{ readonly number: number | undefined; readonly end: number }> {
    const last = seqOf(state.pageBefore)
    if (seq >= last) return { number: state.page, end: seqOf(state.stored) }
    const key = keys.index(state.epoch)
    const cached = findIn(this.#indexes.get(key), seq)
    if (cached !== undefined) return cached
    const index = parseIndex(await this.#store.get(key))
    if (index !== undefined) keep(this.#indexes, key, index)
    return findIn(index, seq) ?? { number: undefined, end: last }
  }

  async #page(
    keys: StreamKeys,
    state: StreamState,
    number: number,
  ): Promise<readonly StoredEvent[] | undefined> {
    const key = keys.page(state.epoch, number)
    const cached = this.#pages.get(key)
    if (cached !== undefined) return cached
    const text = await this.#store.get(key)
    const page = fromRows(fromText(text))
    // What is empty was freed.
    if (text && page === undefined) {
      this.#store.intake.drop('A page of a stream', 'its readers are told of a gap')
    }
    const isWorthIt = page && number < state.page && lengthOf(page) <= maxCachedLength
    if (isWorthIt) keep(this.#pages, key, page)
    return page
  }
}

/** @returns undefined where the index does not tell where the page ends. */
function findIn(index: PageIndex | undefined, seq: number) {
  if (index === undefined) return undefined
  const { firstPage, pages } = index
  const next = pages.findIndex(({ before }) => seqOf(before) > seq)
  const end = pages[next]
  return next < 1 || end === undefined
    ? undefined
    : { number: firstPage + next - 1, end: seqOf(end.before) }
}

function keep<Value>(cache: Map<string, Value>, key: string, value: Value): void {
  cache.delete(key)
  cache.set(key, value)
  const [oldest] = cache.keys()
  if (cache.size > maxCached && oldest !== undefined) cache.delete(oldest)
}
