import { randomUUID } from 'node:crypto'
import type { EntryId } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { isEndId } from '../../core/stream-end.js'
import type { Gap, ReadFrom, StoredEvent } from '../../log/event-log.js'
import type { StreamInfo } from '../../log/stream-log.js'
import { fromRows, fromText, isId, type Rows, toEnding, toRows, toText } from './entry-text.js'

/** What a process asks of the one that produces a stream. */
export type Question =
  | { readonly kind: 'info' | 'follow' | 'leave' }
  | {
      readonly kind: 'read'
      readonly from: ReadFrom
      readonly maxEvents: number
      readonly maxLength: number
    }
  | { readonly kind: 'end'; readonly ending: EncodedEvent }

export interface Ask {
  /** The pub/sub channel for the answer. */
  readonly to: string
  /** What the answer has too. */
  readonly id: number
  readonly question: Question
}

/** What the producing process says. */
export type Tell =
  | { readonly kind: 'info'; readonly id: number; readonly info: StreamInfo | undefined }
  | {
      readonly kind: 'page'
      readonly id: number
      readonly entries: readonly StoredEvent[]
      readonly gap: Gap | undefined
      readonly head: EntryId
    }
  /** What was produced; nothing, where that is too much for a message. */
  | { readonly kind: 'live'; readonly channel: string; readonly entries: readonly StoredEvent[] }

/** The pub/sub channel that a process gets answers on. */
export function repliesOf(prefix: string): string {
  return `${prefix}:replies:${randomUUID()}`
}

/** Nothing else is told anything. */
const replies = /:replies:[\da-f-]{36}$/

/** Parts of one message at most: many times what an entry may be. */
const maxParts = 1000

/** UTF-16 units of one message: below 512 KiB, with up to three bytes for each. */
const maxMessageLength = 160_000

export function encodeAsk({ to, id, question }: Ask): string {
  return toText({ to, id, ...question })
}

/** @returns undefined for anything that {@link encodeAsk} did not write. */
export function parseAsk(text: string): Ask | undefined {
  const { to, id, ...rest } = recordOf(fromText(text))
  const question = parseQuestion(rest)
  if (typeof to !== 'string' || !replies.test(to) || !isCount(id) || question === undefined) {
    return undefined
  }
  return { to, id, question }
}

function parseQuestion(value: Record<string, unknown>): Question | undefined {
  const { kind, from, maxEvents, maxLength } = value
  if (kind === 'info' || kind === 'follow' || kind === 'leave') return { kind }
  if (kind === 'end') {
    const ending = toEnding(recordOf(value.ending))
    return ending && { kind, ending }
  }
  if (kind !== 'read' || !isCount(maxEvents) || !isCount(maxLength)) return undefined
  if (from === 'earliest' || isId(from)) return { kind, from, maxEvents, maxLength }
  const { last } = recordOf(from)
  return isCount(last) ? { kind, from: { last }, maxEvents, maxLength } : undefined
}

/** @returns One message, or the parts of one that would be too large. */
export function encodeTell(tell: Tell): readonly string[] {
  const text = toText(packed(tell))
  if (text.length <= maxMessageLength) return [text]
  const of = Math.random().toString(36).slice(2)
  const count = Math.ceil(text.length / maxMessageLength)
  return Array.from({ length: count }, (_, index) => {
    const start = index * maxMessageLength
    return toText({
      kind: 'part',
      of,
      index,
      count,
      text: text.slice(start, start + maxMessageLength),
    })
  })
}

function packed(tell: Tell): object {
  if (tell.kind === 'info') {
    const { id, kind, info } = tell
    return { kind, id, info: info && { ...info, end: info.end && toRows('', [info.end]) } }
  }
  // Nothing has come after nothing.
  return { ...tell, entries: toRows('0-0', tell.entries) satisfies Rows }
}

/** Reads what {@link encodeTell} wrote, and nothing else. */
export class TellReader {
  /** Messages of which parts are missing, the oldest first. */
  readonly #parts = new Map<string, string[]>()

  /** @returns `'part'` while others are missing; undefined for anything else. */
  read(text: string): Tell | 'part' | undefined {
    const value = recordOf(fromText(text))
    if (value.kind !== 'part') return parseTell(value)
    const { of, index, count, text: part } = value
    const isPart = isCount(index) && isCount(count) && count <= maxParts
    if (typeof of !== 'string' || !isPart || typeof part !== 'string') return undefined
    const parts = this.#parts.get(of) ?? []
    this.#parts.delete(of)
    // Parts come in order, or one was lost.
    if (parts.length !== index || index >= count) return undefined
    parts.push(part)
    if (parts.length === count) return parseTell(recordOf(fromText(parts.join(''))))
    this.#parts.set(of, parts)
    const [oldest] = this.#parts.keys()
    if (this.#parts.size > 16 && oldest !== undefined) this.#parts.delete(oldest)
    return 'part'
  }
}

function parseTell(value: Record<string, unknown>): Tell | undefined {
  const { kind, id, channel, head, gap } = value
  if (kind === 'info' && isCount(id)) {
    if (value.info === undefined) return { kind, id, info: undefined }
    const info = parseInfo(recordOf(value.info))
    return info && { kind, id, info }
  }
  const entries = fromRows(value.entries)
  if (entries === undefined) return undefined
  if (kind === 'live' && typeof channel === 'string') return { kind, channel, entries }
  const isGap = gap === undefined || gap === 'trimmed' || gap === 'unknown'
  if (kind !== 'page' || !isCount(id) || !isId(head) || !isGap) return undefined
  return { kind, id, entries, gap, head }
}

function parseInfo({ origin, head, startedAt, end, isShared }: Record<string, unknown>) {
  if (!isId(origin) || !isId(head) || !Number.isFinite(startedAt)) return undefined
  const shared = typeof isShared === 'boolean' ? { isShared } : {}
  const info = { origin, head, startedAt: Number(startedAt), ...shared }
  if (end === undefined) return { ...info, end }
  const last = fromRows(end)?.at(-1)
  if (last?.id !== head || !isEndId(head)) return undefined
  return { ...info, end: last }
}

function recordOf(value: unknown): Record<string, unknown> {
  return Object(value) as Record<string, unknown>
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
