import { type EntryId, formatEntryId, seqOf } from './entry-id.js'
import { EventStreamError } from './errors.js'
import { checkSize, controlEvents, type EncodedEvent } from './event.js'
import { encodeJson } from './json.js'
import { canEnd } from './log-names.js'
import { checkOptionalText } from './options.js'

/**
 * How a stream with one producer ended: `completed`, all was said; `failed`, its source threw;
 * `aborted`, somebody stopped it; `orphaned`, its producer is gone.
 */
export type StreamEnd = 'completed' | 'failed' | 'aborted' | 'orphaned'

/** What the last event of a stream says. */
export interface StreamEnding {
  readonly state: StreamEnd
  /** Why, where the application has said so. */
  readonly reason?: string | undefined
  /** What came of it, where the application has said so: any value that JSON can hold. */
  readonly result?: unknown
  /** The name of the event before it, where that is the result. */
  readonly event?: string | undefined
}

type Fields = { readonly [name in keyof StreamEnding]?: unknown }

export const streamEnds: readonly StreamEnd[] = ['completed', 'failed', 'aborted', 'orphaned']

/** The id of a stream's last event: the one that no other entry has, so that a position tells that it is the end. */
export function endId(head: EntryId): EntryId {
  return formatEntryId(seqOf(head) + 1, endNonce)
}

/** The nonce of last events; logs draw other ones for all others. */
const endNonce = 0

/** Whether a position is behind the last event of a stream that has ended. */
export function isEndId(id: EntryId): boolean {
  return id.endsWith(`-${endNonce}`) && !id.startsWith('0-')
}

/** Whether a position in what a log has under a name is behind the end of a stream. */
export function isEndOf(name: string, id: EntryId): boolean {
  return canEnd(name) && isEndId(id)
}

/** UTF-16 units of the reason of an end. */
const maxReason = 16_384

/**
 * Checks what an application says of an end.
 *
 * @throws EventStreamError `ERR_OPTION` when the reason is no text, or too long; `ERR_DATA` when JSON cannot hold the
 *   result; `ERR_EVENT_TOO_LARGE` when the last event would take more bytes than any event may.
 */
export function checkEnding(ending: StreamEnding, maxEventBytes: number): void {
  checkReason(ending.reason)
  encodeJson('The result of a stream', ending.result)
  checkSize(encodeEnding(ending), maxEventBytes)
}

/** @throws EventStreamError `ERR_OPTION` when the reason is no text, or too long. */
export function checkReason(reason: unknown): void {
  checkOptionalText('The reason', reason)
  if (typeof reason !== 'string' || reason.length <= maxReason) return
  throw new EventStreamError(
    'ERR_OPTION',
    `The reason must have ${maxReason} characters at most, and has ${reason.length}; give a shorter one.`,
  )
}

/** The last event of a stream: `event: stream-end`, `data: {"state":"completed"}`. */
export function encodeEnding({ state, reason, event, result }: StreamEnding): EncodedEvent {
  return { event: controlEvents.end, data: JSON.stringify({ state, reason, event, result }) }
}

/** @returns undefined for an event that is not the end of a stream. */
export function parseEnding({ event, data }: EncodedEvent): StreamEnding | undefined {
  if (event !== controlEvents.end) return undefined
  try {
    const { state, reason, event: name, result } = Object(JSON.parse(data)) as Fields
    if (!(streamEnds as readonly unknown[]).includes(state)) return undefined
    return {
      state: state as StreamEnd,
      ...(typeof reason === 'string' && { reason }),
      ...(typeof name === 'string' && { event: name }),
      ...(result !== undefined && { result }),
    }
  } catch {
    return undefined
  }
}

/** @returns What an entry of a stream says of its end, if its id is that of one; `orphaned` where that is nothing. */
export function endingOf(entry: EncodedEvent & { readonly id: EntryId }): StreamEnding | undefined {
  return isEndId(entry.id) ? (parseEnding(entry) ?? { state: 'orphaned' }) : undefined
}
