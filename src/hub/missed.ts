import { encodeChannelName, encodeCursor } from '../core/cursor.js'
import { type EntryId, seqOf } from '../core/entry-id.js'
import { endBlock } from '../core/wire.js'
import type { EventLog } from '../log/event-log.js'
import { readPage } from './ended-streams.js'
import { nextLimit, pageLimit } from './page-limits.js'
import { entryFields, resetFields } from './reset.js'

/** What a client has not got, as far as it fits. */
export interface Missed {
  readonly text: string
  /** Where the client is behind it, one per channel. */
  readonly positions: readonly EntryId[]
  /** Whether that is where the channels were when they were first read, or further. */
  readonly isComplete: boolean
}

export interface MissedOptions {
  /** UTF-8 bytes of the text, as `escape` leaves it. */
  readonly maxBytes: number
  /** What is done to the text before it is sent. */
  readonly escape: (text: string) => string
  /** Whether a first event that is larger than all that fits is sent by itself. */
  readonly mayExceed: boolean
  readonly onError: (error: unknown) => void
  /** Aborts when nobody wants it any more. */
  readonly gone?: AbortSignal | undefined
}

/**
 * Reads what was published in channels behind positions, one channel after the other. A gap becomes
 * a `stream-reset`, as on a stream that is open. What is published meanwhile is not waited for.
 */
export async function readMissed(
  log: Pick<EventLog, 'read'>,
  channels: readonly string[],
  from: readonly EntryId[],
  { maxBytes, escape: escaped, mayExceed, onError, gone }: MissedOptions,
): Promise<Missed> {
  const encodedNames = channels.map(encodeChannelName)
  const positions = [...from]
  let text = ''
  let bytes = 0

  /** @returns False when it does not fit. */
  function add(index: number, id: EntryId, fields: string): boolean {
    const cursor = encodeCursor(encodedNames, (i) => (i === index ? id : (positions[i] as EntryId)))
    const block = escaped(endBlock(fields, cursor))
    bytes += Buffer.byteLength(block)
    if (bytes > maxBytes && (text !== '' || !mayExceed)) return false
    text += block
    positions[index] = id
    return true
  }

  for (const [index, channel] of channels.entries()) {
    let limit = pageLimit
    let target: EntryId | undefined
    for (;;) {
      const after = positions[index] as EntryId
      const { entries, gap, head, end } = await readPage(log, channel, after, limit)
      if (gone?.aborted) return { text, positions, isComplete: false }
      target ??= head
      limit = nextLimit(limit)
      const sent = gap === undefined ? entries : end === undefined ? [] : [end]
      const blocks = sent.map((entry) => ({
        id: entry.id,
        fields: entryFields(channel, entry, onError),
      }))
      if (gap !== undefined) blocks.unshift({ id: head, fields: resetFields([channel], gap) })
      for (const { id, fields } of blocks) {
        if (!add(index, id, fields)) return { text, positions, isComplete: false }
      }
      const isThere = seqOf(positions[index] as EntryId) >= seqOf(target)
      if (blocks.length === 0 || gap !== undefined || isThere) break
    }
  }
  return { text, positions, isComplete: true }
}
