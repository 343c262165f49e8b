import { useInsertionEffect, useMemo, useSyncExternalStore } from 'react'
import type { AnyMessage, EventTypes, ResetEvent } from '../client.js'
import { EventsView, type ViewOptions } from './events-view.js'
import { keyOf, type SharedOptions, type StreamAddress } from './options.js'
import type { ConnectionState } from './shared-source.js'

export interface EventStreamOptions<Events = EventTypes, State = undefined> extends SharedOptions {
  /**
   * Names of the events to take: `message` is that of events without one.
   * @defaultValue all
   */
  readonly events?: readonly (keyof Events & string)[] | undefined
  /** What `state` is before the first event. */
  readonly initial?: State | undefined
  /** Makes the next `state`. Not of events that have come before it was rendered. */
  readonly reduce?: ((state: State, event: AnyMessage<Events>) => State) | undefined
  /** Is called at once for each event that comes while the component is mounted. */
  readonly onEvent?: ((event: AnyMessage<Events>) => void) | undefined
  /** Events are missing, and cannot be had. `restart` begins anew, with what newcomers get. */
  readonly onReset?: ((event: ResetEvent) => void) | undefined
}

export interface EventStreamState<Events = EventTypes, State = undefined> extends ConnectionState {
  /** The newest `keep` ones, oldest first. */
  readonly events: readonly AnyMessage<Events>[]
  /** The newest one. */
  readonly last: AnyMessage<Events> | undefined
  /** What `reduce` has made. */
  readonly state: State
  /** Ends the connection, for all components that share it. */
  close(): void
  /** Goes on where it was, after `close`, or after it has failed. */
  reopen(): void
  /** Forgets all events, and opens the stream as for the first time, for all components that share it. */
  restart(): void
}

/**
 * Follows a stream of events while the component is mounted. Components that want the same share one connection.
 * However many events come, it renders once per frame.
 *
 * @param url - null or undefined for none.
 * @throws EventSourceError `ERR_OPTION`. TypeError when the address is none.
 */
export function useEventStream<Events = EventTypes, State = undefined>(
  url: StreamAddress,
  options: EventStreamOptions<Events, State> = {},
): EventStreamState<Events, State> {
  const key = keyOf(url, options)
  const given = options as ViewOptions<State>
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says what makes another view.
  const view = useMemo(() => new EventsView(key, String(url), given), [key])
  useInsertionEffect(() => {
    view.options = given
  })
  const { subscribe, getSnapshot, getServerSnapshot } = view
  const snapshot = useSyncExternalStore(subscribe, getSnapshot, getServerSnapshot)
  return snapshot as object as EventStreamState<Events, State>
}
