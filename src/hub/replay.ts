import { encodeCursor } from '../core/cursor.js'
import { type EntryId, seqOf } from '../core/entry-id.js'
import { endBlock } from '../core/wire.js'
import type { PageLimit } from '../log/event-log.js'
import type { ActiveChannel, EncodedPage } from './active-channel.js'
import type { Connection } from './connection.js'
import { nextLimit, pageLimit, partOf } from './page-limits.js'
import { resetFields } from './reset.js'
import { Frame } from './sink.js'

/**
 * The hand-over from replay to live: reads each channel of a connection from where its client is
 * until it is where the channel is, and joins the live connections in the same turn of the event
 * loop, so that no event falls between the two or comes by both ways.
 *
 * It does not wait for publishers to pause: channels keep what comes while the log is read, and pages
 * grow until they hold more than is published during a read.
 *
 * Order is kept within a channel; between channels replay makes no promise.
 */
export async function catchUp(connection: Connection): Promise<void> {
  const { observer, feed } = connection
  const { channels } = feed
  const startedAt = performance.now()
  let replayed: number | undefined
  let limit = pageLimit
  hold(channels)
  try {
    for (;;) {
      const behind = indexesBehind(connection)
      if (behind.length === 0) break
      const events = await replayPages(connection, behind, partOf(limit, behind.length))
      if (replayed === undefined) observer.counters.replays += 1
      replayed = (replayed ?? 0) + events
      limit = connection.full ? pageLimit : nextLimit(limit)
      if (connection.full && connection.isOpen()) await drained(connection)
      if (!connection.isOpen()) return
    }
    if (!connection.isOpen()) return
    if (replayed !== undefined) observer.replayed(connection, replayed, startedAt)
    if (feed.isOver) connection.end()
    else connection.goLive()
  } finally {
    release(channels)
  }
}

/** Channels keep nothing for a client that takes its time. */
async function drained(connection: Connection): Promise<void> {
  const { channels } = connection.feed
  release(channels)
  await connection.whenDrained()
  hold(channels)
}

/** Channels whose live position is not that of the connection. */
function indexesBehind({ feed, positions }: Connection): readonly number[] {
  const behind: number[] = []
  for (const [i, { position }] of feed.channels.entries()) {
    if (position !== positions[i]) behind.push(i)
  }
  return behind
}

/**
 * Reads a page of each of these channels, all at once, and writes them.
 *
 * @returns How many events were written.
 */
async function replayPages(
  connection: Connection,
  behind: readonly number[],
  limit: PageLimit,
): Promise<number> {
  const { feed, positions } = connection
  const pages = await Promise.all(
    behind.map(async (index) => {
      const channel = feed.channels[index] as ActiveChannel
      const [page] = await Promise.all([
        channel.read(positions[index] as EntryId, limit),
        channel.locate(),
      ])
      return page
    }),
  )
  let events = 0
  const ahead: ActiveChannel[] = []
  for (const [i, index] of behind.entries()) {
    if (!connection.isOpen()) return events
    const page = pages[i] as EncodedPage
    events += writePage(connection, index, page)
    const channel = feed.channels[index] as ActiveChannel
    if (isAhead(channel, connection.positions[index] as EntryId, page)) ahead.push(channel)
  }
  if (ahead.length > 0) await Promise.all(ahead.map((channel) => channel.resync()))
  return events
}

/**
 * Whether a client has seen, by way of another process or of the log, what the channel has not been told of: to go on
 * from the live position would repeat it.
 */
function isAhead(channel: ActiveChannel, id: EntryId, { entries, gap }: EncodedPage): boolean {
  if (channel.knows(id)) return false
  const isEnd = entries.length === 0 && gap === undefined
  return isEnd || seqOf(id) >= seqOf(channel.position)
}

/** @returns How many events were written. */
function writePage(
  connection: Connection,
  index: number,
  { entries, gap, head }: EncodedPage,
): number {
  const { observer, feed } = connection
  const { name } = feed.channels[index] as ActiveChannel
  if (gap !== undefined) {
    connection.positions[index] = head
    observer.reset([name], gap, 1)
    write(connection, endBlock(resetFields([name], gap), cursorOf(connection)))
    return 0
  }
  let text = ''
  let events = 0
  for (const { id, fields, isLoss } of entries) {
    connection.positions[index] = id
    text += endBlock(fields, cursorOf(connection))
    if (isLoss) observer.reset([name], 'unknown', 1)
    else events += 1
  }
  observer.counters.replayedEvents += events
  observer.counters.deliveries += events
  if (text !== '') write(connection, text)
  return events
}

function hold(channels: readonly ActiveChannel[]): void {
  for (const channel of channels) channel.hold()
}

function release(channels: readonly ActiveChannel[]): void {
  for (const channel of channels) channel.release()
}

function write(connection: Connection, text: string): void {
  connection.write(new Frame(text), performance.now())
}

function cursorOf({ feed, positions }: Connection): string {
  return encodeCursor(feed.encodedNames, (i) => positions[i] as EntryId)
}
