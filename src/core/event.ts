import { didYouMean } from './did-you-mean.js'
import { EventStreamError, quote } from './errors.js'
import { encodeJson } from './json.js'
import { checkEventName } from './wire.js'

/** An event as an application publishes it: with one of `event`, `data` and `raw` at least, and no other keys. */
export interface NewEvent {
  /**
   * Name that `EventSource` listeners are registered for. Not `stream-open`, `stream-reset`,
   * `stream-error`, `stream-end` or `stream-bytes`, which tell clients about the stream itself. `error` and `open` also run the
   * browser's own handlers of these names. At most 255 bytes.
   * @defaultValue 'message'
   */
  readonly event?: string | undefined
  /** Any value that JSON can hold. Without `data` and `raw`, `null` is sent. */
  readonly data?: unknown
  /**
   * Text that is sent as it is, instead of `data`; it may have several lines. CR and CRLF arrive as
   * LF, which is how `text/event-stream` defines it.
   */
  readonly raw?: string | undefined
  /**
   * 1–255 characters that name this event in its channel. Publishing the same key again while the
   * first event is in the log appends nothing and resolves to the first one's id.
   */
  readonly idempotencyKey?: string | undefined
}

/** An event that is checked, and whose payload is text: what logs store and the wire carries. */
export interface EncodedEvent {
  readonly event?: string | undefined
  readonly data: string
}

/** Bytes that one event may take on the wire, unless an option says otherwise. */
export const defaultMaxEventBytes = 1_048_576

/** Event names that this package sends itself. */
export const controlEvents = {
  open: 'stream-open',
  reset: 'stream-reset',
  error: 'stream-error',
  end: 'stream-end',
  /** Of streams, whose sources give bytes as well. */
  bytes: 'stream-bytes',
  keepAlive: 'keep-alive',
} as const

const reserved: ReadonlySet<string> = new Set([
  controlEvents.open,
  controlEvents.reset,
  controlEvents.error,
  controlEvents.end,
  controlEvents.bytes,
])

const keys = ['event', 'data', 'raw', 'idempotencyKey']

/** What others call a key, and what they are told. */
const otherNames: Readonly<Record<string, string>> = {
  type: 'did you mean "event"?',
  name: 'did you mean "event"?',
  payload: 'did you mean "data"?',
  id: 'the log gives ids, and idempotencyKey is a name of your own.',
}

/** What an event is, for people. */
const eventShape = 'An event must be { event?, data } or { event?, raw }'

/**
 * Checks an event and makes its payload text, once for all clients.
 *
 * @param shape - What it must be, for people.
 * @throws EventStreamError `ERR_EVENT` when it is not an object of the shape above, or its name is
 *   reserved; `ERR_FIELD` when the name cannot be sent; `ERR_DATA` when JSON cannot hold the data
 *   (a cycle, a BigInt, a function).
 */
export function encodeEvent(
  event: NewEvent,
  shape = eventShape,
): EncodedEvent & { readonly idempotencyKey?: string } {
  checkEventShape(event, shape)
  const { event: name, data, raw, idempotencyKey } = event
  const encoded = {
    event: checkName(name),
    data: raw === undefined ? encodeJson('The data', data) : raw,
  }
  if (raw !== undefined && (typeof raw !== 'string' || data !== undefined)) {
    throw new EventStreamError(
      'ERR_EVENT',
      'raw must be a string, and takes the place of data: give one of the two.',
    )
  }
  if (idempotencyKey === undefined) return encoded
  if (typeof idempotencyKey !== 'string' || !/^.{1,255}$/su.test(idempotencyKey)) {
    throw new EventStreamError(
      'ERR_EVENT',
      `idempotencyKey is ${quote(idempotencyKey)}; give a string of 1 to 255 characters.`,
    )
  }
  return { ...encoded, idempotencyKey }
}

/** @throws EventStreamError `ERR_EVENT_TOO_LARGE` when it takes more bytes on the wire. */
export function checkSize(event: EncodedEvent, maxEventBytes: number): void {
  const bytes = wireBytes(event)
  if (bytes <= maxEventBytes) return
  throw new EventStreamError(
    'ERR_EVENT_TOO_LARGE',
    `The event ${quote(event.event ?? 'message')} takes ${bytes} bytes on the wire, and maxEventBytes is ` +
      `${maxEventBytes}; publish a reference to it, or raise the limit.`,
  )
}

/** UTF-8 bytes of an event's `event` and `data` lines, as `encodeFields` makes them. */
export function wireBytes({ event, data }: EncodedEvent): number {
  const name = event === undefined ? 0 : eventLine + Buffer.byteLength(event)
  const bytes = name + dataLine + Buffer.byteLength(data)
  // JSON has no raw line breaks.
  if (!data.includes('\n') && !data.includes('\r')) return bytes
  let breaks = 0
  let pairs = 0
  for (let i = 0; i < data.length; i++) {
    const unit = data.charCodeAt(i)
    if (unit === lineFeed && data.charCodeAt(i - 1) === carriageReturn) pairs += 1
    else if (unit === lineFeed || unit === carriageReturn) breaks += 1
  }
  // The break is the line end of the line before; of two it is one.
  return bytes + breaks * (dataLine - 1) - pairs
}

/** Of `event: ` and its line end. */
const eventLine = 8
/** Of `data: ` and its line end. */
const dataLine = 7
const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * Encodes an event of a stream, whose entries are numbered by its producer.
 *
 * @throws EventStreamError as {@link encodeEvent}; `ERR_EVENT` when it has an idempotency key.
 */
export function encodeStreamEvent(event: NewEvent, shape?: string): EncodedEvent {
  const { idempotencyKey, ...encoded } = encodeEvent(event, shape)
  if (idempotencyKey === undefined) return encoded
  throw new EventStreamError(
    'ERR_EVENT',
    'An event of a stream has no idempotencyKey: only publishEvent appends once what it is given twice.',
  )
}

/**
 * Refuses what would lose something on its way: an event is what it has, and nothing else.
 *
 * @throws EventStreamError `ERR_EVENT` unless it is an object with one of `event`, `data` and `raw`, and no unknown key.
 */
export function checkEventShape(event: unknown, shape = eventShape): void {
  if (typeof event !== 'object' || event === null) throw noEvent(shape, event)
  const { event: name, raw } = event as NewEvent
  const isEvent = 'data' in event || name !== undefined || raw !== undefined
  // Lists and bytes, which have a key for each.
  const isPlain = Object.prototype.toString.call(event) === '[object Object]'
  if (!isEvent && !isPlain) throw noEvent(shape, event)
  for (const key of Object.keys(event)) {
    // What is undefined is not lost: classes of events have such fields.
    if (keys.includes(key) || (event as Record<string, unknown>)[key] === undefined) continue
    throw unknownKey(shape, key)
  }
  if (!isEvent)
    throw new EventStreamError('ERR_EVENT', `${shape}, got an object without any of them.`)
}

function unknownKey(shape: string, key: string): EventStreamError {
  const meant = didYouMean(key, keys)
  const other = Object.hasOwn(otherNames, key) ? otherNames[key] : undefined
  const hint = other ?? (meant === undefined ? undefined : `did you mean ${quote(meant)}?`)
  return new EventStreamError(
    'ERR_EVENT',
    `${shape}, got the key ${quote(key)}${hint === undefined ? '.' : `; ${hint}`} ` +
      'To send the object itself, give { data: object }.',
  )
}

function noEvent(shape: string, value: unknown): EventStreamError {
  const isText = typeof value === 'string' || ArrayBuffer.isView(value)
  const fix = isText
    ? 'To send text, give { raw: text }.'
    : 'To send a value, give { data: value }.'
  return new EventStreamError('ERR_EVENT', `${shape}, got ${quote(value)}. ${fix}`)
}

/** @throws EventStreamError `ERR_EVENT` when an application cannot use the name; `ERR_FIELD` when it cannot be sent. */
export function checkName(name: unknown): string | undefined {
  if (name === undefined || name === null) return undefined
  if (typeof name !== 'string') {
    throw new EventStreamError('ERR_EVENT', `The event name is ${quote(name)}; give a string.`)
  }
  if (reserved.has(name)) {
    throw new EventStreamError(
      'ERR_EVENT',
      `The event name '${name}' tells clients about the stream itself; choose another one.`,
    )
  }
  // No name that short has more.
  const bytes = name.length * 3 <= maxNameBytes ? 0 : Buffer.byteLength(name)
  if (bytes > maxNameBytes) {
    throw new EventStreamError(
      'ERR_FIELD',
      `The event name ${quote(name)} must have ${maxNameBytes} bytes at most, got ${bytes}; put the rest into data.`,
    )
  }
  return checkEventName(name)
}

const maxNameBytes = 255
