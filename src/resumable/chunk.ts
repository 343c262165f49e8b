import {
  checkSize,
  controlEvents,
  type EncodedEvent,
  encodeStreamEvent,
  type NewEvent,
  wireBytes,
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
 * Makes the entries of a chunk, one at a time: text as a JSON string, bytes as a JSON string in base64 under a name of
 * their own, events as `publishEvent` does. None takes more bytes on the wire than an event may.
 *
 * @throws EventStreamError `ERR_EVENT` when it is something else; `ERR_EVENT_TOO_LARGE` for an event that takes more;
 *   what `encodeStreamEvent` throws.
 */
export function* encodeChunk(chunk: unknown, maxEventBytes: number): Generator<EncodedEvent> {
  if (typeof chunk === 'string') yield* encodeText(chunk, maxEventBytes)
  else if (chunk instanceof Uint8Array) yield* encodeBytes(chunk, maxEventBytes)
  else {
    const event = encodeStreamEvent(chunk as NewEvent, chunkShape)
    checkSize(event, maxEventBytes)
    yield event
  }
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

function* encodeBytes(bytes: Uint8Array, maxEventBytes: number): Generator<EncodedEvent> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const room = maxEventBytes - wireBytes(bytesEvent(''))
  // Four characters for each three bytes.
  const size = Math.max(1, Math.min(maxPiece, Math.floor(room / 4) * 3))
  for (let at = 0; at < buffer.length || at === 0; at += size) {
    const event = bytesEvent(buffer.toString('base64', at, at + size))
    checkSize(event, maxEventBytes)
    yield event
  }
}

function bytesEvent(text: string): EncodedEvent {
  return { event: controlEvents.bytes, data: JSON.stringify(text) }
}

function* encodeText(text: string, maxEventBytes: number): Generator<EncodedEvent> {
  // Each unit takes a byte at least, and up to six where JSON escapes it.
  let size = Math.max(1, Math.min(maxPiece, maxEventBytes))
  let start = 0
  do {
    let piece = pieceAt(text, start, size)
    let event = { data: JSON.stringify(piece) }
    while (size > 1 && wireBytes(event) > maxEventBytes) {
      size = Math.ceil(size / 2)
      piece = pieceAt(text, start, size)
      event = { data: JSON.stringify(piece) }
    }
    checkSize(event, maxEventBytes)
    yield event
    start += piece.length
  } while (start < text.length)
}

/** Never ends within a surrogate pair. */
function pieceAt(text: string, start: number, size: number): string {
  let end = Math.min(start + size, text.length)
  if (end < text.length && isPair(text, end - 1)) end += end - 1 > start ? -1 : 1
  return text.slice(start, end)
}

/** Whether the unit at this place is the first half of a pair. */
export function isPair(text: string, index: number): boolean {
  return (text.codePointAt(index) ?? 0) > 0xffff
}
