import { encodeCursor } from '../core/cursor.js'
import type { EntryId } from '../core/entry-id.js'
import { controlEvents } from '../core/event.js'
import { encodeFields, endBlock } from '../core/wire.js'
import type { Feed } from './feed.js'
import { resetFields } from './reset.js'
import type { Start } from './start.js'

/**
 * The first text of a stream: `stream-open` with the cursor, so that a client that is cut off before
 * its first event resumes too. When the client's position cannot be used, the new cursor comes with
 * the `stream-reset` behind it instead: a client cut off between the two must be told again.
 */
export function openingText(feed: Feed, { positions, reset }: Start, retryMs: number): string {
  const cursor = encodeCursor(feed.encodedNames, (i) => positions[i] as EntryId)
  const open = encodeFields({ event: controlEvents.open, retry: retryMs, data: '{}' })
  if (!reset) return endBlock(open, cursor)
  const names = feed.channels.map(({ name }) => name)
  return `${open}\n${endBlock(resetFields(names, 'invalid'), cursor)}`
}
