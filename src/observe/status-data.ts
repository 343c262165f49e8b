import { hostname } from 'node:os'
import { kindOf, shownName } from '../core/log-names.js'
import { within } from '../core/within.js'
import type { EventStream } from '../event-stream.js'
import type { RegistryCounts } from '../log/registry-store.js'
import { reasonOf } from './health.js'
import { statusOf } from './health-handler.js'
import type { Metrics } from './metrics.js'
import { observed } from './observed.js'
import type { History, Sampler } from './sampler.js'

/** Channels that are listed; of the others, only how many there are. */
const maxChannels = 50

/** Milliseconds that a registry has to answer. */
const registryMs = 1000

/** Something that may be down. */
interface Part {
  readonly name: string
  readonly state: string
  /** Milliseconds since 1970. */
  readonly since: number
  /** Codes of an error. */
  readonly reason: string
  readonly queuedBytes?: number
}

/** A stream and a channel may have the same name. */
type ListedChannel = readonly [name: string, connections: number, kind: 'channels' | 'stream']

/** What the status page shows, as its JSON. */
export interface StatusData {
  readonly at: number
  /** Which process it is, for people. */
  readonly process: string
  readonly status: string
  readonly parts: readonly Part[]
  readonly metrics: Metrics
  /** Of channels and streams, the most connections first. */
  readonly channels: readonly ListedChannel[]
  readonly otherChannels: number
  /** `null` when nothing keeps a registry, `'unknown'` when it does not answer. */
  readonly streams: RegistryCounts | 'unknown' | null
  readonly history: History
}

export async function statusData(eventStream: EventStream, sampler: Sampler): Promise<StatusData> {
  const streams = await countStreams(eventStream)
  const health = eventStream.health()
  const log = { name: `Log (${health.log.kind})`, queuedBytes: undefined, ...health.log }
  const parts = [log, ...health.proxies].map(({ name, state, since, error, queuedBytes }) => ({
    name,
    state,
    since: since.getTime(),
    reason: reasonOf(error),
    ...(queuedBytes === undefined ? {} : { queuedBytes }),
  }))
  const channels = countChannels(eventStream)
  return {
    at: Date.now(),
    process: `Process ${process.pid} on ${hostname()}`,
    status: statusOf(health),
    parts,
    metrics: eventStream.metrics(),
    channels: channels.slice(0, maxChannels),
    otherChannels: Math.max(0, channels.length - maxChannels),
    streams,
    history: sampler.history(),
  }
}

async function countStreams(eventStream: EventStream): Promise<StatusData['streams']> {
  const { observer, streamCounts } = observed.of(eventStream)
  let counts: StatusData['streams'] = 'unknown'
  const counting = streamCounts().then(
    (found) => {
      counts = found ?? null
    },
    (error: unknown) => observer.failed(error),
  )
  await within(counting, registryMs)
  return counts
}

/** Connections of each channel and stream, the most first. */
function countChannels(eventStream: EventStream): readonly ListedChannel[] {
  // Many connections have one feed.
  const feeds = new Map<{ channels: readonly { name: string }[] }, number>()
  for (const { feed } of observed.of(eventStream).connections()) {
    feeds.set(feed, (feeds.get(feed) ?? 0) + 1)
  }
  const counts = new Map<string, number>()
  for (const [{ channels }, connections] of feeds) {
    for (const { name } of channels) counts.set(name, (counts.get(name) ?? 0) + connections)
  }
  const ordered = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  return ordered.map(([name, count]) => [shownName(name), count, kindOf([name])])
}
