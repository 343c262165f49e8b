import { checkFunction, checkNames, checkWhole } from '../core/options.js'
import type { StreamLimits } from '../log/stream-log.js'
import type { RunningLimits } from './running.js'

/** Options of streams that outlive their readers. */
export interface StreamsOptions {
  /**
   * Milliseconds after which a stream is `orphaned` whose process has died. A process that lives renews all its
   * streams three times in that time, in one round trip.
   * @defaultValue 15_000
   */
  readonly leaseMs?: number | undefined
  /**
   * Milliseconds between two writes of a stream to the log: what its source gives meanwhile goes together.
   * @defaultValue 50
   */
  readonly flushMs?: number | undefined
  /**
   * Bytes of one write, at which it does not wait for its time.
   * @defaultValue 65_536
   */
  readonly flushBytes?: number | undefined
  /**
   * Bytes that a stream may be ahead of the log: its text, and 256 for each entry. Past this its source has to wait;
   * while the log is away it goes on, and what did not fit will be missing there.
   * @defaultValue 1_048_576
   */
  readonly maxAheadBytes?: number | undefined
  /**
   * Chunks kept of a stream. The oldest go first, and who needs them is told by `stream-reset`.
   * @defaultValue 100_000
   */
  readonly maxEvents?: number | undefined
  /**
   * Bytes kept of a stream. The oldest go first.
   * @defaultValue 67_108_864
   */
  readonly maxBytes?: number | undefined
  /**
   * Milliseconds that a stream is kept after its end.
   * @defaultValue 3_600_000
   */
  readonly maxAgeMs?: number | undefined
  /**
   * Streams whose sources may run in this process at once. Another one is not started: a request is told to come back,
   * or answered 503, and `create` and `open` reject with `ERR_STREAM_LIMIT`.
   * @defaultValue 1000
   */
  readonly maxRunning?: number | undefined
  /**
   * The same for streams of one owner: of one `track.user`, or of one `connectionKey` where they have none. Answered
   * 429; `ERR_STREAM_KEY_LIMIT`.
   * @defaultValue 20
   */
  readonly maxRunningPerKey?: number | undefined
  /**
   * Called when the log of a stream cannot be written, once per outage: its readers in this process go on
   * getting it, those elsewhere wait.
   * @defaultValue what `onError` of the event stream does
   */
  readonly onStoreError?: ((error: unknown, id: string) => void) | undefined
}

export interface ResolvedStreamsOptions extends RunningLimits {
  readonly leaseMs: number
  readonly flushMs: number
  readonly flushBytes: number
  readonly maxAheadBytes: number
  readonly limits: StreamLimits
  readonly onStoreError: ((error: unknown, id: string) => void) | undefined
}

/** All but `maxAgeMs`, which contexts of `resumable-stream` have by another name, and what needs an owner. */
export const streamsNames = [
  'leaseMs',
  'flushMs',
  'flushBytes',
  'maxAheadBytes',
  'maxEvents',
  'maxBytes',
  'maxRunning',
  'onStoreError',
] as const

/** @throws EventStreamError `ERR_OPTION` when an option cannot work. */
export function resolveStreamsOptions(options: StreamsOptions = {}): ResolvedStreamsOptions {
  checkNames('streams', options, [...streamsNames, 'maxAgeMs', 'maxRunningPerKey'])
  const {
    leaseMs = 15_000,
    flushMs = 50,
    flushBytes = 65_536,
    maxAheadBytes = 1_048_576,
    maxEvents = 100_000,
    maxBytes = 67_108_864,
    maxAgeMs = 3_600_000,
    maxRunning = 1000,
    maxRunningPerKey = 20,
    onStoreError,
  } = options
  const running = { maxRunning, maxRunningPerKey }
  const kept = { maxEvents, maxBytes, maxAgeMs }
  const numbers = { leaseMs, flushBytes, maxAheadBytes, ...kept, ...running }
  for (const [name, value] of Object.entries(numbers)) checkWhole(name, value, 1, 2 ** 31 - 1)
  checkWhole('leaseMs', leaseMs, 100, 2 ** 31 - 1)
  checkWhole('flushMs', flushMs, 0, 60_000)
  checkFunction('onStoreError', onStoreError)
  return { leaseMs, flushMs, flushBytes, maxAheadBytes, limits: kept, ...running, onStoreError }
}
