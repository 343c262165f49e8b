import { checkChannel } from '../core/channels.js'
import { type EntryId, isEntryId } from '../core/entry-id.js'
import type { NewEvent } from '../core/event.js'
import { streamName } from '../core/log-names.js'
import { checkChoice, checkNames, checkOptionalText, checkWhole } from '../core/options.js'
import { checkEnding, endingOf, isEndId, type StreamEnd, streamEnds } from '../core/stream-end.js'
import type { EventStream } from '../event-stream.js'
import type { Page, StoredEvent } from '../log/event-log.js'
import { isSendable } from '../log/intake.js'
import { decodeEntry, type StreamEvent } from '../resumable/chunk.js'
import { registeredStreamsOf } from './parts.js'
import type { RegisteredStreams } from './registered-streams.js'
import { unknownStream } from './shared.js'

/** How a stream is to end. */
export interface NewCompletion {
  /** @defaultValue 'completed' */
  readonly state?: StreamEnd | undefined
  /** What came of it: anything that JSON can hold. Followers have it as `result` of `stream-end`. */
  readonly result?: unknown
  /** Why, for followers. */
  readonly reason?: string | undefined
}

/** How a stream has ended. */
export interface Completion {
  readonly streamId: string
  readonly state: StreamEnd
  /** What it ended with: of `storeCompletion`, or the data of the last event, when that was sent as the last one. */
  readonly result: unknown
  readonly reason: string | undefined
  /** The position of its end. */
  readonly lastEventId: EntryId
}

/** Events of a stream, after a position. */
export interface StreamEvents {
  /** In order; the end is not among them. */
  readonly events: readonly StreamEvent[]
  /** Where to go on. */
  readonly lastEventId: EntryId
  /** Whether these are all there are by now. */
  readonly isComplete: boolean
  /** Events after the position are no longer kept, or it is none of this stream: these are all that are. */
  readonly isReset: boolean
}

/** Events of one answer. */
const maxEvents = 1000

/** UTF-16 units of one answer, but for the event that passes it. */
const maxLength = 1_048_576

/**
 * How streams ended, and what they said. It is what their logs have, and kept as long: `streams.maxAgeMs` after
 * the end, and of registered streams never less than five minutes.
 */
export class CompletionStore {
  readonly #streams: RegisteredStreams

  /** @throws EventStreamError `ERR_OPTION` when it is no EventStream, or its log keeps no registry. */
  constructor(eventStream: EventStream) {
    this.#streams = registeredStreamsOf(eventStream)
  }

  /**
   * Ends a stream, in whichever process it runs. The first end counts; followers are told.
   *
   * @returns Whether it was this one.
   * @throws EventStreamError `ERR_STREAM_UNKNOWN`; `ERR_DATA` when JSON cannot hold the result, `ERR_EVENT_TOO_LARGE`
   *   when it is larger than an event may be; `ERR_OPTION` for a state that is none, a reason that is no text or has more
   *   than 16,384 characters, or a name that it does not know.
   */
  async storeCompletion(streamId: string, completion: NewCompletion = {}): Promise<boolean> {
    const id = checkChannel(streamId)
    checkNames('storeCompletion', completion, ['state', 'result', 'reason'])
    const { state = 'completed', result, reason } = completion
    checkChoice('state', state, streamEnds)
    // What cannot be sent is told before anything is done.
    checkEnding({ state, reason, result }, this.#streams.maxEventBytes)
    const info = await this.#streams.inspect(id)
    if (info === undefined) throw unknownStream(id)
    const wasActive = info.end === undefined
    const isThis = (await this.#streams.end(id, { state, reason, result }, wasActive)) ?? false
    // One that had ended may have done so with the same words.
    return isThis && wasActive
  }

  /** @returns undefined for a stream that has not ended, or is not known. */
  async getCompletion(streamId: string): Promise<Completion | undefined> {
    const id = checkChannel(streamId)
    const info = await this.#streams.inspect(id)
    return info?.end && this.#completionOf(id, info.end)
  }

  /**
   * Appends an event, as `sendStreamEvent` does.
   *
   * @returns Its id.
   */
  storeEvent(streamId: string, event: Omit<NewEvent, 'idempotencyKey'>): Promise<EntryId> {
    return this.#streams.sender.send(streamId, event)
  }

  /**
   * What a stream has said after a position: up to 1000 events, or 1 MiB.
   *
   * @param options.after - A position; by default its beginning.
   * @throws EventStreamError `ERR_STREAM_UNKNOWN`; `ERR_OPTION` for a position that is no text, or
   *   a limit that is not 1 to 1000.
   */
  async getEvents(
    streamId: string,
    options: { readonly after?: string | undefined; readonly limit?: number | undefined } = {},
  ): Promise<StreamEvents> {
    const id = checkChannel(streamId)
    checkNames('getEvents', options, ['after', 'limit'])
    const { after, limit = maxEvents } = options
    checkOptionalText('after', after)
    checkWhole('limit', limit, 1, maxEvents)
    const info = await this.#streams.inspect(id)
    if (info === undefined) throw unknownStream(id)
    const from = after ?? info.origin
    const name = streamName(id)
    const page = { maxEvents: limit, maxLength }
    const { log, ahead } = this.#streams
    if (!isEntryId(from)) {
      // A log would take it for something else.
      return toEvents(name, from, { ...(await log.read(name, 'earliest', page)), gap: 'unknown' })
    }
    await ahead.reached(name, { head: info.head, position: from })
    return toEvents(name, from, await log.read(name, from, page))
  }

  /**
   * Forgets a stream that has ended, with all that it said.
   *
   * @returns False for one that has not, or is not known.
   */
  async deleteCompletion(streamId: string): Promise<boolean> {
    const id = checkChannel(streamId)
    const { log, store } = this.#streams
    if (!(await log.dropStream(streamName(id)))) return false
    await store.remove([id])
    return true
  }

  async #completionOf(id: string, end: StoredEvent): Promise<Completion> {
    const { state, reason, event, result: given } = endingOf(end) ?? { state: 'orphaned' }
    const result = event === undefined ? given : await this.#lastData(id)
    return { streamId: id, state, result, reason, lastEventId: end.id }
  }

  async #lastData(id: string): Promise<unknown> {
    const page = await this.#streams.log.read(
      streamName(id),
      { last: 2 },
      { maxEvents: 2, maxLength },
    )
    const [last] = page.entries
    return last && !isEndId(last.id) ? decodeEntry(last)?.data : undefined
  }
}

/** What cannot be read of it is left out, as what is no longer kept is. */
function toEvents(name: string, from: EntryId, { entries, gap, head }: Page): StreamEvents {
  const lastEventId = entries.at(-1)?.id ?? (gap === undefined ? from : head)
  const said = entries.filter(({ id }) => !isEndId(id))
  const events = said
    .filter((entry) => isSendable(name, entry))
    .map(decodeEntry)
    .filter((event) => event !== undefined)
  return {
    events,
    lastEventId,
    isComplete: lastEventId === head,
    isReset: gap !== undefined || events.length < said.length,
  }
}
