import type { StoredEvent } from '../log/event-log.js'

/** Passes on what is in the log already, to where its readers are. */
export interface Relay {
  /**
   * @returns Once all of it is accepted.
   * @throws AggregateError of what failed, when everything else is accepted.
   */
  relay(channel: string, events: readonly StoredEvent[]): Promise<void>
}
