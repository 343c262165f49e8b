import { useInsertionEffect, useMemo, useSyncExternalStore } from 'react'
import type { AnyMessage, EndEvent, EventTypes } from '../client.js'
import { keyOf, type SharedOptions, type StreamAddress } from './options.js'
import type { ConnectionState } from './shared-source.js'
import type { TextState } from './text-stream.js'
import { TextView, type TextViewOptions } from './text-view.js'

export interface ResumableStreamOptions<Events = EventTypes> extends SharedOptions {
  /**
   * The text in an event; undefined for one that belongs to `events`.
   * @defaultValue What `message` events have: a JSON string, or text that is no JSON; bytes of the source, as UTF-8.
   */
  readonly textOf?: ((event: AnyMessage<Events>) => string | undefined) | undefined
  /** Where `stop` posts to, with `headers`. */
  readonly stopUrl?: string | URL | undefined
  /** What `stop` does, instead. */
  readonly onStop?: (() => unknown) | undefined
  /** Is called at once for each event that comes while the component is mounted, also for those of the text. */
  readonly onEvent?: ((event: AnyMessage<Events>) => void) | undefined
  /** The stream has ended, while the component is mounted. */
  readonly onEnd?: ((end: EndEvent) => void) | undefined
}

export interface ResumableStreamState<Events = EventTypes>
  extends ConnectionState,
    Omit<TextState, 'events'> {
  /** The newest `keep` ones that are no text, oldest first. */
  readonly events: readonly AnyMessage<Events>[]
  /**
   * Asks the server to stop the stream, for all who read it. That it has ended comes in the stream.
   *
   * @throws EventSourceError `ERR_STATUS`, `ERR_OPTION`. What `onStop` and `fetch` throw.
   */
  stop(): Promise<void>
  /** Forgets all, and reads the stream from its beginning. */
  restart(): void
}

/**
 * Follows a stream that has an end, such as an answer of a language model, while the component is mounted. It is read
 * from its beginning, so its text is whole after a reload; after a lost connection it goes on where it was.
 *
 * @param url - null or undefined for none.
 * @throws EventSourceError `ERR_OPTION`. TypeError when the address is none.
 */
export function useResumableStream<Events = EventTypes>(
  url: StreamAddress,
  options: ResumableStreamOptions<Events> = {},
): ResumableStreamState<Events> {
  const key = keyOf(url, options)
  const given = options as TextViewOptions
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says what makes another view.
  const view = useMemo(() => new TextView(key, String(url), given), [key])
  useInsertionEffect(() => {
    view.options = given
  })
  const { subscribe, getSnapshot, getServerSnapshot } = view
  const snapshot = useSyncExternalStore(subscribe, getSnapshot, getServerSnapshot)
  return snapshot as object as ResumableStreamState<Events>
}
