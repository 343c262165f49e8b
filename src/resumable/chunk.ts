import {
  controlEvents,
  type EncodedEvent,
  encodeStreamEvent,
  type NewEvent,
} from '../core/event.js'
import { parseJson } from '../core/json.js'
import type { StoredEvent } from '../log/event-log.js'

/** What a source gives: text, bytes, or an event as it would be published. */
export type Chunk = string | Uint8Array | Omit<NewEvent, 'idempotencyKey'>

const chunkShape = 'A chunk must be a string, a Uint8Array, { event?, data } or { event?, raw }'

/** What a reader gets: one chunk, or the end. */
export interface StreamEvent {
  /** Its position: what to read on after. */
  readonly id: string
  /** Of an event, the name that its source gave it. */
  readonly event: string | undefined
  /** A string where the source gave text, a `Uint8Array` where it gave bytes, and the data of an event. */
  readonly data: unknown
}

/** UTF-16 units of text, or bytes, above which a chunk becomes several entries. */
const maxPiece = 262_144

/**
 * Makes the entries of a chunk: text as a JSON string, bytes as a JSON string in base64 under a name of
 * their own, events as `publishEvent` does.
 *
 * @throws EventStreamError `ERR_EVENT` when it is something else; what `encodeStreamEvent` throws.
 */
export function encodeChunk(chunk: unknown): readonly EncodedEvent[] {
  if (typeof chunk === 'string') {
    return piecesOf(chunk).map((text) => ({ data: JSON.stringify(text) }))
  }
  if (chunk instanceof Uint8Array) return encodeBytes(chunk)
  return [encodeStreamEvent(chunk as NewEvent, chunkShape)]
}

/** @returns undefined for bytes that are none. */
export function decodeEntry({ id, event, data }: StoredEvent): StreamEvent | undefined {
  if (event === controlEvents.bytes) {
    const text = parseJson(data)
    if (typeof text !== 'string') return undefined
    return { id, event: undefined, data: new Uint8Array(Buffer.from(text, 'base64')) }
  }
  return { id, event, data: parseData(data) }
}

/** Of an event that was given as raw text, the text. */
function parseData(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return data
  }
}

function encodeBytes(bytes: Uint8Array): EncodedEvent[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: EncodedEvent[] = []
  for (let at = 0; at < buffer.length || at === 0; at += maxPiece) {
    const text = buffer.toString('base64', at, at + maxPiece)
    entries.push({ event: controlEvents.bytes, data: JSON.stringify(text) })
  }
  return entries
}

/** Never a half of a surrogate pair, unless the source gave one. */
function piecesOf(text: string): string[] {
  if (text.length <= maxPiece) return [text]
  const pieces: string[] = []
  let start = 0
  while (start < text.length) {
    let end = Math.min(start + maxPiece, text.length)
    if (end < text.length && isPair(text, end - 1)) end -= 1
    pieces.push(text.slice(start, end))
    start = end
  }
  return pieces
}

/** Whether the unit at this place is the first half of a pair. */
export function isPair(text: string, index: number): boolean {
  return (text.codePointAt(index) ?? 0) > 0xffff
}
