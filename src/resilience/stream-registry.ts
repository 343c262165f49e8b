import { checkChannel } from '../core/channels.js'
import { seqOf } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { checkNewStream, streamName } from '../core/log-names.js'
import { checkNames, checkWhole } from '../core/options.js'
import { type StreamEnd, streamEnds } from '../core/stream-end.js'
import type { EventStream } from '../event-stream.js'
import { sharedToken } from '../log/stream-log.js'
import { registeredStreamsOf } from './parts.js'
import { checkFields, checkUser, newRecord, type RegisteredStream, toRegistered } from './record.js'
import type { RegisteredStreams } from './registered-streams.js'
import { stateOf } from './shared.js'

/** A stream that is to be registered. */
export interface NewStream {
  /** 1 to 255 bytes of text without control characters. No channel is meant by it. */
  readonly streamId: string
  /**
   * What it is to the application: 1 to 255 characters.
   * @defaultValue 'stream'
   */
  readonly streamType?: string | undefined
  /** Whose it is: 1 to 255 characters, or a number. */
  readonly userId?: string | number | undefined
  /** Anything that JSON can hold, up to 16,384 characters of it. */
  readonly metadata?: unknown
}

/** What `register` may be given: also what `getStream` gives beside that, which the store decides. */
const known = [
  ...['streamId', 'streamType', 'userId', 'metadata'],
  ...['state', 'kind', 'startedAt', 'lastHeartbeat', 'endedAt'],
]

/** States that a stream can be given. */
const settable: readonly string[] = ['active', ...streamEnds]

/** Records that one call lists. */
const maxListed = 10_000

/**
 * Who streams what: the streams and connections of all processes that share a log, by state, owner and last sign of
 * life. All times are the store's. What ended stays for its lifetime, then is known to have `expired`.
 */
export class StreamRegistry {
  readonly #streams: RegisteredStreams

  /** @throws EventStreamError `ERR_OPTION` when it is no EventStream, or its log keeps no registry. */
  constructor(eventStream: EventStream) {
    this.#streams = registeredStreamsOf(eventStream)
  }

  /**
   * Registers a stream that has no source of its own: `sendStreamEvent` appends to it, from any process, and it
   * lives as long as something is appended or `heartbeat` is called. Of all who try, one registers it.
   *
   * @returns False when there is or was a job of this id.
   * @throws EventStreamError `ERR_STREAM_EXISTS` when a stream with a source has this id; `ERR_CHANNEL`; `ERR_OPTION` for a type or user that is none, or a name that it does not know;
   *   `ERR_DATA` for metadata that cannot be kept.
   */
  async register(stream: NewStream): Promise<boolean> {
    const given = Object(stream) as NewStream
    checkNames('register', given, known)
    const { streamId, streamType = 'stream', userId, metadata } = given
    const id = checkNewStream(streamId)
    const { calls, log, limits, options } = this.#streams
    const fields = checkFields(streamType, userId, metadata)
    const record = newRecord(id, 'stream', fields, options.lifetimeMs)
    const leaseMs = options.orphanAfterMs
    const registering = calls.register.call(record)
    const claiming = log.claim(streamName(id), { token: sharedToken, leaseMs, limits })
    const [isNew, { outcome, info }] = await Promise.all([registering, claiming]).catch(
      async (error) => {
        // Or who tries again would be told that somebody else has it.
        if (await registering.catch(() => false)) await calls.remove.call(id).catch(() => false)
        throw error
      },
    )
    if (outcome === 'owned') {
      if (!isNew && seqOf(info.head) === seqOf(info.origin)) await this.#undo(id)
      return isNew
    }
    // In the log it is somebody else's, who has not registered it.
    if (isNew) await calls.remove.call(id)
    if (info.isShared) return false
    throw new EventStreamError(
      'ERR_STREAM_EXISTS',
      `${quote(id)} is the id of a stream with a source; give jobs ids of their own, such as "job-8" beside "answer-8".`,
    )
  }

  /**
   * Says that a stream lives. Calls of one turn go together.
   *
   * @returns False when it is not active: unknown, ended, or about to be ended as it was silent for too long.
   */
  async heartbeat(streamId: string): Promise<boolean> {
    return this.#streams.hear(checkChannel(streamId))
  }

  /**
   * Takes a stream off those that are active, as it should end: it has `completed`, and stays to be recovered; of a
   * connection nothing stays.
   *
   * @returns Whether it was active.
   */
  async unregister(streamId: string): Promise<boolean> {
    const id = checkChannel(streamId)
    const record = await this.#streams.store.get(id)
    if (record?.state !== 'active') return false
    if (record.kind === 'connection') return this.#streams.calls.remove.call(id)
    return (await this.#streams.end(id, { state: 'completed' })) ?? false
  }

  /** @returns undefined for an unknown id. */
  async getStream(streamId: string): Promise<RegisteredStream | undefined> {
    const id = checkChannel(streamId)
    const { store } = this.#streams
    const [record, info] = await Promise.all([store.get(id), this.#streams.inspect(id)])
    if (record === undefined) return undefined
    const end = info?.end
    // The log knows first.
    const state = record.state === 'active' && end !== undefined ? stateOf(end) : record.state
    return toRegistered({ ...record, state })
  }

  /** The streams and connections of one user, the latest first, unless they have expired: 10,000 at most. */
  async getUserStreams(userId: string | number): Promise<readonly RegisteredStream[]> {
    const user = checkUser(userId)
    const records = await this.#streams.store.list({ user, limit: maxListed })
    return records.map(toRegistered)
  }

  /**
   * Active ones that were not heard of for so long, the longest silent first: 10,000 at most.
   *
   * @param thresholdSeconds - Default 30.
   */
  async getStaleStreams(thresholdSeconds = 30): Promise<readonly RegisteredStream[]> {
    const silentMs = silence(thresholdSeconds)
    const records = await this.#streams.store.list({ silentMs, limit: maxListed })
    return records.map(toRegistered)
  }

  /**
   * Gives a stream its end, or with `'active'` says that it lives. The first end counts; followers are told.
   *
   * @returns Whether it was this one; false for an unknown id.
   * @throws EventStreamError `ERR_OPTION` for another state.
   */
  async updateState(streamId: string, state: 'active' | StreamEnd): Promise<boolean> {
    if (!settable.includes(state)) {
      throw new EventStreamError(
        'ERR_OPTION',
        `A stream cannot be made ${quote(state)}; give one of ${settable.join(', ')}.`,
      )
    }
    if (state === 'active') return this.heartbeat(streamId)
    return (await this.#streams.end(checkChannel(streamId), { state })) ?? false
  }

  /**
   * How many are active, and were heard of within so many seconds: what died with its process does not count.
   *
   * @param thresholdSeconds - Default 30.
   */
  async getActiveCount(thresholdSeconds = 30): Promise<number> {
    const { active } = await this.#streams.store.count(silence(thresholdSeconds))
    return active
  }

  /** There is a record, but of one that has ended and is no longer in the log: what was just begun there goes. */
  async #undo(id: string): Promise<void> {
    const { store, log } = this.#streams
    const record = await store.get(id)
    if (record?.state === 'active') return
    const info = await this.#streams.inspect(id)
    if (info === undefined || info.head !== info.origin) return
    await this.#streams.end(id, { state: 'aborted' })
    await log.dropStream(streamName(id))
  }
}

function silence(seconds: number): number {
  // Most parts of a second are none of a binary number.
  const ms = typeof seconds === 'number' ? Math.round(seconds * 1000) : seconds
  checkWhole('thresholdSeconds × 1000', ms, 0, 2 ** 31 - 1)
  return ms
}
