import type { Cursor } from '../core/cursor.js'
import type { EntryId } from '../core/entry-id.js'
import type { EventLog } from '../log/event-log.js'
import type { ActiveChannel } from './active-channel.js'

/**
 * Where a client without a position starts: with what is published from now on, with the earliest
 * event kept, or with the last `last` events of each channel.
 */
export type StartFrom = 'now' | 'earliest' | { readonly last: number }

/** What a client asks for. */
export interface Wish {
  /** Checked names, without repetition. */
  readonly channels: readonly string[]
  /** The client's position; `'invalid'` when it sent one that cannot be used. */
  readonly cursor: Cursor | 'invalid' | undefined
  readonly startFrom: StartFrom
}

export interface Start {
  /** One per channel. */
  readonly positions: EntryId[]
  /** The client wanted to go on from somewhere, and where that is cannot be told. */
  readonly reset: boolean
}

/** Finds the position in each channel that a stream begins at. */
export async function findStart(
  log: EventLog,
  channels: readonly ActiveChannel[],
  { cursor, startFrom }: Wish,
): Promise<Start> {
  if (cursor === undefined) {
    const positions = await Promise.all(
      channels.map((channel) => startWithoutCursor(log, channel, startFrom)),
    )
    return { positions, reset: false }
  }
  // A lone id does not say which channel it belongs to, which one channel need not ask.
  if (cursor === 'invalid' || ('id' in cursor && channels.length > 1)) {
    // Behind the head would be what this client may have seen, by way of another process.
    await Promise.all(channels.map((channel) => channel.resync()))
    return { positions: channels.map(({ position }) => position), reset: true }
  }
  if ('id' in cursor) return { positions: [cursor.id], reset: false }
  const positions = channels.map(({ name, position }) => cursor.positions.get(name) ?? position)
  return { positions, reset: false }
}

async function startWithoutCursor(
  log: EventLog,
  channel: ActiveChannel,
  startFrom: StartFrom,
): Promise<EntryId> {
  if (startFrom === 'now' || (typeof startFrom === 'object' && startFrom.last === 0)) {
    return channel.position
  }
  const { entries, head } = await log.read(channel.name, startFrom, { maxEvents: 1, maxLength: 1 })
  return entries[0]?.prevId ?? head
}
