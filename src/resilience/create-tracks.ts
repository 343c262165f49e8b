import type { GripSettings } from '../grip-options.js'
import type { ResolvedStreamsOptions } from '../resumable/options.js'
import { minCompletionMs, type ResolvedRegistryOptions } from './options.js'
import { addRegisteredStreams } from './parts.js'
import { RegisteredStreams, type RegisteredStreamsHost } from './registered-streams.js'
import { Tracks } from './tracks.js'

export interface TracksHost extends Pick<RegisteredStreamsHost, 'log' | 'relay' | 'onError'> {
  readonly registry: ResolvedRegistryOptions
  readonly streams: ResolvedStreamsOptions
  readonly grip: Pick<GripSettings, 'pollMs'> | undefined
}

/** @param eventStream - Of which the parts in this folder will ask for what is registered. */
export function createTracks(eventStream: object, host: TracksHost): Tracks {
  const { log, registry, streams, grip, relay, onError } = host
  const limits = {
    ...streams.limits,
    maxAgeMs: Math.max(streams.limits.maxAgeMs, minCompletionMs),
  }
  const registered = new RegisteredStreams({ log, options: registry, limits, relay, onError })
  addRegisteredStreams(eventStream, registered)
  const leaseMs = Math.max(streams.leaseMs, registry.orphanAfterMs)
  return new Tracks(registered, { ...streams, leaseMs, limits }, grip?.pollMs ?? 0)
}
