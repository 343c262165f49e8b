import { decodeChannelName } from '../../core/cursor.js'
import { type EntryId, isEntryId, seqOf } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { parseJson } from '../../core/json.js'
import type { Appended, NewEntry, StoredEvent } from '../event-log.js'
import { unreadableFrom } from '../intake.js'
import { markOr } from '../loss-marks.js'
import type { Row } from './statements.js'

/** A batch as the function `append` takes it: all text in one buffer, and where each part of it begins. */
export interface PackedEntries {
  readonly at: number[]
  readonly flags: number[]
  readonly payload: Buffer
}

const flag = { key: 1, event: 2, escaped: 4 }

export function packEntries(entries: readonly NewEntry[]): PackedEntries {
  const parts: Buffer[] = []
  const at: number[] = []
  const flags: number[] = []
  let length = 0
  const add = (part: Buffer) => {
    at.push(length)
    parts.push(part)
    length += part.length
  }
  for (const entry of entries) {
    const { event, data, escaped } = escapeTexts(entry)
    const { idempotencyKey } = entry
    flags.push(
      (idempotencyKey === undefined ? 0 : flag.key) +
        (event === undefined ? 0 : flag.event) +
        (escaped ? flag.escaped : 0),
    )
    add(encodeKey(idempotencyKey ?? ''))
    add(Buffer.from(event ?? ''))
    add(Buffer.from(data))
  }
  at.push(length)
  return { at, flags, payload: Buffer.concat(parts, length) }
}

/** Both texts as Postgres takes them: as JSON strings, where one of them has to be. */
export function escapeTexts({ event, data }: EncodedEvent): EncodedEvent & { escaped: boolean } {
  const escaped = !isPlain(data) || (event !== undefined && !isPlain(event))
  if (!escaped) return { event, data, escaped }
  const escapedEvent = event === undefined ? undefined : JSON.stringify(event)
  return { event: escapedEvent, data: JSON.stringify(data), escaped }
}

/** Whether Postgres takes it as it is: it has no NUL, and no halves of characters. */
function isPlain(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** Any text as one that Postgres takes, and no two as the same: a JSON string where it has to be, or looks like one. */
export function storeText(text: string): string {
  return isPlain(text) && !text.startsWith('"') ? text : JSON.stringify(text)
}

/** @returns What {@link storeText} was given; undefined when it was given by nobody. */
export function parseText(stored: unknown): string | undefined {
  if (typeof stored !== 'string' || !stored.startsWith('"')) return textOf(stored)
  return textOf(parseJson(stored))
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** No two keys are the same bytes: no text begins with 0xFF in UTF-8. */
function encodeKey(key: string): Buffer {
  if (key.isWellFormed()) return Buffer.from(key)
  return Buffer.concat([Buffer.of(0xff), Buffer.from(key, 'utf16le')])
}

/** What the function `append` has answered, with the nonces that each try had. */
export function parseAppended(
  row: Row,
  nonces: readonly (readonly number[])[],
): readonly Appended[] {
  const known = new Map<number, readonly string[]>()
  for (const text of (row.known ?? []) as string[]) {
    const [n, id, prevId] = text.split(' ') as [string, string, string]
    known.set(Number(n) - 1, [id, prevId])
  }
  const own = nonces[Number(row.attempt) - 1] ?? []
  let seq = Number(row.first_seq)
  let prevId = `${seq - 1}-${row.prev_nonce}`
  return own.map((nonce, i) => {
    const earlier = known.get(i)
    if (earlier !== undefined) {
      return { id: earlier[0] as EntryId, prevId: earlier[1] as EntryId, duplicate: true }
    }
    const appended = { id: `${seq}-${nonce}`, prevId, duplicate: false }
    prevId = appended.id
    seq += 1
    return appended
  })
}

/** What is read of a channel in one look. */
export interface Look {
  readonly head: EntryId
  /** The entry at the place that was asked for, where it is kept. */
  readonly anchor: EntryId | undefined
  readonly entries: readonly StoredEvent[]
}

/** Beginnings have another nonce. */
export const unknownPlace: EntryId = '0-0'

/** @returns What the function `pages` has answered, for each channel; undefined where there was none. */
export function parseLooks(rows: readonly Row[], count: number): (Look | undefined)[] {
  const looks: (
    | { head: EntryId; anchor: EntryId | undefined; entries: StoredEvent[] }
    | undefined
  )[] = new Array(count).fill(undefined)
  for (const row of rows) {
    const index = Number(row.i) - 1
    looks[index] ??= { head: idOf(row.head) ?? unknownPlace, anchor: undefined, entries: [] }
    const look = looks[index]
    if (row.id === null) continue
    if (row.data === null) {
      look.anchor = row.id as EntryId
      continue
    }
    const entry = parseEntry(row)
    if (entry !== undefined) look.entries.push(entry)
  }
  return looks
}

/**
 * @param row - With id, prev, escaped, event and data of an entry.
 * @returns undefined for one whose place is none.
 */
export function parseEntry(row: Row): StoredEvent | undefined {
  const [id, prevId] = [idOf(row.id), idOf(row.prev)]
  if (id === undefined || prevId === undefined) return undefined
  const decode = (text: unknown) => textOf(row.escaped ? parseJson(String(text)) : text)
  const event = row.event === null ? undefined : decode(row.event)
  const data = decode(row.data)
  const isWhole = data !== undefined && (event === undefined) === (row.event === null)
  return isWhole ? markOr({ id, prevId, event, data }) : unreadableFrom(prevId, id)
}

/** `seq` and nonce. */
export function partsOf(id: EntryId | undefined): readonly (number | null)[] {
  if (id === undefined) return [null, null]
  return [seqOf(id), Number(id.slice(id.indexOf('-') + 1))]
}

/** Of a name as it is stored. */
export function channelOf(name: string): string {
  return decodeChannelName(name) ?? name
}

export function idOf(value: unknown): EntryId | undefined {
  return typeof value === 'string' && isEntryId(value) ? value : undefined
}

/** Within one batch a key counts once. `indexes` has the place of each entry in `unique`. */
export function withoutRepetitions(entries: readonly NewEntry[]): {
  readonly unique: readonly NewEntry[]
  readonly indexes: readonly number[]
} {
  const unique: NewEntry[] = []
  const indexOfKey = new Map<string, number>()
  const indexes = entries.map((entry) => {
    const { idempotencyKey } = entry
    const earlier = idempotencyKey === undefined ? undefined : indexOfKey.get(idempotencyKey)
    if (earlier !== undefined) return earlier
    unique.push(entry)
    const index = unique.length - 1
    if (idempotencyKey !== undefined) indexOfKey.set(idempotencyKey, index)
    return index
  })
  return { unique, indexes }
}
