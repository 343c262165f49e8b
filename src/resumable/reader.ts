import type { EntryId } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { isEndId, parseEnding } from '../core/stream-end.js'
import type { EventLog, PageLimit, StoredEvent } from '../log/event-log.js'
import { decodeEntry, type StreamEvent } from './chunk.js'

const page: PageLimit = { maxEvents: 256, maxLength: 262_144 }

/** Entries that wait for a reader; it reads on from the log when there are more. */
const maxWaiting = 256

/**
 * Reads a stream's entries from a place on, those that come later as well, until its end.
 *
 * @throws EventStreamError `ERR_STREAM_RESET` when entries after the place cannot be had.
 */
export async function* readEntries(
  log: EventLog,
  channel: string,
  after: EntryId,
): AsyncGenerator<StoredEvent, void, void> {
  let position = after
  let waiting: StoredEvent[] = []
  let mayMiss = true
  let wake: () => void = () => undefined
  const unfollow = await log.follow(channel, {
    append: (entries) => {
      if (waiting.length + entries.length <= maxWaiting) waiting.push(...entries)
      else mayMiss = true
      wake()
    },
    suspect: () => {
      mayMiss = true
      wake()
    },
  })
  try {
    for (;;) {
      const live = waiting
      waiting = []
      for (const entry of live) {
        // Known already, or behind a hole.
        if (entry.prevId !== position) {
          mayMiss ||= entry.id !== position
          continue
        }
        position = entry.id
        yield entry
        if (isEndId(position)) return
      }
      if (mayMiss) {
        mayMiss = false
        const { entries, gap, head } = await log.read(channel, position, page)
        if (gap !== undefined) throw reset(channel, gap)
        for (const entry of entries) {
          position = entry.id
          yield entry
          if (isEndId(position)) return
        }
        mayMiss ||= entries.length > 0 && position !== head
      } else if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    unfollow()
  }
}

/**
 * A stream of what {@link readEntries} gives. It ends when the stream has completed.
 *
 * @throws EventStreamError, from a read, `ERR_STREAM_ENDED` when it ended otherwise; what reading throws.
 */
export function toReadable(
  channel: string,
  entries: AsyncGenerator<StoredEvent, void, void>,
): ReadableStream<StreamEvent> {
  return new ReadableStream<StreamEvent>(
    {
      async pull(controller) {
        const { value, done } = await entries.next()
        const ending = value && parseEnding(value)
        if (value !== undefined && ending === undefined) controller.enqueue(decodeEntry(value))
        else if (done || ending?.state === 'completed') controller.close()
        else throw ended(channel, ending?.state ?? 'orphaned', ending?.reason)
      },
      async cancel() {
        await entries.return()
      },
    },
    { highWaterMark: 0 },
  )
}

/** Why a stream that has ended is not all that its source would have given. */
export function ended(channel: string, state: string, reason?: string): EventStreamError {
  const why = reason === undefined ? '' : ` (${quote(reason)})`
  return new EventStreamError(
    'ERR_STREAM_ENDED',
    `The stream ${quote(channel)} is ${state}${why}: what was read of it is not all of it.`,
  )
}

function reset(channel: string, gap: string): EventStreamError {
  return new EventStreamError(
    'ERR_STREAM_RESET',
    `The stream ${quote(channel)} cannot be read on from there: the place is ${gap}. Read it from its beginning.`,
  )
}
