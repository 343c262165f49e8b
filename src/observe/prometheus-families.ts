import type { Health } from './health.js'
import type { Metrics } from './metrics.js'

/** What a scrape reads. */
export interface Snapshot {
  readonly metrics: Metrics
  readonly health: Health
}

/** Metrics of one name. */
export interface Family {
  /** Without the prefix. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  /** Name of the one label, where there are several values. */
  readonly label?: string
  /** Its value, or the value for each of the label's. */
  readonly values: (snapshot: Snapshot) => number | Readonly<Record<string, number>>
}

export const latencyName = 'publish_duration_seconds'

export const latencyHelp = 'Time until a publish that succeeded had resolved.'

/** All but the latency, which is a histogram. */
export const families: readonly Family[] = [
  {
    name: 'connections',
    help: 'Streams that are open.',
    type: 'gauge',
    values: ({ metrics }) => metrics.connections.open,
  },
  {
    name: 'connections_behind',
    help: 'Streams whose clients are slow, which read on from the log.',
    type: 'gauge',
    values: ({ metrics }) => metrics.connections.behind,
  },
  {
    name: 'connections_opened_total',
    help: 'Streams that were opened.',
    type: 'counter',
    values: ({ metrics }) => metrics.connections.opened,
  },
  {
    name: 'connections_closed_total',
    help: 'Streams that have ended, by why.',
    type: 'counter',
    label: 'reason',
    values: ({ metrics }) => metrics.connections.closed,
  },
  {
    name: 'connections_fell_behind_total',
    help: 'How often a client fell behind what is published.',
    type: 'counter',
    values: ({ metrics }) => metrics.connections.fellBehind,
  },
  {
    name: 'sent_away_total',
    help: 'Clients that were told to come back later, by why.',
    type: 'counter',
    label: 'reason',
    values: ({ metrics }) => metrics.connections.sentAway,
  },
  {
    name: 'queued_bytes',
    help: 'Bytes that wait in memory for clients.',
    type: 'gauge',
    values: ({ metrics }) => metrics.connections.queuedBytes,
  },
  {
    name: 'channels',
    help: 'Channels that are followed.',
    type: 'gauge',
    values: ({ metrics }) => metrics.channels,
  },
  {
    name: 'deliveries_total',
    help: 'Events that were written to clients: one event to three clients is three.',
    type: 'counter',
    values: ({ metrics }) => metrics.deliveries.events,
  },
  {
    name: 'written_bytes_total',
    help: 'Bytes written to clients, without what HTTP adds.',
    type: 'counter',
    values: ({ metrics }) => metrics.deliveries.bytes,
  },
  {
    name: 'replays_total',
    help: 'How often a client had something to catch up with.',
    type: 'counter',
    values: ({ metrics }) => metrics.replays.started,
  },
  {
    name: 'replayed_events_total',
    help: 'Events that were read for clients that had missed them.',
    type: 'counter',
    values: ({ metrics }) => metrics.replays.events,
  },
  {
    name: 'resets_total',
    help: 'Clients that were told that they cannot have what they missed, by why.',
    type: 'counter',
    label: 'reason',
    values: ({ metrics }) => metrics.resets,
  },
  {
    name: 'published_events_total',
    help: 'Events that the log has taken.',
    type: 'counter',
    values: ({ metrics }) => metrics.publishing.events,
  },
  {
    name: 'publish_failures_total',
    help: 'Publishes that were refused or failed.',
    type: 'counter',
    values: ({ metrics }) => metrics.publishing.failures,
  },
  {
    name: 'relayed_events_total',
    help: 'Events that all GRIP proxies have taken.',
    type: 'counter',
    values: ({ metrics }) => metrics.publishing.relayed,
  },
  {
    name: 'log_up',
    help: 'Whether the log can be used: 1 or 0.',
    type: 'gauge',
    values: ({ health }) => (health.log.state === 'up' ? 1 : 0),
  },
  {
    name: 'log_errors_total',
    help: 'What the log refused or could not do.',
    type: 'counter',
    values: ({ metrics }) => metrics.errors.log,
  },
  {
    name: 'log_unreadable_total',
    help: 'What the store of the log gave and could not be read.',
    type: 'counter',
    values: ({ metrics }) => metrics.errors.unreadable,
  },
  {
    name: 'proxies_down',
    help: 'GRIP proxies that take no events.',
    type: 'gauge',
    values: ({ health }) => health.proxies.filter(({ state }) => state === 'down').length,
  },
  {
    name: 'proxy_errors_total',
    help: 'What GRIP proxies refused or could not do.',
    type: 'counter',
    values: ({ metrics }) => metrics.errors.proxy,
  },
  {
    name: 'streams_started_total',
    help: 'Streams whose source this process has started.',
    type: 'counter',
    values: ({ metrics }) => metrics.streams.started,
  },
  {
    name: 'streams_ended_total',
    help: 'Streams of this process that have ended, by how.',
    type: 'counter',
    label: 'state',
    values: ({ metrics }) => metrics.streams.ended,
  },
  {
    name: 'stream_events_total',
    help: 'Chunks and ends of the streams of this process that the log has.',
    type: 'counter',
    values: ({ metrics }) => metrics.streams.events,
  },
  {
    name: 'guardian_rounds_total',
    help: 'Rounds of looking after silent streams.',
    type: 'counter',
    values: ({ metrics }) => metrics.guardian.rounds,
  },
  {
    name: 'guardian_checks_total',
    help: 'Silent streams that were asked about.',
    type: 'counter',
    values: ({ metrics }) => metrics.guardian.checks,
  },
  {
    name: 'guardian_check_failures_total',
    help: 'Silent streams of which nothing could be learned.',
    type: 'counter',
    values: ({ metrics }) => metrics.guardian.checkFailures,
  },
  {
    name: 'guardian_settled_total',
    help: 'Silent streams that were settled, by how.',
    type: 'counter',
    label: 'state',
    values: ({ metrics: { guardian } }) => ({
      completed: guardian.completed,
      orphaned: guardian.orphaned,
    }),
  },
]
