import type { NewEvent } from './core/event.js'
import type { ChannelsBuilder } from './middleware/channel-source.js'
import type { EventStreamOptions } from './options.js'
import type { GripSpec } from './publishers/grip/config.js'

/** @deprecated Use {@link NewEvent}. */
export type IServerSentEvent = NewEvent

/** @deprecated An event and the channel it belongs to. */
export interface IAddressedEvent {
  readonly channel: string
  readonly event: NewEvent
}

/** @deprecated Use {@link ChannelsBuilder}. */
export type IChannelsBuilder = ChannelsBuilder

/** @deprecated Use {@link EventStreamOptions}. */
export type IEventStreamConfig = EventStreamOptions

/** @deprecated Use {@link GripSpec}. */
export type GripPublisherSpec = GripSpec
