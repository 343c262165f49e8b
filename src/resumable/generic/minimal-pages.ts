import { seqOf } from '../../core/entry-id.js'
import type { StoredEvent } from '../../log/event-log.js'
import type { StreamLimits } from '../../log/stream-log.js'
import { fromRows, fromText, lengthOf, toRows, toText } from './entry-text.js'
import {
  encodeIndex,
  headOf,
  type PagePlace,
  parseIndex,
  type StreamKeys,
  type StreamState,
} from './minimal-format.js'
import type { Store } from './store.js'

/** UTF-16 units that wait in the state, which is written each time, for their page. */
const maxTailLength = 8192
/** UTF-16 units past which a page grows no more. */
const maxPageLength = 65_536
/** What an entry takes beyond its payload. */
const entryLength = 16

/** What is to be written, and what is so then. */
export interface Draft {
  readonly state: StreamState
  readonly places: readonly PagePlace[]
  /** Entries of the last page. */
  readonly page: readonly StoredEvent[]
  /** Entries of the pages that are new or have grown, by number. */
  readonly written: ReadonlyMap<number, readonly StoredEvent[]>
  /** Pages that are kept no more. */
  readonly dropped: readonly number[]
}

/** How large a page, or the tail, may become: a part of what is kept, so that little too much is. */
function isFull(entries: readonly StoredEvent[], limits: StreamLimits, maxLength: number): boolean {
  const { maxEvents, maxBytes } = limits
  const length = lengthOf(entries)
  return (
    entries.length >= maxEvents / 4 ||
    length >= maxBytes / 4 ||
    length + entries.length * entryLength >= maxLength
  )
}

/** Adds entries to the tail, and moves it into pages once it is full. */
export function drafted(
  { state, places, page }: Pick<Draft, 'state' | 'places' | 'page'>,
  entries: readonly StoredEvent[],
  limits: StreamLimits,
): Draft {
  const tail = [...state.tail, ...entries]
  const written = new Map<number, StoredEvent[]>()
  if (!isFull(tail, limits, maxTailLength)) {
    return { state: { ...state, tail }, places, page, written, dropped: [] }
  }
  const all = [...places]
  let last = [...page]
  for (const entry of tail) {
    if (all.length === 0 || isFull(last, limits, maxPageLength)) {
      all.push({ before: entry.prevId, length: 0 })
      last = []
    }
    last.push(entry)
    const { before, length } = all.at(-1) as PagePlace
    all[all.length - 1] = { before, length: length + lengthOf([entry]) }
    written.set(state.firstPage + all.length - 1, last)
  }
  const stored = headOf({ ...state, tail })
  const dropped = trim(all, state.firstPage, seqOf(stored), limits)
  for (const number of dropped) written.delete(number)
  const next = {
    ...state,
    stored,
    tail: [],
    before: all[0]?.before ?? state.before,
    firstPage: state.firstPage + dropped.length,
    page: state.firstPage + dropped.length + all.length - 1,
    pageBefore: all.at(-1)?.before ?? state.pageBefore,
  }
  return { state: next, places: all, page: last, written, dropped }
}

/** Takes away the first pages that are not needed to keep as much as the limits say. */
function trim(
  places: PagePlace[],
  firstPage: number,
  headSeq: number,
  { maxEvents, maxBytes }: StreamLimits,
): number[] {
  const dropped: number[] = []
  let bytes = places.reduce((sum, { length }) => sum + length, 0)
  for (;;) {
    const [first, second] = places
    if (first === undefined || second === undefined) return dropped
    const isSpare = headSeq - seqOf(second.before) >= maxEvents || bytes - first.length >= maxBytes
    if (!isSpare) return dropped
    bytes -= first.length
    dropped.push(firstPage + dropped.length)
    places.shift()
  }
}

/** Writes pages, before the state that tells of them. */
export async function writePages(
  store: Store,
  keys: StreamKeys,
  { state, places, written }: Draft,
): Promise<void> {
  const { epoch, firstPage } = state
  // A stream may go on for its age, and all of it is kept for as long behind its end.
  const ageMs = 2 * state.ageMs
  const pages = [...written].map(([number, entries]) =>
    store.set(keys.page(epoch, number), toText(toRows(state.before, entries)), ageMs),
  )
  const index = encodeIndex(firstPage, places)
  await Promise.all([
    ...pages,
    ...(pages.length === 0 ? [] : [store.set(keys.index(epoch), index, ageMs)]),
  ])
}

/** Frees what is kept no more; what fails here expires. */
export async function freePages(
  store: Store,
  keys: StreamKeys,
  { state, dropped }: Draft,
): Promise<void> {
  await Promise.allSettled(
    dropped.map((number) => store.set(keys.page(state.epoch, number), '', 1000)),
  )
}

/** The pages of a stream that another process has produced so far. */
export async function loadPages(
  store: Store,
  keys: StreamKeys,
  state: StreamState,
): Promise<Pick<Draft, 'state' | 'places' | 'page'>> {
  const { epoch, page: number } = state
  if (number < state.firstPage) return { state, places: [], page: [] }
  const index = parseIndex(await store.get(keys.index(epoch)))
  const entries = fromRows(fromText(await store.get(keys.page(epoch, number)))) ?? []
  // It may have been written for a state that was not.
  const page = entries.filter(({ id }) => seqOf(id) <= seqOf(state.stored))
  const places = index?.pages.slice(
    state.firstPage - index.firstPage,
    number + 1 - index.firstPage,
  ) ?? [{ before: state.pageBefore, length: lengthOf(page) }]
  return { state, places, page }
}
