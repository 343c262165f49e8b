import { EventStreamError, quote } from './errors.js'

/** The fields of one `text/event-stream` block. `data` is text; JSON is made before it gets here. */
export interface Block {
  /** Event name. Absent means `message`. */
  readonly event?: string | undefined
  /** Payload. Line breaks of all three kinds become separate `data:` lines; clients see `\n`. */
  readonly data: string
  /** The cursor. Absent: the client keeps the last one it saw. */
  readonly id?: string | undefined
  /** Milliseconds a client waits before it reconnects. */
  readonly retry?: number | undefined
}

const breaksField = /[\r\n\0]/
const lineBreak = /\r\n|\r|\n/

/**
 * Encodes `event`, `retry` and `data`: a block without its id and without the blank line that ends
 * it, so that the same text serves every cursor it is sent with.
 *
 * @returns `event: tick\ndata: {"n":1}\n`.
 * @throws EventStreamError `ERR_FIELD` as {@link encodeBlock}.
 */
export function encodeFields({ event, retry, data }: Omit<Block, 'id'>): string {
  let text = ''
  if (event !== undefined) text += `event: ${checkEventName(event)}\n`
  if (retry !== undefined) text += encodeRetry(retry)
  return `${text}${encodeLines('data: ', data)}`
}

/**
 * Ends what {@link encodeFields} began. The id comes last, because clients exist that take the id
 * of a block they never got the end of.
 *
 * @throws EventStreamError `ERR_FIELD` when the id holds CR, LF or NUL.
 */
export function endBlock(fields: string, id: string): string {
  return `${fields}id: ${checkField('id', id)}\n\n`
}

/**
 * Encodes one `text/event-stream` block.
 *
 * @returns Text that ends in exactly one blank line: `event: tick\ndata: {"n":1}\nid: 4-7781\n\n`.
 * @throws EventStreamError `ERR_FIELD` when the event name or id holds CR, LF or NUL, the event
 *   name is empty, or `retry` is not a whole number of milliseconds. A line break would start a
 *   field of the publisher's choosing in every browser; browsers ignore an id with NUL.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function encodeBlock(block: Block): string {
  const fields = encodeFields(block)
  return block.id === undefined ? `${fields}\n` : endBlock(fields, block.id)
}

/**
 * Encodes a comment, which clients skip.
 *
 * @returns Text that ends in one line end and not in a blank line: `:\n` for an empty comment. A
 *   blank line makes some clients deliver an empty event.
 */
export function encodeComment(text: string): string {
  return encodeLines(text === '' ? ':' : ': ', text)
}

/**
 * A lone `retry` field: takes effect at once, even when the stream ends right behind it.
 *
 * @throws EventStreamError `ERR_FIELD` when it is not a whole number of milliseconds.
 */
export function encodeRetry(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms < 0) {
    throw new EventStreamError(
      'ERR_FIELD',
      `retry is ${quote(ms)}; it must be a whole number of milliseconds, 0 or more.`,
    )
  }
  return `retry: ${ms}\n`
}

function encodeLines(prefix: string, text: string): string {
  // JSON has no raw line breaks, so this is the path of nearly every event.
  if (!text.includes('\n') && !text.includes('\r')) return `${prefix}${text}\n`
  return text
    .split(lineBreak)
    .map((line) => `${prefix}${line}\n`)
    .join('')
}

/** @throws EventStreamError `ERR_FIELD` when it is empty, or holds CR, LF or NUL. */
export function checkEventName(name: string): string {
  if (name === '') {
    throw new EventStreamError('ERR_FIELD', "The event name is empty; leave it out for 'message'.")
  }
  return checkField('event name', name)
}

function checkField(name: string, value: string): string {
  if (breaksField.test(value)) {
    throw new EventStreamError(
      'ERR_FIELD',
      `The ${name} ${quote(value)} holds CR, LF or NUL; remove them.`,
    )
  }
  return value
}
