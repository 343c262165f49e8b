import { checkChannel } from '../core/channels.js'
import { type EntryId, formatEntryId, seqOf } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { checkSize, type EncodedEvent, encodeStreamEvent, type NewEvent } from '../core/event.js'
import { streamName } from '../core/log-names.js'
import { encodeEnding, endId, isEndId, type StreamEnding } from '../core/stream-end.js'
import type { StoredEvent } from '../log/event-log.js'
import { randomNonce } from '../log/nonce.js'
import { sharedToken } from '../log/stream-log.js'
import type { RegisteredStreams } from './registered-streams.js'
import { stateOf, unknownStream } from './shared.js'

/** Streams whose last entry is remembered. */
const maxRemembered = 1000

/** Events of one append. */
const maxBatch = 256

/**
 * Appends of one process in a row. Behind them it leaves the log alone for as long as another process needs to find
 * the head and append behind it: whoever appends without a pause always knows the head, and others never would.
 */
const maxInRow = 16

/** Round trips of that pause: a look that was on its way, another one with its append, and some room. */
const pauseTrips = 4

/** Milliseconds of that pause at most. */
const maxPauseMs = 1000

interface Waiting {
  readonly event: EncodedEvent
  /** That this event is the last one, and how the stream ends with it. */
  readonly ending: StreamEnding | undefined
  readonly resolve: (id: EntryId) => void
  readonly reject: (error: unknown) => void
}

interface Line {
  readonly waiting: Waiting[]
  head: EntryId | undefined
  heardAt: number
  isSending: boolean
  /** Appends without a pause between them, when the last one ended, and how many milliseconds it took. */
  inRow: number
  appendedAt: number
  tripMs: number
}

/**
 * Appends to streams that have no source of their own, from any process. Behind which entry, the log checks: what
 * another process has appended meanwhile is found, and the append repeated behind that.
 */
export class Sender {
  readonly #streams: RegisteredStreams
  readonly #lines = new Map<string, Line>()

  constructor(streams: RegisteredStreams) {
    this.#streams = streams
  }

  /**
   * @param ending - How the stream ends with this event.
   * @returns The event's id, once it is in the log.
   */
  async send(id: string, event: NewEvent, ending?: StreamEnding): Promise<EntryId> {
    checkChannel(id)
    const encoded = encodeStreamEvent(event)
    checkSize(encoded, this.#streams.maxEventBytes)
    const line = this.#line(id)
    return new Promise((resolve, reject) => {
      line.waiting.push({ event: encoded, ending, resolve, reject })
      if (!line.isSending) void this.#run(id, line)
    })
  }

  /** The stream's line, and now the last to be forgotten. */
  #line(id: string): Line {
    const line = this.#lines.get(id) ?? newLine()
    this.#lines.delete(id)
    this.#lines.set(id, line)
    if (this.#lines.size > maxRemembered) {
      for (const [name, { isSending }] of this.#lines) {
        if (isSending || name === id) continue
        this.#lines.delete(name)
        break
      }
    }
    return line
  }

  async #run(id: string, line: Line): Promise<void> {
    line.isSending = true
    // What is asked for in the same turn goes along.
    await new Promise((resolve) => setImmediate(resolve))
    while (line.waiting.length > 0) {
      const isLast = ({ ending }: Waiting) => ending !== undefined
      const last = line.waiting.findIndex(isLast)
      const count = Math.min(maxBatch, last === -1 ? line.waiting.length : last + 1)
      const batch = line.waiting.splice(0, count)
      try {
        await giveWay(line)
        const entries = await this.#append(id, line, batch)
        for (const [i, { resolve }] of batch.entries()) resolve(entries[i]?.id as EntryId)
      } catch (error) {
        line.head = undefined
        for (const { reject } of batch) reject(error)
      }
    }
    line.isSending = false
    if (line.head === undefined || isEndId(line.head)) this.#lines.delete(id)
  }

  async #append(
    id: string,
    line: Line,
    batch: readonly Waiting[],
  ): Promise<readonly StoredEvent[]> {
    const { log, limits, options } = this.#streams
    const ending = batch.at(-1)?.ending
    for (;;) {
      line.head ??= (await this.#streams.inspect(id))?.head
      if (line.head === undefined) throw unknownStream(id)
      if (isEndId(line.head)) throw hasEnded(id)
      const entries = entriesOf(line.head, batch, ending)
      const sentAt = performance.now()
      const leaseMs = options.orphanAfterMs
      const outcome = await log.produce(streamName(id), {
        token: sharedToken,
        leaseMs,
        limits,
        entries,
      })
      if (outcome === 'missing') throw unknownStream(id)
      if (outcome === 'ended') throw hasEnded(id)
      if (outcome === 'taken') throw hasSource(id)
      if (outcome === 'diverged') {
        line.head = undefined
        line.inRow = 0
        continue
      }
      const last = entries.at(-1) as StoredEvent
      line.head = last.id
      line.inRow += 1
      line.appendedAt = performance.now()
      line.tripMs = line.appendedAt - sentAt
      await Promise.all([this.#streams.appended(id, entries), this.#tell(id, line, ending && last)])
      return entries
    }
  }

  /** Who appends lives, which is worth a command of its own now and then. */
  async #tell(id: string, line: Line, end: StoredEvent | undefined): Promise<void> {
    const { store, calls, options } = this.#streams
    try {
      if (end !== undefined) {
        await store.end(id, stateOf(end))
        return
      }
      const now = performance.now()
      if (now - line.heardAt < options.heartbeatMs / 3) return
      line.heardAt = now
      await calls.heartbeat.call(id)
    } catch (error) {
      // It is in the log, where a guardian finds it.
      this.#streams.onError(error)
    }
  }
}

function newLine(): Line {
  return {
    waiting: [],
    head: undefined,
    heardAt: Number.NEGATIVE_INFINITY,
    isSending: false,
    inRow: 0,
    appendedAt: Number.NEGATIVE_INFINITY,
    tripMs: 0,
  }
}

/** Lets other processes have a turn, after so many appends in a row. */
async function giveWay(line: Line): Promise<void> {
  const pauseMs = Math.min(maxPauseMs, pauseTrips * line.tripMs)
  const leftMs = line.appendedAt + pauseMs - performance.now()
  if (leftMs > 0 && line.inRow < maxInRow) return
  line.inRow = 0
  // A store within the process needs none.
  if (leftMs >= 1) await new Promise((resolve) => setTimeout(resolve, leftMs))
}

function entriesOf(
  head: EntryId,
  batch: readonly Waiting[],
  ending: StreamEnding | undefined,
): readonly StoredEvent[] {
  const entries: StoredEvent[] = []
  let prevId = head
  for (const { event } of batch) {
    const id = formatEntryId(seqOf(prevId) + 1, randomNonce())
    entries.push({ id, prevId, ...event })
    prevId = id
  }
  if (ending !== undefined) entries.push({ id: endId(prevId), prevId, ...encodeEnding(ending) })
  return entries
}

function hasEnded(id: string): EventStreamError {
  return new EventStreamError(
    'ERR_STREAM_ENDED',
    `The stream ${quote(id)} has ended, and takes no more events: stop working on it.`,
  )
}

function hasSource(id: string): EventStreamError {
  return new EventStreamError(
    'ERR_STREAM_PRODUCED',
    `The stream ${quote(id)} has a source of its own, and only that appends to it.`,
  )
}
