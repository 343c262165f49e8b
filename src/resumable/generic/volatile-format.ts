import { encodeChannelName } from '../../core/cursor.js'
import type { EntryId } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { encodeEnding, endId, isEndId, parseEnding } from '../../core/stream-end.js'
import type { Page, ReadFrom } from '../../log/event-log.js'
import type { StreamInfo } from '../../log/stream-log.js'
import { originOf } from './streams-only.js'

/** Where a stream is in the store. */
export interface VolatileKeys {
  /** Counts who wants to be its producer, until it says that the stream has ended. */
  readonly key: string
  /** The pub/sub channel on which its producer is asked. */
  readonly ask: string
}

export function volatileKeys(prefix: string, channel: string): VolatileKeys {
  const key = `${prefix}:${encodeChannelName(channel)}`
  return { key, ask: `${key}:ask` }
}

const done = 'DONE'
const completed = encodeEnding({ state: 'completed' })
const orphaned = encodeEnding({ state: 'orphaned' })

/** What is left of a stream in the store: `DONE`, and how it ended unless it was completed. */
export function encodeDone({ data }: EncodedEvent): string {
  return data === completed.data ? done : `${done} ${data}`
}

/**
 * @returns The end that is left of a stream, which is `orphaned` where it cannot be read; undefined while it is
 *   produced.
 */
export function parseDone(value: string): EncodedEvent | undefined {
  if (!value.startsWith(done)) return undefined
  const ending = { event: completed.event, data: value.slice(done.length + 1) }
  if (ending.data === '') return completed
  return parseEnding(ending) === undefined ? orphaned : ending
}

/** How a stream stands of which nothing is known but its end. */
export function doneInfo(channel: string, { event, data }: EncodedEvent): StreamInfo {
  const origin = originOf(channel)
  const end = { id: endId(origin), prevId: origin, event, data }
  return { origin, head: end.id, startedAt: 0, end }
}

/**
 * What can be read of a stream of which nothing but its end is left.
 *
 * @param known - The position behind which nothing else is missing, if there is one.
 */
export function restPage({ head, end }: StreamInfo, from: ReadFrom, known?: EntryId): Page {
  const isBehind = typeof from === 'string' && isEndId(from)
  if (isBehind || end === undefined) return { entries: [], gap: undefined, head }
  return { entries: [end], gap: from === known ? undefined : 'unknown', head }
}
