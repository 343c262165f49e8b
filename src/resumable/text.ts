import { endingOf } from '../core/stream-end.js'
import type { StoredEvent } from '../log/event-log.js'
import { isPair } from './chunk.js'
import { decoded, ended, fromEntries, type OpenEntries } from './reader.js'

/** UTF-16 units that a first read gives at most: what is there already comes in one piece. */
const maxBacklog = 1_048_576

/** Leaves out the beginning of a text that comes in pieces, and never a half of a surrogate pair. */
export class Skip {
  #left: number
  /** The first half of a pair whose second half may be where the text is to begin. */
  #held = ''

  /** @param units - UTF-16 units to leave out. */
  constructor(units: number) {
    this.#left = units
  }

  /** @returns What is left of the next piece. */
  rest(piece: string): string {
    if (this.#left === 0 && this.#held === '') return piece
    const text = this.#held + piece
    if (piece === '') return ''
    let start = this.#left + this.#held.length
    this.#left = Math.max(0, start - text.length)
    start = Math.min(start, text.length)
    // Within a pair, or perhaps: then the pair comes as a whole.
    const isWithin = start > 0 && (start < text.length ? isPair(text, start - 1) : isHigh(text))
    const from = isWithin ? start - 1 : start
    this.#held = start === text.length && isWithin ? text.slice(from) : ''
    if (this.#held !== '') return ''
    return text.slice(from)
  }
}

function isHigh(text: string): boolean {
  const unit = text.charCodeAt(text.length - 1)
  return unit >= 0xd800 && unit <= 0xdbff
}

/**
 * The text of a stream, chunk by chunk; what is there already when it is first read, in one piece. It ends
 * when the stream has completed or was stopped.
 *
 * @param ready - How many entries are there, when it is first read.
 * @throws EventStreamError, from a read, `ERR_STREAM_ENDED` when its source failed or its process has died.
 */
export function toText(
  id: string,
  open: OpenEntries,
  skip: number,
  ready: number,
): ReadableStream<string> {
  const rest = new Skip(skip)
  let backlog = ready
  return fromEntries(open, async (entries, controller) => {
    let text = ''
    for (;;) {
      const { value, done } = await entries.next()
      const ending = value && endingOf(value)
      if (done || ending !== undefined) {
        if (text !== '') controller.enqueue(text)
        const state = ending?.state ?? 'orphaned'
        if (state !== 'completed' && state !== 'aborted') throw ended(id, state)
        return false
      }
      backlog -= 1
      text += rest.rest(textOf(id, value as StoredEvent))
      const isWhole = backlog <= 0 || text.length >= maxBacklog
      if (text !== '' && isWhole) {
        controller.enqueue(text)
        return true
      }
    }
  })
}

function textOf(id: string, entry: StoredEvent): string {
  const { data } = decoded(id, entry)
  return typeof data === 'string' ? data : ''
}
