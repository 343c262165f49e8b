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
  const { channels } = connection.feed
  for (;;) {
    const index = channels.findIndex((channel, i) => channel.position !== connection.positions[i])
    if (index === -1) break
    await replayPage(connection, channels[index] as ActiveChannel, index)
    if (connection.isOpen()) await connection.whenDrained()
    if (!connection.isOpen()) return
  }
  if (!connection.isOpen()) return
  if (connection.feed.isOver) connection.end()
  else connection.goLive()
}

async function replayPage(
  connection: Connection,
  channel: ActiveChannel,
  index: number,
): Promise<void> {
  const after = connection.positions[index] as EntryId
  let page: EncodedPage = await channel.read(after)
  if (channel.position !== after && (isEnd(page) || page.gap !== undefined)) {
    // The live position may be behind what this client has seen, by way of another process: going
    // on from there would repeat it.
    await channel.resync()
    page = await channel.read(after)
  }
  if (!connection.isOpen()) return
  if (page.gap !== undefined || (isEnd(page) && channel.position !== after)) {
    connection.positions[index] = channel.position
    const fields = resetFields([channel.name], page.gap ?? 'unknown')
    write(connection, endBlock(fields, cursorOf(connection)))
    return
  }
  let text = ''
  for (const { id, fields } of page.entries) {
    connection.positions[index] = id
    text += endBlock(fields, cursorOf(connection))
  }
  if (text !== '') write(connection, text)
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
