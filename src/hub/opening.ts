import { encodeCursor } from '../core/cursor.js'
import type { EntryId } from '../core/entry-id.js'
import { controlEvents } from '../core/event.js'
import { encodeFields, endBlock } from '../core/wire.js'
import { resetFields } from './reset.js'
import type { Start } from './start.js'

/**
 * The first text of a stream: `stream-open` with the cursor, so that a client that is cut off before
 * its first event resumes too. When the client's position cannot be used, the new cursor comes with
 * the `stream-reset` behind it instead: a client cut off between the two must be told again.
 */
export function openingText(
  encodedNames: readonly string[],
  { positions, lost }: Start,
  retryMs: number,
): string {
  const cursor = encodeCursor(encodedNames, (i) => positions[i] as EntryId)
  const open = encodeFields({ event: controlEvents.open, retry: retryMs, data: '{}' })
  if (lost.length === 0) return endBlock(open, cursor)
  return `${open}\n${endBlock(resetFields(lost, 'invalid'), cursor)}`
}
