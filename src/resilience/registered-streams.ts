import { keepInBackground } from '../background.js'
import { EventStreamError } from '../core/errors.js'
import { streamName } from '../core/log-names.js'
import { encodeEnding, type StreamEnd, type StreamEnding } from '../core/stream-end.js'
import type { EventLog, StoredEvent } from '../log/event-log.js'
import {
  isRegistryLog,
  type NewRecord,
  type RegistryCounts,
  type RegistryLog,
  type RegistryStore,
} from '../log/registry-store.js'
import {
  isStreamLog,
  type StreamInfo,
  type StreamLimits,
  type StreamLog,
  sharedToken,
} from '../log/stream-log.js'
import type { GuardianRound } from '../observe/messages.js'
import type { Observer } from '../observe/observer.js'
import { AheadReaders, type ProducerLimits } from '../resumable/ahead.js'
import { Calls } from './calls.js'
import type { ResolvedRegistryOptions } from './options.js'
import { Sender } from './sender.js'
import { stateOf } from './shared.js'
import { Tracker } from './tracker.js'

/** A log that keeps channels, streams, and who streams what. */
export type FullLog = StreamLog & RegistryLog

/** What registered streams need of the event stream they belong to. */
export interface RegisteredStreamsHost {
  readonly log: EventLog
  readonly options: ResolvedRegistryOptions
  /** Of streams that are registered. */
  readonly limits: StreamLimits
  readonly maxEventBytes: number
  /** Of streams with a source, in any process. */
  readonly producers: ProducerLimits
  /** The log has these now: whoever does not follow it is to be told. */
  relay(name: string, entries: readonly StoredEvent[]): Promise<void>
  readonly observer?: Pick<Observer, 'guarded' | 'counters'> | undefined
  onError(error: unknown): void
}

/**
 * The registry and the log together. How a stream ended is in the log, where its events are; the registry is told
 * after it, so that whoever finds an end there finds it in the log as well.
 */
export class RegisteredStreams {
  readonly options: ResolvedRegistryOptions
  readonly limits: StreamLimits
  /** Of one event that is sent. */
  readonly maxEventBytes: number
  readonly sender: Sender
  readonly tracker: Tracker
  /** Readers that were beside a source. */
  readonly ahead: AheadReaders
  /** What is registered, heard of, taken away and renewed in one turn goes together. */
  readonly calls = {
    register: new Calls((records: readonly NewRecord[]) => this.store.register(records)),
    heartbeat: new Calls((ids: readonly string[]) => this.store.heartbeat(ids)),
    remove: new Calls((ids: readonly string[]) => this.store.remove(ids)),
    renew: new Calls((ids: readonly string[]) => this.#renew(ids)),
  }
  readonly #host: RegisteredStreamsHost

  constructor(host: RegisteredStreamsHost) {
    this.#host = host
    this.options = host.options
    this.limits = host.limits
    this.maxEventBytes = host.maxEventBytes
    this.sender = new Sender(this)
    this.tracker = keepInBackground(new Tracker(this))
    this.ahead = new AheadReaders(host.log, host.producers)
  }

  /** @throws EventStreamError `ERR_OPTION` when the log keeps no registry. */
  get log(): FullLog {
    const { log } = this.#host
    if (isStreamLog(log) && isRegistryLog(log)) return log
    throw new EventStreamError(
      'ERR_OPTION',
      'The log keeps no registry; give memoryEventLog, redisEventLog, postgresEventLog, or one that implements RegistryLog.',
    )
  }

  /** @throws EventStreamError `ERR_OPTION` when the log keeps no registry. */
  checkLog(): void {
    void this.log
  }

  get store(): RegistryStore {
    return this.log.registry
  }

  inspect(id: string): Promise<StreamInfo | undefined> {
    return this.log.inspect(streamName(id))
  }

  /**
   * A stream is heard of: in the registry, and in the log, where it is renewed if whoever knows its id appends.
   *
   * @returns Whether it is active.
   */
  async hear(id: string): Promise<boolean> {
    const { heartbeat, renew } = this.calls
    const [isActive, isRenewed] = await Promise.all([heartbeat.call(id), renew.call(id)])
    if (!isActive || isRenewed) return isActive
    // It has a source of its own, is a connection, or was ended in the log by somebody who did not tell the registry.
    const end = (await this.inspect(id))?.end
    if (end !== undefined) await this.store.end(id, stateOf(end))
    return end === undefined
  }

  /**
   * Ends a stream: in the log if it has it, then in the registry. The first end counts.
   *
   * @param wasActive - Whether it is known that it had not ended a moment ago.
   * @returns Whether it was this one; undefined when there is no stream of this id.
   */
  async end(id: string, ending: StreamEnding, wasActive = false): Promise<boolean | undefined> {
    const encoded = encodeEnding(ending)
    const end = (await this.log.endStream(streamName(id), encoded))?.end
    const isEnd = end?.data === encoded.data
    // Whoever has just ended it is about to tell the registry, and is to be the first there.
    if (end !== undefined && !isEnd && wasActive) return false
    const state = end === undefined ? ending.state : stateOf(end)
    const [isRecorded] = await Promise.all([
      this.store.end(id, state),
      // A proxy that is slow holds up nobody who asks the registry.
      end !== undefined && isEnd ? this.#relay(id, [end]) : undefined,
    ])
    return end === undefined ? isRecorded : isEnd && isRecorded !== false
  }

  /**
   * The registry is told how a stream has ended that was produced here.
   *
   * @param state - How its source ended; in the log it may have another end by now.
   * @returns False while the log has none.
   */
  async recordEnd(id: string, state: StreamEnd): Promise<boolean> {
    const info = await this.inspect(id)
    if (info !== undefined && info.end === undefined) return false
    await this.store.end(id, info?.end ? stateOf(info.end) : state)
    return true
  }

  /** The log has these, which were made here: proxies are told, and what they did not take they will ask for. */
  async appended(id: string, entries: readonly StoredEvent[]): Promise<void> {
    const { observer } = this.#host
    if (observer !== undefined) observer.counters.streamEvents += entries.length
    await this.#relay(id, entries)
  }

  onError(error: unknown): void {
    this.#host.onError(error)
  }

  /** A guardian has looked. */
  guarded(round: GuardianRound): void {
    this.#host.observer?.guarded(round)
  }

  /** @returns undefined when the log keeps no registry. */
  async count(silentMs: number): Promise<RegistryCounts | undefined> {
    const { log } = this.#host
    return isRegistryLog(log) ? log.registry.count(silentMs) : undefined
  }

  async #relay(id: string, entries: readonly StoredEvent[]): Promise<void> {
    try {
      await this.#host.relay(streamName(id), entries)
    } catch (error) {
      this.#host.onError(error)
    }
  }

  async #renew(ids: readonly string[]): Promise<readonly boolean[]> {
    const { orphanAfterMs: leaseMs } = this.options
    return this.log.renew(
      ids.map((id) => ({ channel: streamName(id), token: sharedToken, leaseMs })),
    )
  }
}
