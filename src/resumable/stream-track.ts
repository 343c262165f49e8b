import type { StreamEnd } from '../core/stream-end.js'
import type { ResolvedStreamsOptions } from './options.js'

/** What a stream is registered with. */
export interface StreamTrack {
  /** What it is to the application, such as `chat` or `export`: 1 to 255 characters. */
  readonly type: string
  /** Whose it is: 1 to 255 characters, or a number. */
  readonly user?: string | number | undefined
  /** Anything that JSON can hold, up to 16,384 characters of it. */
  readonly metadata?: unknown
}

/** A stream that is to be registered. */
export interface TrackedStream {
  /** Instead of those of other streams. */
  readonly options: ResolvedStreamsOptions
  begin(id: string): void
  end(id: string, state: StreamEnd): void
}
