import { checkChannel } from './channels.js'
import { EventStreamError, quote } from './errors.js'

// A channel's name in a log is the one that it was given. Whatever else is kept there begins with a control character,
// which no channel name has: so things of the same text never meet, in memory, in a store or at a proxy.
const marks = { notice: '\u0001', stream: '\u0002', contextStream: '\u0003' } as const

/** The name in logs of what processes tell one another. */
export function noticeName(topic: string): string {
  return marks.notice + topic
}

/** The name in logs of a durable stream. */
export function streamName(id: string): string {
  return marks.stream + id
}

/** The name in logs of a stream of a context of `resumable-stream`. */
export function contextStreamName(id: string): string {
  return marks.contextStream + id
}

/** Ids that the registry gives to connections, which it lists beside streams. `resilience/tracks.ts` makes them. */
const connectionId = /^(?:connection-[\w-]{16}|held-[\w-]{43})$/

/**
 * Checks the id of a stream that is to begin.
 *
 * @throws EventStreamError `ERR_CHANNEL`.
 */
export function checkNewStream(id: unknown): string {
  const checked = checkChannel(id)
  if (!connectionId.test(checked)) return checked
  throw new EventStreamError(
    'ERR_CHANNEL',
    `${quote(id)} has the form of a connection's id in the registry; give the stream another one.`,
  )
}

/** What a connection is to that listens to these: a stream, alone, or channels. */
export function kindOf([name = '']: readonly string[]): 'channels' | 'stream' {
  return name.startsWith(marks.stream) ? 'stream' : 'channels'
}

/** Whether what has this name in a log may end: an entry of anything else is no end, whatever its id. */
export function canEnd(name: string): boolean {
  return name.startsWith(marks.stream) || name.startsWith(marks.contextStream)
}

/** What people are shown of a name in a log: the id of a stream, or the name of a channel. */
export function shownName(name: string): string {
  return name.charCodeAt(0) < 0x20 ? name.slice(1) : name
}

/** {@link shownName}, as it may stand in a message. */
export function quoteName(name: string): string {
  return quote(shownName(name))
}
