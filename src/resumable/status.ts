import type { EntryId } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { shownName } from '../core/log-names.js'
import { endingOf, isEndId, type StreamEnd } from '../core/stream-end.js'
import type { StreamInfo } from '../log/stream-log.js'

/** How a stream stands. */
export interface StreamStatus {
  readonly id: string
  readonly state: 'active' | StreamEnd
  /** Why it ended, where `stop` was given a reason. */
  readonly reason: string | undefined
  readonly startedAt: Date
  /** The position of its last chunk, or of its end. */
  readonly lastEventId: string
}

/** Where a stream begins, and where it is. */
export interface StreamPlace {
  /** The place before its first chunk. */
  readonly origin: EntryId
  /** Its last chunk, or its end. */
  readonly head: EntryId
  /** Whether it is a job: it has no source. */
  readonly isShared?: boolean | undefined
}

/** A stream that was asked for: this process may be its producer, or somebody else. */
export interface OpenedStream extends StreamPlace {
  readonly id: string
  /** Whether this call has started it. */
  readonly isNew: boolean
  /** Whether it has ended already. */
  readonly hasEnded: boolean
  /** Of one that this call has started: resolves when it has ended and the log has that, if it can. */
  readonly ended: Promise<unknown> | undefined
}

/**
 * A job has no source: it is registered, and any process may append to it.
 *
 * @throws EventStreamError `ERR_STREAM_EXISTS`.
 */
export function checkSourced(id: string, info: Pick<StreamPlace, 'isShared'> | undefined): void {
  if (info?.isShared !== true) return
  throw new EventStreamError(
    'ERR_STREAM_EXISTS',
    `${quote(id)} is the id of a job, which has no source; give streams with a source ids of their own, such as "answer-8" beside "job-8".`,
  )
}

export function opened(name: string, { origin, head }: StreamPlace): OpenedStream {
  return {
    id: shownName(name),
    origin,
    head,
    isNew: false,
    hasEnded: isEndId(head),
    ended: undefined,
  }
}

export function statusOf(id: string, { startedAt, head, end }: StreamInfo): StreamStatus {
  const ending = end && endingOf(end)
  const state = ending?.state ?? 'active'
  const reason = ending?.reason
  return { id, state, reason, startedAt: new Date(startedAt), lastEventId: head }
}
