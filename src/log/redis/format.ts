import { encodeChannelName } from '../../core/cursor.js'
import { type EntryId, isEntryId, seqOf } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { parseJson } from '../../core/json.js'
import type { NewEntry, StoredEvent } from '../event-log.js'
import { isNext, unreadableFrom } from '../intake.js'
import { markOr } from '../loss-marks.js'

/** Where a channel is in Redis. All of it is in one slot of a cluster. */
export interface ChannelKeys {
  /** Stream, hash and sorted set: what every script takes. */
  readonly keys: readonly [stream: string, meta: string, idempotency: string]
  /** The pub/sub channel of what is appended. */
  readonly live: string
  /** Which call has dropped it, for as long as that may be repeated. */
  readonly dropped: string
}

/** What keeps the keys of two logs in one Redis apart. */
export interface KeyPrefix {
  /** What all keys and pub/sub channels begin with: `{headwater`, or `staging:{headwater`. */
  readonly start: string
  /** What pub/sub channels end with, as all databases of a Redis share them. */
  readonly liveEnd: string
}

/**
 * @param keyPrefix - Of the application's client.
 * @param prefix - Of the log, without `{` and `}`, which choose a cluster's slot.
 */
export function wholePrefix(keyPrefix: string, prefix: string, database: number): KeyPrefix {
  return { start: `${keyPrefix}{${prefix}`, liveEnd: database === 0 ? '' : String(database) }
}

/** @param prefix - A text is the log's, with a client that has no key prefix, in database 0. */
export function channelKeys(prefix: KeyPrefix | string, channel: string): ChannelKeys {
  const { start, liveEnd } = typeof prefix === 'string' ? wholePrefix('', prefix, 0) : prefix
  const base = `${start}:${encodeChannelName(channel)}}`
  return {
    keys: [`${base}:s`, `${base}:m`, `${base}:k`],
    live: `${base}:l${liveEnd}`,
    dropped: `${base}:d`,
  }
}

/** Instead of a name, which has no line breaks; before a key. */
const escaped = '\r'

/** Name and data in one text, which UTF-8 keeps as it is. */
export function packEntry({ event = '', data }: NewEntry): string {
  const text = `${event}\n${data}`
  // UTF-8 has no halves of characters, and JSON has a way to say them.
  return text.isWellFormed() ? text : `${escaped}\n${JSON.stringify([event, data])}`
}

/** An idempotency key as UTF-8 keeps it, and no two as the same. */
export function packKey(key: string): string {
  return key.isWellFormed() && !key.startsWith(escaped) ? key : escaped + JSON.stringify(key)
}

/** @returns undefined when it was packed by nobody. */
function unpack(text: string): EncodedEvent | undefined {
  const end = text.indexOf('\n')
  if (end === -1) return undefined
  if (!text.startsWith(escaped) || end !== 1) {
    return { event: text.slice(0, end) || undefined, data: text.slice(end + 1) }
  }
  const value = parseJson(text.slice(2))
  if (!Array.isArray(value) || value.length !== 2) return undefined
  const [event, data] = value as unknown[]
  if (typeof event !== 'string' || typeof data !== 'string') return undefined
  return { event: event || undefined, data }
}

const header = /^(\d+) \d+ \d+\n/

/**
 * An entry of the stream: `<nonce of the one before> <time> <bytes before>`, then what was packed.
 *
 * @returns undefined when it is something else's.
 */
export function parseStored(id: EntryId, text: string): StoredEvent | undefined {
  const [before, nonce] = header.exec(text) ?? []
  const prevId = `${seqOf(id) - 1}-${nonce}`
  if (before === undefined || !isEntryId(id) || !isEntryId(prevId)) return undefined
  const packed = unpack(text.slice(before.length))
  return packed === undefined ? unreadableFrom(prevId, id) : markOr({ id, prevId, ...packed })
}

/** What a live message tells: entries, or that there are some to be read up to `head`. */
export interface LiveMessage {
  readonly head: EntryId
  readonly entries: readonly StoredEvent[]
}

/**
 * A live message is `*<head>`, or the id before its first entry and then for each entry a line
 * `<id> <UTF-16 units>` and so much of packed text.
 *
 * @returns undefined when it is none.
 */
export function parseMessage(message: string): LiveMessage | undefined {
  if (message.startsWith('*')) {
    const head = message.slice(1)
    return isEntryId(head) ? { head, entries: [] } : undefined
  }
  const entries: StoredEvent[] = []
  let at = message.indexOf('\n')
  let prevId = message.slice(0, at)
  if (at === -1 || !isEntryId(prevId)) return undefined
  while (at < message.length) {
    const lineEnd = message.indexOf('\n', at + 1)
    const [id, units = ''] = message.slice(at + 1, lineEnd).split(' ')
    const end = lineEnd + 1 + Number(units)
    if (lineEnd === -1 || !isNext(id, prevId) || !/^\d+$/.test(units) || end > message.length) {
      return undefined
    }
    const packed = unpack(message.slice(lineEnd + 1, end))
    if (packed === undefined) return undefined
    entries.push(markOr({ id, prevId, ...packed }))
    prevId = id
    at = end
  }
  return entries.length === 0 ? undefined : { head: prevId, entries }
}
