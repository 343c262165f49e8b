import type { EntryId } from '../core/entry-id.js'
import { isEndOf } from '../core/stream-end.js'
import type { EventLog, Page, PageLimit, StoredEvent } from '../log/event-log.js'

const onePlace = { maxEvents: 1, maxLength: 1 }

/** A page whose `head`, where it has a gap, is where its reader goes on: in a stream that has ended, before the end. */
export interface PageBeforeEnd extends Page {
  /** Behind the gap. */
  readonly end?: StoredEvent | undefined
}

/** Reads a page. Everybody gets the end of a stream, whatever else they miss. */
export async function readPage(
  log: Pick<EventLog, 'read'>,
  channel: string,
  after: EntryId,
  limit: PageLimit,
): Promise<PageBeforeEnd> {
  const page = await log.read(channel, after, limit)
  if (page.gap === undefined) return page
  const end = await endAt(log, channel, page.head)
  return end === undefined ? page : { ...page, head: end.prevId, end }
}

/** Where a client begins whose position is none, by the head of the log. */
export async function placeAt(
  log: Pick<EventLog, 'read'>,
  channel: string,
  head: EntryId,
): Promise<EntryId> {
  return (await endAt(log, channel, head))?.prevId ?? head
}

/** The end of a stream, where that is its head, and kept. */
async function endAt(
  log: Pick<EventLog, 'read'>,
  channel: string,
  head: EntryId,
): Promise<StoredEvent | undefined> {
  if (!isEndOf(channel, head)) return undefined
  const { entries } = await log.read(channel, { last: 1 }, onePlace)
  return entries.find(({ id }) => id === head)
}
