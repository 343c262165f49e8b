import { type EntryId, isEntryId } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { quoteName } from '../core/log-names.js'
import { endingOf, isEndId } from '../core/stream-end.js'
import type { EventLog, PageLimit, StoredEvent } from '../log/event-log.js'
import { isSendable } from '../log/intake.js'
import { decodeEntry, type StreamEvent } from './chunk.js'

const page: PageLimit = { maxEvents: 256, maxLength: 262_144 }

/** What waits for a reader, entries and UTF-16 units; it reads on from the log when there is more. */
const maxWaiting = { entries: 256, length: 262_144 }

type Entries = AsyncGenerator<StoredEvent, void, void>

/** Begins to read entries for somebody who may leave. */
export type OpenEntries = (left: AbortSignal) => Entries

/**
 * Reads a stream's entries from a place on, those that come later as well, until its end.
 *
 * @param left - Aborts when nobody wants more: a `return` alone would wait for the next entry.
 * @throws EventStreamError `ERR_STREAM_RESET` when entries after the place cannot be had.
 */
export async function* readEntries(
  log: EventLog,
  channel: string,
  after: EntryId,
  left?: AbortSignal,
): Entries {
  // What is no position would mean something else to a log.
  if (!isEntryId(after)) throw reset(channel, 'unknown')
  let position = after
  let waiting: StoredEvent[] = []
  let waitingLength = 0
  let mayMiss = true
  let suspected: EntryId | undefined
  let wake: () => void = () => undefined
  left?.addEventListener('abort', () => wake(), { once: true })
  const unfollow = await log.follow(channel, {
    append: (entries) => {
      const length = entries.reduce((sum, { data }) => sum + data.length, waitingLength)
      const fits = waiting.length + entries.length <= maxWaiting.entries
      if (waiting.length === 0 || (fits && length <= maxWaiting.length)) {
        waiting.push(...entries)
        waitingLength = length
      } else mayMiss = true
      wake()
    },
    suspect: (head) => {
      if (head === undefined) mayMiss = true
      suspected = head
      wake()
    },
  })
  try {
    while (!left?.aborted) {
      const live = waiting
      waiting = []
      waitingLength = 0
      for (const entry of live) {
        // Known already, or behind a hole.
        if (entry.prevId !== position) {
          mayMiss ||= entry.id !== position
          continue
        }
        position = entry.id
        yield readable(channel, entry)
        if (isEndId(position)) return
      }
      mayMiss ||= suspected !== undefined && suspected !== position
      suspected = undefined
      if (mayMiss) {
        mayMiss = false
        const { entries, gap, head } = await log.read(channel, position, page)
        if (gap !== undefined) throw reset(channel, gap)
        for (const entry of entries) {
          position = entry.id
          yield readable(channel, entry)
          if (isEndId(position)) return
        }
        // Behind the end nothing comes that could wake a reader.
        if (position === head && isEndId(head)) return
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
 * A stream of what is made of the entries that {@link readEntries} gives. Whoever has its end, or leaves while
 * he waits, leaves nothing behind.
 *
 * @param give - Called for each read: enqueues what comes next. False when that was all.
 */
export function fromEntries<Item>(
  open: OpenEntries,
  give: (entries: Entries, controller: ReadableStreamDefaultController<Item>) => Promise<boolean>,
): ReadableStream<Item> {
  const leaving = new AbortController()
  const entries = open(leaving.signal)
  const leave = async () => {
    leaving.abort()
    await entries.return()
  }
  return new ReadableStream<Item>(
    {
      async pull(controller) {
        let isMore = false
        try {
          isMore = await give(entries, controller)
        } finally {
          if (!isMore) await leave()
        }
        if (!isMore) controller.close()
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  )
}

/**
 * A stream of chunks. It ends when the stream has completed.
 *
 * @throws EventStreamError, from a read, `ERR_STREAM_ENDED` when it ended otherwise; what reading throws.
 */
export function toReadable(id: string, open: OpenEntries): ReadableStream<StreamEvent> {
  return fromEntries(open, async (entries, controller) => {
    const { value, done } = await entries.next()
    const ending = value && endingOf(value)
    if (value !== undefined && ending === undefined) {
      controller.enqueue(decoded(id, value))
      return true
    }
    if (done || ending?.state === 'completed') return false
    throw ended(id, ending?.state ?? 'orphaned', ending?.reason)
  })
}

/** Why a stream that has ended is not all that its source would have given. */
export function ended(id: string, state: string, reason?: string): EventStreamError {
  const why = reason === undefined ? '' : ` (${quote(reason)})`
  return new EventStreamError(
    'ERR_STREAM_ENDED',
    `The stream ${quote(id)} is ${state}${why}: what was read of it is not all of it.`,
  )
}

/** An end is one whatever it says. */
function readable(channel: string, entry: StoredEvent): StoredEvent {
  if (isEndId(entry.id) || isSendable(channel, entry)) return entry
  throw reset(channel, 'invalid')
}

/** @throws EventStreamError `ERR_STREAM_RESET` for a chunk that no source has given. */
export function decoded(id: string, entry: StoredEvent): StreamEvent {
  const event = decodeEntry(entry)
  if (event === undefined) throw reset(id, 'invalid')
  return event
}

function reset(channel: string, gap: string): EventStreamError {
  return new EventStreamError(
    'ERR_STREAM_RESET',
    `The stream ${quoteName(channel)} cannot be read on from there: the place is ${gap}. Read it from its beginning.`,
  )
}
