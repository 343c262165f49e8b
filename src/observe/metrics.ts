import type { StreamEnd } from '../core/stream-end.js'
import type { Connection } from '../hub/connection.js'
import type { ResetReason } from '../hub/reset.js'
import {
  type CloseReason,
  type Counters,
  latencyBoundsMs,
  type SentAwayReason,
} from './counters.js'

/**
 * What `metrics()` of an event stream tells, of this process. Unless said otherwise, numbers count since
 * {@link Metrics.since}: the difference of two snapshots over the time between them is a rate.
 */
export interface Metrics {
  /** When counting began. */
  readonly since: Date
  /** When this was read. */
  readonly at: Date
  readonly connections: {
    /** Streams that are open now. */
    readonly open: number
    readonly opened: number
    readonly closed: Readonly<Record<CloseReason, number>>
    /** Clients that were told to come back later. */
    readonly sentAway: Readonly<Record<SentAwayReason, number>>
    /** Streams whose clients are slow, now. */
    readonly behind: number
    /** How often a client fell behind what is published. */
    readonly fellBehind: number
    /** Bytes that wait in memory for clients, now. */
    readonly queuedBytes: number
  }
  /** Channels that are followed now. */
  readonly channels: number
  readonly deliveries: {
    /** Events that were written to clients: one event to three clients is three. */
    readonly events: number
    /** Bytes of all that was written, without what HTTP adds. */
    readonly bytes: number
  }
  readonly replays: {
    /** How often a client was behind what is published when it came, or had fallen behind. */
    readonly started: number
    /** Events that were read for these; they are among the deliveries. */
    readonly events: number
  }
  /** Clients that were told that they cannot have what they missed. */
  readonly resets: Readonly<Record<ResetReason, number>>
  readonly publishing: {
    /** Events that the log has taken. */
    readonly events: number
    /** Calls that were refused or failed, whatever the reason. */
    readonly failures: number
    /** Of the calls that resolved. */
    readonly latency: Latency
    /** Events that all GRIP proxies have taken. */
    readonly relayed: number
  }
  readonly errors: {
    /** What the log refused or could not do. */
    readonly log: number
    readonly proxy: number
    /** What the log's store gave and could not be read: messages, entries, records. */
    readonly unreadable: number
  }
  /** Of the streams that this process produces. */
  readonly streams: {
    readonly started: number
    readonly ended: Readonly<Record<StreamEnd, number>>
    /** Chunks and ends that the log has. */
    readonly events: number
  }
  readonly guardian: {
    readonly rounds: number
    readonly checks: number
    readonly checkFailures: number
    readonly orphaned: number
    readonly completed: number
  }
}

/** A histogram. */
export interface Latency {
  readonly count: number
  /** Milliseconds of all of them together. */
  readonly sumMs: number
  /** Upper bounds of the buckets, in milliseconds. */
  readonly boundsMs: readonly number[]
  /** How many there are in each bucket, one more than bounds: what was slower than the last one. */
  readonly counts: readonly number[]
}

/** What is looked at when somebody asks. */
export interface MetricsSource {
  readonly connections: ReadonlySet<Connection>
  readonly activeChannels: number
}

/** A snapshot: what was counted, and what is so now. */
export function readMetrics(
  counters: Counters,
  since: Date,
  { connections, activeChannels }: MetricsSource,
): Metrics {
  let behind = 0
  let queuedBytes = 0
  for (const connection of connections) {
    if (connection.state === 'behind') behind += 1
    queuedBytes += connection.queuedBytes
  }
  return {
    since,
    at: new Date(),
    connections: {
      open: connections.size,
      opened: counters.opened,
      closed: { ...counters.closed },
      sentAway: { ...counters.sentAway },
      behind,
      fellBehind: counters.fellBehind,
      queuedBytes,
    },
    channels: activeChannels,
    deliveries: { events: counters.deliveries, bytes: counters.writtenBytes },
    replays: { started: counters.replays, events: counters.replayedEvents },
    resets: { ...counters.resets },
    publishing: {
      events: counters.publishedEvents,
      failures: counters.publishFailures,
      latency: {
        count: counters.publishes,
        sumMs: counters.publishMs,
        boundsMs: latencyBoundsMs,
        counts: [...counters.publishesByLatency],
      },
      relayed: counters.relayedEvents,
    },
    errors: {
      log: counters.logErrors,
      proxy: counters.proxyErrors,
      unreadable: counters.unreadable,
    },
    streams: {
      started: counters.streamsStarted,
      ended: { ...counters.streamsEnded },
      events: counters.streamEvents,
    },
    guardian: {
      rounds: counters.guardianRounds,
      checks: counters.guardianChecks,
      checkFailures: counters.guardianCheckFailures,
      orphaned: counters.guardianOrphaned,
      completed: counters.guardianCompleted,
    },
  }
}
