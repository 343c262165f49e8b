import { EventStreamError, quote } from './errors.js'
import { encodeJson } from './json.js'
import { checkEventName } from './wire.js'

/** An event as an application publishes it. */
export interface NewEvent {
  /**
   * Name that `EventSource` listeners are registered for. Not `stream-open`, `stream-reset`,
   * `stream-error`, `stream-end` or `stream-bytes`, which tell clients about the stream itself. `error` and `open` also run the
   * browser's own handlers of these names.
   * @defaultValue 'message'
   */
  readonly event?: string | undefined
  /**
   * Any value that JSON can hold; absent is sent as `null`.
   */
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

/**
 * Checks an event and makes its payload text, once for all clients.
 *
 * @throws EventStreamError `ERR_EVENT` when it is not an object of the shape above, or its name is
 *   reserved; `ERR_FIELD` when the name cannot be sent; `ERR_DATA` when JSON cannot hold the data
 *   (a cycle, a BigInt, a function).
 */
export function encodeEvent(event: NewEvent): EncodedEvent & { readonly idempotencyKey?: string } {
  checkEventShape(event)
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

/** @throws EventStreamError `ERR_EVENT_TOO_LARGE` when its data has more bytes. */
export function checkSize({ event = 'message', data }: EncodedEvent, maxEventBytes: number): void {
  const bytes = Buffer.byteLength(data)
  if (bytes <= maxEventBytes) return
  throw new EventStreamError(
    'ERR_EVENT_TOO_LARGE',
    `The event ${quote(event)} has ${bytes} bytes of data, and maxEventBytes is ` +
      `${maxEventBytes}; publish a reference to it, or raise the limit.`,
  )
}

/** @throws EventStreamError `ERR_EVENT` when it is no object. */
export function checkEventShape(event: unknown): void {
  if (typeof event === 'object' && event !== null) return
  throw new EventStreamError(
    'ERR_EVENT',
    `The event is ${quote(event)}; publish an object such as { event: 'message', data: … }.`,
  )
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
  return checkEventName(name)
}
