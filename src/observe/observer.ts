import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { EventStreamError } from '../core/errors.js'
import { shownName } from '../core/log-names.js'
import type { StreamEnding } from '../core/stream-end.js'
import type { EventStream } from '../event-stream.js'
import type { ResetReason } from '../hub/reset.js'
import type { OpenStream } from '../middleware/route-options.js'
import { type CloseReason, Counters, latencyBoundsMs, type SentAwayReason } from './counters.js'
import type { GuardianRound, ObservedMessage, ObservedMessages } from './messages.js'

interface MessageChannel<Message> {
  readonly hasSubscribers: boolean
  publish(message: Message): void
}

function messageChannel<Name extends keyof ObservedMessages>(
  name: Name,
): MessageChannel<ObservedMessages[Name]> {
  return diagnosticsChannel(name)
}

// Held here, as Node forgets a channel that nobody holds.
const channels = {
  open: messageChannel('headwater:connection:open'),
  close: messageChannel('headwater:connection:close'),
  publish: messageChannel('headwater:publish'),
  replay: messageChannel('headwater:replay'),
  reset: messageChannel('headwater:reset'),
  behind: messageChannel('headwater:behind'),
  logError: messageChannel('headwater:log:error'),
  proxyError: messageChannel('headwater:proxy:error'),
  streamStart: messageChannel('headwater:stream:start'),
  streamEnd: messageChannel('headwater:stream:end'),
  guardian: messageChannel('headwater:guardian'),
} as const

const logErrors: readonly string[] = ['ERR_LOG_UNAVAILABLE', 'ERR_LOG_REFUSED']
const proxyErrors: readonly string[] = ['ERR_PROXY_UNAVAILABLE', 'ERR_PROXY_REFUSED']

/**
 * Is told by the other parts of what happens: counts it, and tells whoever listens on
 * `node:diagnostics_channel`. No message is made while nobody does.
 */
export class Observer {
  /** For those where every event passes; what is rare has a method. */
  readonly counters = new Counters()
  readonly #eventStream: EventStream
  readonly #closers = new Set<() => void>()
  #isClosed = false

  constructor(eventStream: EventStream) {
    this.#eventStream = eventStream
  }

  opened(stream: OpenStream): void {
    this.counters.opened += 1
    if (channels.open.hasSubscribers) this.#tell(channels.open, { stream })
  }

  closed(stream: OpenStream, reason: CloseReason): void {
    this.counters.closed[reason] += 1
    if (!channels.close.hasSubscribers) return
    const durationMs = Math.max(0, Date.now() - stream.openedAt.getTime())
    this.#tell(channels.close, { stream, reason, durationMs })
  }

  sentAway(reason: SentAwayReason): void {
    this.counters.sentAway[reason] += 1
  }

  fellBehind(stream: OpenStream): void {
    this.counters.fellBehind += 1
    if (!channels.behind.hasSubscribers) return
    this.#tell(channels.behind, { stream, queuedBytes: stream.queuedBytes })
  }

  /** @param startedAt - As `performance.now()` gives it. */
  replayed(stream: OpenStream, events: number, startedAt: number): void {
    if (!channels.replay.hasSubscribers) return
    const durationMs = performance.now() - startedAt
    this.#tell(channels.replay, { stream, events, durationMs })
  }

  /**
   * @param names - In the log.
   * @param connections - How many clients are told.
   */
  reset(names: readonly string[], reason: ResetReason, connections: number): void {
    this.counters.resets[reason] += connections
    if (!channels.reset.hasSubscribers) return
    this.#tell(channels.reset, { channels: names.map(shownName), reason, connections })
  }

  /**
   * A publish has settled.
   *
   * @param startedAt - As `performance.now()` gives it.
   * @param error - Why it failed.
   */
  published(channel: string, events: number, startedAt: number, error?: unknown): void {
    const { counters } = this
    const latencyMs = performance.now() - startedAt
    if (error === undefined) {
      let bucket = 0
      while (latencyMs > (latencyBoundsMs[bucket] ?? Infinity)) bucket += 1
      counters.publishesByLatency[bucket] = (counters.publishesByLatency[bucket] ?? 0) + 1
      counters.publishes += 1
      counters.publishMs += latencyMs
    } else {
      counters.publishFailures += 1
      this.failed(error)
    }
    if (!channels.publish.hasSubscribers) return
    this.#tell(channels.publish, { channel, events, latencyMs, error })
  }

  /** Something went wrong: counts what is of the log, of its store, or of a proxy. */
  failed(error: unknown): void {
    const code = error instanceof EventStreamError ? error.code : ''
    if (logErrors.includes(code)) {
      this.counters.logErrors += 1
      if (channels.logError.hasSubscribers) this.#tell(channels.logError, { error })
    } else if (proxyErrors.includes(code)) {
      this.counters.proxyErrors += 1
      if (channels.proxyError.hasSubscribers) this.#tell(channels.proxyError, { error })
    } else if (code === 'ERR_STORE_ENTRY') this.counters.unreadable += 1
  }

  /** @returns What is called with its ending, once. */
  streamStarted(id: string): (ending: StreamEnding) => void {
    this.counters.streamsStarted += 1
    if (channels.streamStart.hasSubscribers) this.#tell(channels.streamStart, { id })
    const startedAt = performance.now()
    return ({ state, reason }) => {
      this.counters.streamsEnded[state] += 1
      if (!channels.streamEnd.hasSubscribers) return
      const durationMs = performance.now() - startedAt
      this.#tell(channels.streamEnd, { id, state, reason, durationMs })
    }
  }

  guarded(round: GuardianRound): void {
    const { counters } = this
    counters.guardianRounds += 1
    counters.guardianChecks += round.checks
    counters.guardianCheckFailures += round.checkFailures
    counters.guardianOrphaned += round.orphaned
    counters.guardianCompleted += round.completed
    if (channels.guardian.hasSubscribers) this.#tell(channels.guardian, { ...round })
  }

  /** Calls a function when the event stream closes; at once when it has. */
  onClose(closer: () => void): void {
    if (this.#isClosed) closer()
    else this.#closers.add(closer)
  }

  /** Ends what observes the event stream. */
  close(): void {
    this.#isClosed = true
    for (const closer of this.#closers) closer()
    this.#closers.clear()
  }

  #tell<Message extends ObservedMessage>(
    channel: MessageChannel<Message>,
    message: Omit<Message, 'eventStream'>,
  ): void {
    channel.publish({ eventStream: this.#eventStream, ...message } as Message)
  }
}
