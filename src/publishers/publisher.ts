import type { EntryId } from '../core/entry-id.js'
import type { NewEvent } from '../core/event.js'

/** What publishing an event gave. */
export interface Published {
  /** The event's id in its channel. */
  readonly id: EntryId
}

/** Takes events for a channel. */
export interface Publisher {
  /**
   * Publishes events one behind the other: all of them or none.
   *
   * @returns One result per event, once every reader can have them.
   * @throws EventStreamError `ERR_CHANNEL`, `ERR_EVENT`, `ERR_FIELD`, `ERR_DATA`, `ERR_SCHEMA`,
   *   `ERR_EVENT_TOO_LARGE`: nothing was published. `ERR_CHANNEL_CLOSED`, `ERR_LOG_CLOSED`: the
   *   channel, or all of it, has ended.
   */
  publish(channel: string, events: readonly NewEvent[]): Promise<readonly Published[]>
}
