import type { Cursor } from '../core/cursor.js'
import type { EntryId } from '../core/entry-id.js'
import type { EventLog } from '../log/event-log.js'
import { placeAt } from './ended-streams.js'

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

/** A channel that is followed, or read as it is. */
export interface StartChannel {
  readonly name: string
  /** Where a client begins that wants what comes from now on. */
  locate(): Promise<EntryId>
}

type StartLog = Pick<EventLog, 'read' | 'heads'>

/** Finds the position in each channel that a stream begins at. Takes one round trip to the log, or two for a stream that has ended. */
export async function findStart(
  log: StartLog,
  channels: readonly StartChannel[],
  { cursor, startFrom }: Wish,
): Promise<Start> {
  if (cursor === undefined) {
    const positions = await Promise.all(
      channels.map((channel) => startWithoutCursor(log, channel, startFrom)),
    )
    return { positions, lost: [] }
  }
  if (cursor === 'invalid') return startAnew(log, channels)
  if ('id' in cursor) {
    if (channels.length === 1) return { positions: [cursor.id], lost: [] }
    return startAnew(log, channels, cursor.id)
  }
  const positions = await Promise.all(
    channels.map((channel) => cursor.positions.get(channel.name) ?? channel.locate()),
  )
  return { positions, lost: [] }
}

/**
 * Goes on in the one channel that an id belongs to, and with what comes from now on in the others. Where the log is now
 * is looked up: behind it would be what this client may have seen, by way of another process.
 */
async function startAnew(
  log: StartLog,
  channels: readonly StartChannel[],
  id?: EntryId,
): Promise<Start> {
  const [owner, heads] = await Promise.all([
    id === undefined ? undefined : findOwner(log, channels, id),
    log.heads(channels.map(({ name }) => name)),
  ])
  const positions = await Promise.all(
    channels.map(({ name }, i) =>
      channels[i] === owner ? (id as EntryId) : placeAt(log, name, heads[i] as EntryId),
    ),
  )
  return {
    positions,
    lost: channels.filter((channel) => channel !== owner).map(({ name }) => name),
  }
}

/**
 * The channel that a lone id belongs to, as a client has it from a proxy that cannot put the positions
 * in several channels together.
 */
async function findOwner(
  log: StartLog,
  channels: readonly StartChannel[],
  id: EntryId,
): Promise<StartChannel | undefined> {
  const pages = await Promise.all(channels.map(({ name }) => log.read(name, id, onePlace)))
  return channels.find((_channel, i) => pages[i]?.gap === undefined)
}

async function startWithoutCursor(
  log: StartLog,
  channel: StartChannel,
  startFrom: StartFrom,
): Promise<EntryId> {
  if (startFrom === 'now' || (typeof startFrom === 'object' && startFrom.last === 0)) {
    return channel.locate()
  }
  const { entries, head } = await log.read(channel.name, startFrom, onePlace)
  return entries[0]?.prevId ?? head
}

const onePlace = { maxEvents: 1, maxLength: 1 }
