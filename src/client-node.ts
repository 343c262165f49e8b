import { checkOptions } from './client/check-options.js'
import { EventSourceClient as Client, type EventTypes } from './client/event-source.js'
import type { Address, EventSourceOptions, PerRequest } from './client/options.js'
import { followingRedirects } from './client/redirects.js'
import { checkAddress } from './client/request.js'

export * from './client.js'

/** As in browsers, and headers of the application's are not sent to where a redirect leads, if that is another origin. */
export class EventSourceClient<Events = EventTypes> extends Client<Events> {
  constructor(address: PerRequest<Address>, options: EventSourceOptions = {}) {
    // Before it has one that works.
    checkOptions(options)
    super(address, { ...options, fetch: followingRedirects(options.fetch) })
  }
}

/**
 * Opens a stream of events, as `new EventSource(url)` does.
 *
 * @throws EventSourceError `ERR_OPTION`, also when there is no address. A DOMException `SyntaxError` when it is none.
 */
export function createEventSource<Events = EventTypes>(
  url: PerRequest<Address>,
  options?: EventSourceOptions,
): EventSourceClient<Events> {
  checkAddress(url)
  return new EventSourceClient<Events>(url, options)
}
