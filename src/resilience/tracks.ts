import { createHash, randomBytes } from 'node:crypto'
import { encodeChannelName } from '../core/cursor.js'
import { parseJson } from '../core/json.js'
import { checkNames } from '../core/options.js'
import type { NewRecord, RegistryCounts } from '../log/registry-store.js'
import type { ConnectionTracker, PreparedRecord } from '../middleware/route.js'
import type { Track } from '../middleware/track.js'
import type { ResolvedStreamsOptions } from '../resumable/options.js'
import type { StreamTrack, TrackedStream } from '../resumable/stream-track.js'
import { checkFields, newRecord } from './record.js'
import type { RegisteredStreams } from './registered-streams.js'

/** Milliseconds of silence that an active stream may have to count as one. */
const silentMs = 30_000

/** What routes and streams with `track` do. */
export class Tracks implements ConnectionTracker {
  readonly #streams: RegisteredStreams
  readonly #options: ResolvedStreamsOptions
  /** Milliseconds between two questions of a proxy. */
  readonly #pollMs: number
  #isExpected = false

  /** @param options - Of streams that are registered. */
  constructor(streams: RegisteredStreams, options: ResolvedStreamsOptions, pollMs: number) {
    this.#streams = streams
    this.#options = options
    this.#pollMs = pollMs
  }

  /** Waits until the registry knows what is no longer here, for a moment; leaves nothing behind. */
  async close(): Promise<void> {
    this.#streams.ahead.close()
    await this.#streams.tracker.close()
  }

  /** How the streams of all processes stand; undefined when the log keeps no registry. */
  counts(): Promise<RegistryCounts | undefined> {
    return this.#streams.count(silentMs)
  }

  /** A log that keeps no registry is told of while the application starts. */
  checkLog(): void {
    this.#streams.checkLog()
  }

  /** There is a route whose connections are registered, so proxies may hold some that were. */
  expect(): void {
    this.checkLog()
    this.#isExpected = true
  }

  prepare(channels: readonly string[], { type, user, metadata }: Track): PreparedRecord {
    this.checkLog()
    const given = checkFields(type, user, metadata)
    // Checked before, as there may be any number of channels.
    const all = { ...Object(parseJson(given.metadata)), channels }
    const fields = { ...given, metadata: JSON.stringify(all) }
    const { options, tracker } = this.#streams
    return {
      open: () => {
        const id = `connection-${randomBytes(12).toString('base64url')}`
        tracker.add(newRecord(id, 'connection', fields, options.lifetimeMs))
        return () => tracker.remove(id)
      },
      hold: () => {
        const record = newRecord(heldId(channels), 'connection', fields, options.lifetimeMs)
        tracker.hold({ ...record, pauseMs: this.#pollMs })
      },
    }
  }

  /** A proxy has asked for the clients of these channels, so there are some. */
  asked(channels: readonly string[]): void {
    if (this.#isExpected) this.#streams.tracker.hear(heldId(channels))
  }

  stream(track: StreamTrack): TrackedStream {
    this.checkLog()
    checkNames('track', track, ['type', 'user', 'metadata'])
    const { type, user, metadata } = track
    const fields = checkFields(type, user, metadata)
    const { options, tracker } = this.#streams
    return {
      options: this.#options,
      begin: (id) => {
        const record: NewRecord = newRecord(id, 'stream', fields, options.lifetimeMs)
        // The log has just said that this is the stream of this id.
        tracker.add({ ...record, replaces: true })
      },
      end: (id, state) => tracker.end(id, state),
    }
  }
}

/** All that a proxy holds for the same channels: it asks for them at once, and not for each. */
function heldId(channels: readonly string[]): string {
  const names = [...channels].sort().map(encodeChannelName).join('*')
  return `held-${createHash('sha256').update(names).digest('base64url')}`
}
