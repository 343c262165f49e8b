export type {
  GripPublisherSpec,
  IAddressedEvent,
  IChannelsBuilder,
  IEventStreamConfig,
  IServerSentEvent,
} from './compat.js'
export { channelName } from './core/channels.js'
export type { EntryId } from './core/entry-id.js'
export { EventStreamError, type EventStreamErrorCode } from './core/errors.js'
export type { NewEvent } from './core/event.js'
export type { StandardSchema } from './core/standard-schema.js'
export type { StreamEnd } from './core/stream-end.js'
export type {
  AnyChannels,
  ChannelEvents,
  ChannelName,
  ChannelValues,
  EventOn,
  EventsOf,
} from './core/typed-channels.js'
export { type ChannelsOf, EventStream } from './event-stream.js'
export type { EventStreams, RequestSource, StreamRouteOptions } from './event-streams.js'
export type { ConnectionState } from './hub/connection.js'
export type { ResetReason } from './hub/reset.js'
export type { Transport } from './hub/sink.js'
export type { StartFrom } from './hub/start.js'
export type {
  Appended,
  EventLog,
  Gap,
  LogHealth,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  RemoteLog,
  StoredEvent,
} from './log/event-log.js'
export { type MemoryEventLogOptions, memoryEventLog } from './log/memory.js'
export type {
  Claim,
  Claimed,
  Lease,
  Produced,
  Production,
  StreamInfo,
  StreamLimits,
  StreamLog,
} from './log/stream-log.js'
export type { ConnectionKey } from './middleware/admission.js'
export type { ChannelSource, ChannelsBuilder } from './middleware/channel-source.js'
export type { FetchOptions } from './middleware/fetch.js'
export type { HeldStream } from './middleware/grip/function-kicks.js'
export type { EventStreamHandler } from './middleware/handler.js'
export type { RequestLike, ResponseLike } from './middleware/request.js'
export type { RouteArguments } from './middleware/route-arguments.js'
export type { OpenStream, RouteOptions } from './middleware/route-options.js'
export type { Health } from './observe/health.js'
export type { Metrics } from './observe/metrics.js'
export type { EventStreamOptions } from './options.js'
export type { ChannelPublisher } from './publishers/channel-publisher.js'
export type { ChannelWritable, ChannelWritableOptions } from './publishers/channel-writable.js'
export type { GripSpec } from './publishers/grip/config.js'
export type { ProxyHealth } from './publishers/grip/proxy.js'
export type { Published } from './publishers/publisher.js'
export type { Chunk, StreamEvent } from './resumable/chunk.js'
export type { StreamsOptions } from './resumable/options.js'
export type { MakeSource, Source, SourceContext } from './resumable/source.js'
export type { OpenedStream, StreamPlace, StreamStatus } from './resumable/status.js'
export { getEventStreamSingleton } from './singleton.js'
