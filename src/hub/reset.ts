import { controlEvents } from '../core/event.js'
import { encodeFields } from '../core/wire.js'
import type { Gap, StoredEvent } from '../log/event-log.js'

/**
 * Why a client cannot have what it missed: a gap of the log, or `invalid`, a position that is none
 * or an entry that cannot be sent.
 */
export type ResetReason = Gap | 'invalid'

/** The fields of a `stream-reset` event. */
export function resetFields(channels: readonly string[], reason: ResetReason): string {
  return encodeFields({ event: controlEvents.reset, data: JSON.stringify({ channels, reason }) })
}

/**
 * The fields of an entry. Of one that cannot be sent, since another writer has stored a name that no
 * stream can hold, those of a reset: clients are told what they miss.
 */
export function entryFields(
  channel: string,
  entry: StoredEvent,
  onError: (error: unknown) => void,
): string {
  try {
    return encodeFields(entry)
  } catch (error) {
    onError(error)
    return resetFields([channel], 'invalid')
  }
}
