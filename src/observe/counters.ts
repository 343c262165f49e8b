import type { StreamEnd } from '../core/stream-end.js'
import type { ResetReason } from '../hub/reset.js'

/**
 * Why a stream was closed: `client`, its client has gone; `server`, the application has ended it, or the
 * event stream closes; `kick`, a right was taken away; `stall`, its client took nothing; `timeout`, a timeout of the
 * application has cut it; `over`, what it listens to has ended; `failed`, it could not go on.
 */
export type CloseReason = 'client' | 'server' | 'kick' | 'stall' | 'timeout' | 'over' | 'failed'

/**
 * Why a client was sent away: `admission`, over a limit; `closing`, the event stream closes;
 * `unavailable`, the log is away, or its channels could not be followed.
 */
export type SentAwayReason = 'admission' | 'closing' | 'unavailable'

/** Upper bounds of the publish latency's buckets, in milliseconds; what is slower has one more. */
export const latencyBoundsMs: readonly number[] = [
  0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
]

/**
 * What has happened since an event stream was made. Whoever sees it happen adds to the fields directly:
 * numbers in one object, so that it costs an addition, also where every event passes.
 */
export class Counters {
  opened = 0
  readonly closed: Record<CloseReason, number> = {
    client: 0,
    server: 0,
    kick: 0,
    stall: 0,
    timeout: 0,
    over: 0,
    failed: 0,
  }
  readonly sentAway: Record<SentAwayReason, number> = { admission: 0, closing: 0, unavailable: 0 }
  fellBehind = 0
  deliveries = 0
  writtenBytes = 0
  replays = 0
  replayedEvents = 0
  readonly resets: Record<ResetReason, number> = { trimmed: 0, unknown: 0, invalid: 0 }
  publishedEvents = 0
  publishes = 0
  publishFailures = 0
  publishMs = 0
  /** Publishes by latency, each in one bucket: those of `latencyBoundsMs`, and the slower ones. */
  readonly publishesByLatency: number[] = Array.from(
    { length: latencyBoundsMs.length + 1 },
    () => 0,
  )
  logErrors = 0
  proxyErrors = 0
  /** Of what the log's store gave. */
  unreadable = 0
  relayedEvents = 0
  streamsStarted = 0
  readonly streamsEnded: Record<StreamEnd, number> = {
    completed: 0,
    failed: 0,
    aborted: 0,
    orphaned: 0,
  }
  streamEvents = 0
  guardianRounds = 0
  guardianChecks = 0
  guardianCheckFailures = 0
  guardianOrphaned = 0
  guardianCompleted = 0
}
