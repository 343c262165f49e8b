import type { Cursor } from '../core/cursor.js'
import type { EntryId } from '../core/entry-id.js'
import type { EventLog } from '../log/event-log.js'

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
  /** Channels in which the client wanted to go on from somewhere, and where that is cannot be told. */
  readonly lost: readonly string[]
}

/** A channel whose live position is known. */
export interface StartChannel {
  readonly name: string
  readonly position: EntryId
  /** Brings the position to the head of the log. */
  resync(): Promise<void>
}

/** Finds the position in each channel that a stream begins at. */
export async function findStart(
  log: EventLog,
  channels: readonly StartChannel[],
  { cursor, startFrom }: Wish,
): Promise<Start> {
  if (cursor === undefined) {
    const positions = await Promise.all(
      channels.map((channel) => startWithoutCursor(log, channel, startFrom)),
    )
    return { positions, lost: [] }
  }
  if (cursor === 'invalid') return startAnew(channels, undefined)
  if ('id' in cursor) {
    if (channels.length === 1) return { positions: [cursor.id], lost: [] }
    return startAnew(channels, await findOwner(log, channels, cursor.id), cursor.id)
  }
  const positions = channels.map(({ name, position }) => cursor.positions.get(name) ?? position)
  return { positions, lost: [] }
}

/** Goes on in one channel, and with what comes from now on in the others. */
async function startAnew(
  channels: readonly StartChannel[],
  known: StartChannel | undefined,
  id: EntryId = '',
): Promise<Start> {
  const lost = channels.filter((channel) => channel !== known)
  // Behind the head would be what this client may have seen, by way of another process.
  await Promise.all(lost.map((channel) => channel.resync()))
  return {
    positions: channels.map((channel) => (channel === known ? id : channel.position)),
    lost: lost.map(({ name }) => name),
  }
}

/**
 * The channel that a lone id belongs to, as a client has it from a proxy that cannot put the positions
 * in several channels together.
 */
async function findOwner(
  log: EventLog,
  channels: readonly StartChannel[],
  id: EntryId,
): Promise<StartChannel | undefined> {
  const pages = await Promise.all(channels.map(({ name }) => log.read(name, id, onePlace)))
  return channels.find((_channel, i) => pages[i]?.gap === undefined)
}

async function startWithoutCursor(
  log: EventLog,
  channel: StartChannel,
  startFrom: StartFrom,
): Promise<EntryId> {
  if (startFrom === 'now' || (typeof startFrom === 'object' && startFrom.last === 0)) {
    return channel.position
  }
  const { entries, head } = await log.read(channel.name, startFrom, onePlace)
  return entries[0]?.prevId ?? head
}

const onePlace = { maxEvents: 1, maxLength: 1 }
