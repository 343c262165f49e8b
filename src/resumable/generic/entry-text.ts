import { type EntryId, formatEntryId, isEntryId, seqOf } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { parseJson } from '../../core/json.js'
import { parseEnding } from '../../core/stream-end.js'
import type { StoredEvent } from '../../log/event-log.js'

/** One entry behind another: the nonce of its id, its data, and its name if it has one. */
type Row = readonly [nonce: number, data: string, event?: string]

/** Entries one behind the other: the id of the place before them, and a row for each. */
export type Rows = readonly [after: EntryId, ...rows: Row[]]

/** @param after - Where they begin, for none. */
export function toRows(after: EntryId, entries: readonly StoredEvent[]): Rows {
  const rows = entries.map(({ id, data, event }): Row => {
    const nonce = Number(id.slice(id.indexOf('-') + 1))
    return event === undefined ? [nonce, data] : [nonce, data, event]
  })
  return [entries[0]?.prevId ?? after, ...rows]
}

/** @returns undefined for what {@link toRows} could not have given. */
export function fromRows(value: unknown): readonly StoredEvent[] | undefined {
  if (!Array.isArray(value)) return undefined
  const [after, ...rows] = value as unknown[]
  if (!isId(after)) return undefined
  const entries: StoredEvent[] = []
  let prevId = after
  for (const row of rows) {
    if (!Array.isArray(row)) return undefined
    const [nonce, data, event] = row as unknown[]
    const id = formatEntryId(seqOf(prevId) + 1, Number(nonce))
    const isEvent = event === undefined || typeof event === 'string'
    if (typeof nonce !== 'number' || !isEntryId(id) || typeof data !== 'string' || !isEvent) {
      return undefined
    }
    entries.push({ id, prevId, event, data })
    prevId = id
  }
  return entries
}

/** @returns undefined for what is no end of a stream. */
export function toEnding({
  event,
  data,
}: {
  event?: unknown
  data?: unknown
}): EncodedEvent | undefined {
  if (typeof event !== 'string' || typeof data !== 'string') return undefined
  return parseEnding({ event, data }) && { event, data }
}

export function isId(value: unknown): value is EntryId {
  return typeof value === 'string' && isEntryId(value)
}

/** In UTF-16 units, as limits count them. */
export function lengthOf(entries: readonly StoredEvent[]): number {
  return entries.reduce((sum, { data, event }) => sum + data.length + (event?.length ?? 0), 0)
}

/**
 * A value as it is stored and sent. With the sign before it, no client takes it for JSON, which some parse by
 * themselves, nor for a number.
 */
export function toText(value: unknown): string {
  return `=${JSON.stringify(value)}`
}

/** @returns undefined for anything else. */
export function fromText(text: string | undefined): unknown {
  return text?.startsWith('=') ? parseJson(text.slice(1)) : undefined
}
