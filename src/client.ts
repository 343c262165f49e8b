/** An `EventSource` for pages and for Node that comes back, and misses nothing. */
export { EventSourceError, type EventSourceErrorCode } from './client/errors.js'
export {
  type AnyMessage,
  createEventSource,
  EventSourceClient,
  type EventTypes,
} from './client/event-source.js'
export type {
  ConnectionErrorEvent,
  EndEvent,
  OpenEvent,
  ResetEvent,
  SourceEvents,
  StreamMessage,
} from './client/events.js'
export type { Address, EventSourceOptions, PerRequest, RequestBody } from './client/options.js'
export { type Recover, recoverFrom } from './client/recover.js'
export { type SharedTabs, shareTabs } from './client/share-tabs.js'
export { type PositionStorage, storeIn, type WebStorage } from './client/storage.js'
