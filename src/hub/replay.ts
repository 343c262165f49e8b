import { encodeCursor } from '../core/cursor.js'
import type { EntryId } from '../core/entry-id.js'
import { endBlock } from '../core/wire.js'
import type { ActiveChannel, EncodedPage } from './active-channel.js'
import type { Connection } from './connection.js'
import { resetFields } from './reset.js'
import { Frame } from './sink.js'

/**
 * The hand-over from replay to live: reads each channel of a connection from where its client is
 * until it is where the channel is, and joins the live connections in the same turn of the event
 * loop, so that no event falls between the two or comes by both ways.
 *
 * Order is kept within a channel; between channels replay makes no promise.
 */
export async function catchUp(connection: Connection): Promise<void> {
  const { observer, feed } = connection
  const { channels } = feed
  const startedAt = performance.now()
  let replayed: number | undefined
  for (;;) {
    const index = channels.findIndex((channel, i) => channel.position !== connection.positions[i])
    if (index === -1) break
    const events = await replayPage(connection, channels[index] as ActiveChannel, index)
    if (replayed === undefined) observer.counters.replays += 1
    replayed = (replayed ?? 0) + events
    if (connection.isOpen()) await connection.whenDrained()
    if (!connection.isOpen()) return
  }
  if (!connection.isOpen()) return
  if (replayed !== undefined) observer.replayed(connection, replayed, startedAt)
  if (feed.isOver) connection.end()
  else connection.goLive()
}

/** @returns How many events were written. */
async function replayPage(
  connection: Connection,
  channel: ActiveChannel,
  index: number,
): Promise<number> {
  const after = connection.positions[index] as EntryId
  let page: EncodedPage = await channel.read(after)
  if (channel.position !== after && (isEnd(page) || page.gap !== undefined)) {
    // The live position may be behind what this client has seen, by way of another process: going
    // on from there would repeat it.
    await channel.resync()
    page = await channel.read(after)
  }
  if (!connection.isOpen()) return 0
  const { observer } = connection
  if (page.gap !== undefined || (isEnd(page) && channel.position !== after)) {
    connection.positions[index] = channel.position
    const reason = page.gap ?? 'unknown'
    observer.reset([channel.name], reason, 1)
    const fields = resetFields([channel.name], reason)
    write(connection, endBlock(fields, cursorOf(connection)))
    return 0
  }
  let text = ''
  for (const { id, fields } of page.entries) {
    connection.positions[index] = id
    text += endBlock(fields, cursorOf(connection))
  }
  observer.counters.replayedEvents += page.entries.length
  observer.counters.deliveries += page.entries.length
  if (text !== '') write(connection, text)
  return page.entries.length
}

function isEnd({ entries, gap }: EncodedPage): boolean {
  return entries.length === 0 && gap === undefined
}

function write(connection: Connection, text: string): void {
  connection.write(new Frame(text), performance.now())
}

function cursorOf({ feed, positions }: Connection): string {
  return encodeCursor(feed.encodedNames, (i) => positions[i] as EntryId)
}
