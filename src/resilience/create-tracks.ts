import type { EventStream } from '../event-stream.js'
import type { GripSettings } from '../grip-options.js'
import type { Gate } from '../middleware/grip/gate.js'
import type { ResolvedStreamsOptions } from '../resumable/options.js'
import { minCompletionMs, type ResolvedRegistryOptions } from './options.js'
import { gates, registeredStreams } from './parts.js'
import { RegisteredStreams, type RegisteredStreamsHost } from './registered-streams.js'
import { Tracks } from './tracks.js'

export interface TracksHost
  extends Pick<RegisteredStreamsHost, 'log' | 'maxEventBytes' | 'relay' | 'observer' | 'onError'> {
  readonly gate: Gate
  readonly registry: ResolvedRegistryOptions
  readonly streams: ResolvedStreamsOptions
  readonly grip: Pick<GripSettings, 'pollMs'> | undefined
}

/** @param eventStream - Of which the parts in this folder will ask for what is registered. */
export function createTracks(eventStream: EventStream, host: TracksHost): Tracks {
  const { registry, streams, grip } = host
  const limits = {
    ...streams.limits,
    maxAgeMs: Math.max(streams.limits.maxAgeMs, minCompletionMs),
  }
  const registered = new RegisteredStreams({
    ...host,
    options: registry,
    limits,
    producers: streams,
  })
  registeredStreams.set(eventStream, registered)
  gates.set(eventStream, host.gate)
  const leaseMs = Math.max(streams.leaseMs, registry.orphanAfterMs)
  return new Tracks(registered, { ...streams, leaseMs, limits }, grip?.pollMs ?? 0)
}
