import { encodeChannelName } from '../../core/cursor.js'
import type { EntryId } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { isEndId } from '../../core/stream-end.js'
import type { StoredEvent } from '../../log/event-log.js'
import type { StreamInfo } from '../../log/stream-log.js'
import { fromRows, fromText, isId, toEnding, toRows, toText } from './entry-text.js'

/** Where a stream is in the store. */
export interface StreamKeys {
  /** Counts who wants to be its producer. */
  readonly claim: string
  readonly state: string
  /** The pub/sub channel of what is produced. */
  readonly live: string
  /** Counts who wants to end it, until it holds the end. */
  end(epoch: string): string
  /** Where its pages begin. */
  index(epoch: string): string
  page(epoch: string, number: number): string
}

export function streamKeys(prefix: string, channel: string): StreamKeys {
  const base = `${prefix}:${encodeChannelName(channel)}`
  return {
    claim: `${base}:claim`,
    state: `${base}:state`,
    live: `${base}:live`,
    end: (epoch) => `${base}:${epoch}:end`,
    index: (epoch) => `${base}:${epoch}:index`,
    page: (epoch, number) => `${base}:${epoch}:${number}`,
  }
}

/**
 * How a stream stands, and its last entries: one value, so that both change at once. Entries before those are
 * in pages.
 */
export interface StreamState {
  readonly token: string
  /** Tells its pages from those of an earlier stream of the same name. */
  readonly epoch: string
  readonly origin: EntryId
  readonly startedAt: number
  readonly leaseMs: number
  readonly ageMs: number
  /** Grows whenever its producer was heard of. */
  readonly renewals: number
  /** The place before the first entry that is kept. */
  readonly before: EntryId
  /** The numbers of the first and the last page that is kept; `page` may grow. */
  readonly firstPage: number
  readonly page: number
  /** The place before the last page. */
  readonly pageBefore: EntryId
  /** The last entry that is in a page. */
  readonly stored: EntryId
  /** What comes behind it. An end is always there. */
  readonly tail: readonly StoredEvent[]
}

export function headOf({ tail, stored }: StreamState): EntryId {
  return tail.at(-1)?.id ?? stored
}

export function isEnded(state: StreamState): boolean {
  return isEndId(headOf(state))
}

export function infoOf(state: StreamState): StreamInfo {
  const { origin, startedAt, tail } = state
  return { origin, head: headOf(state), startedAt, end: isEnded(state) ? tail.at(-1) : undefined }
}

/** A stream with one more entry, its last. */
export function withEnd(state: StreamState, id: EntryId, ending: EncodedEvent): StreamState {
  const { event, data } = ending
  return { ...state, tail: [...state.tail, { id, prevId: headOf(state), event, data }] }
}

export function encodeState(state: StreamState): string {
  return toText({ ...state, tail: toRows(state.stored, state.tail) })
}

const numbers = ['startedAt', 'leaseMs', 'ageMs', 'renewals', 'firstPage', 'page'] as const
const ids = ['origin', 'before', 'pageBefore', 'stored'] as const

/** @returns undefined for what is no state. */
export function parseState(text: string | undefined): StreamState | undefined {
  const state = Object(fromText(text)) as Record<keyof StreamState, unknown>
  const tail = fromRows(state.tail)
  const isState =
    typeof state.token === 'string' &&
    typeof state.epoch === 'string' &&
    numbers.every((name) => Number.isSafeInteger(state[name])) &&
    ids.every((name) => isId(state[name])) &&
    (tail?.[0]?.prevId ?? state.stored) === state.stored
  return isState && tail !== undefined ? ({ ...state, tail } as StreamState) : undefined
}

/** What decides how a stream ends, and who has decided. */
export interface EndMark extends EncodedEvent {
  readonly by: string
}

export function encodeMark({ by, event, data }: EndMark): string {
  return toText([by, data, event])
}

/** @returns undefined for a number, as which it begins, and for what is no mark. */
export function parseMark(text: string | undefined): EndMark | undefined {
  const value = fromText(text)
  if (!Array.isArray(value)) return undefined
  const [by, data, event] = value as unknown[]
  const ending = toEnding({ event, data })
  return typeof by === 'string' && ending ? { by, ...ending } : undefined
}

/** One page, in the index. */
export interface PagePlace {
  readonly before: EntryId
  /** UTF-16 units of its payload. */
  readonly length: number
}

export function encodeIndex(firstPage: number, pages: readonly PagePlace[]): string {
  return toText([firstPage, ...pages.map(({ before, length }) => [before, length])])
}

export interface PageIndex {
  readonly firstPage: number
  readonly pages: readonly PagePlace[]
}

export function parseIndex(text: string | undefined): PageIndex | undefined {
  const value = fromText(text)
  if (!Array.isArray(value)) return undefined
  const [firstPage, ...rows] = value as unknown[]
  const pages = rows.map((row): PagePlace | undefined => {
    const [before, length] = Array.isArray(row) ? (row as unknown[]) : []
    return isId(before) && Number.isSafeInteger(length)
      ? { before, length: Number(length) }
      : undefined
  })
  if (!Number.isSafeInteger(firstPage) || pages.includes(undefined)) return undefined
  return { firstPage: Number(firstPage), pages: pages as PagePlace[] }
}

/** A message: what was produced, or nothing but the place where it ends when that is much. */
export function encodeHint(entries: readonly StoredEvent[], head: EntryId): string {
  return toText(toRows(head, entries))
}
