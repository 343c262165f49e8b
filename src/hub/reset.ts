import { controlEvents } from '../core/event.js'
import { shownName } from '../core/log-names.js'
import { encodeFields } from '../core/wire.js'
import type { Gap, StoredEvent } from '../log/event-log.js'
import { isSendable, unreadableEntry } from '../log/intake.js'

/**
 * Why a client cannot have what it missed: a gap of the log, or `invalid`, a position that is none
 * or an entry that cannot be sent.
 */
export type ResetReason = Gap | 'invalid'

/**
 * The fields of a `stream-reset` event.
 *
 * @param names - In the log.
 */
export function resetFields(names: readonly string[], reason: ResetReason): string {
  const channels = names.map(shownName)
  return encodeFields({ event: controlEvents.reset, data: JSON.stringify({ channels, reason }) })
}

/**
 * The fields of an entry. Of one that tells of a loss, and of one that cannot be sent, since another writer has stored
 * it, those of a reset: clients are told what they miss.
 */
export function entryFields(
  channel: string,
  entry: StoredEvent,
  onError: (error: unknown) => void,
): string {
  if (entry.isLoss) return resetFields([channel], 'unknown')
  if (isSendable(channel, entry)) return encodeFields(entry)
  // Whose log has found it has told already.
  if (!entry.isUnreadable) onError(unreadableEntry(channel))
  return resetFields([channel], 'invalid')
}
