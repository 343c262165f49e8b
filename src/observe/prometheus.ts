import { inBackground } from '../background.js'
import { EventStreamError, quote } from '../core/errors.js'
import { exportsOf, unlessMissing } from '../core/optional-package.js'
import { checkNames } from '../core/options.js'
import type { EventStream } from '../event-stream.js'
import type { EventStreamHandler } from '../middleware/handler.js'
import { answering } from './answer.js'
import type { Latency } from './metrics.js'
import { observed } from './observed.js'
import {
  type Family,
  families,
  latencyHelp,
  latencyName,
  type Snapshot,
} from './prometheus-families.js'

/** A `Registry` of `prom-client`, as far as it is used. */
export interface PrometheusRegister {
  readonly contentType: string
  metrics(): Promise<string>
  getSingleMetric(name: string): unknown
}

/** Options of {@link prometheusMetrics} and {@link metricsHandler}. */
export interface PrometheusOptions {
  /**
   * What all names begin with: letters, digits and `_`. Event streams that share a register have one each.
   * @defaultValue 'headwater_'
   */
  readonly prefix?: string | undefined
  /** A `Registry` of `prom-client` to add the metrics to. By default a new one of their own. */
  readonly register?: PrometheusRegister | undefined
}

type PromClient = typeof import('prom-client')

/**
 * Adds the metrics of an event stream to a register of `prom-client`, which reads them when it is scraped.
 *
 * @returns The register.
 * @throws EventStreamError `ERR_OPTION`: `prom-client` is not installed, the register is none, or has metrics of
 *   these names already. Then it is as it was.
 */
export async function prometheusMetrics(
  eventStream: EventStream,
  options: PrometheusOptions = {},
): Promise<PrometheusRegister> {
  observed.of(eventStream)
  checkNames('prometheusMetrics', options, ['prefix', 'register'])
  const { prefix = 'headwater_', register: given } = options
  checkPrefix(prefix)
  checkRegister(given)
  const client = await load()
  const register = given ?? new client.Registry()
  checkNamesAreFree(register, prefix)
  const read = oncePerTurn(() => ({
    metrics: eventStream.metrics(),
    health: eventStream.health(),
  }))
  const registers = [register as InstanceType<PromClient['Registry']>]
  for (const family of families)
    add(client, { ...family, name: prefix + family.name }, registers, read)
  addLatency(client, prefix + latencyName, registers, () => read().metrics.publishing.latency)
  return register
}

/**
 * A handler that answers scrapes: the text of the register that has the metrics of an event stream.
 *
 * @param options - As for {@link prometheusMetrics}, which it calls with the first request.
 * @throws EventStreamError `ERR_OPTION` when an option cannot work.
 */
export function metricsHandler(
  eventStream: EventStream,
  options: PrometheusOptions = {},
): EventStreamHandler {
  observed.of(eventStream)
  checkNames('metricsHandler', options, ['prefix', 'register'])
  checkPrefix(options.prefix)
  checkRegister(options.register)
  let adding: Promise<PrometheusRegister> | undefined
  return answering(eventStream, 'metricsHandler', async () => {
    adding ??= inBackground(() => prometheusMetrics(eventStream, options))
    const register = await adding
    return { type: register.contentType, body: await register.metrics() }
  })
}

async function load(): Promise<PromClient> {
  try {
    return exportsOf(await import('prom-client'), 'Registry')
  } catch (error) {
    unlessMissing('prom-client', error)
    throw new EventStreamError(
      'ERR_OPTION',
      'Metrics for Prometheus need the package prom-client, which is not installed; run: npm install prom-client',
    )
  }
}

function checkPrefix(prefix: unknown): void {
  if (prefix === undefined) return
  if (typeof prefix === 'string' && /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(prefix)) return
  throw new EventStreamError(
    'ERR_OPTION',
    `prefix is ${quote(prefix)}; give letters, digits and _, such as headwater_.`,
  )
}

function checkRegister(register: PrometheusRegister | undefined): void {
  if ((register ?? undefined) === undefined) return
  if (typeof Object(register).getSingleMetric === 'function') return
  throw new EventStreamError(
    'ERR_OPTION',
    `register is ${quote(register)}; give a Registry of prom-client, such as its register.`,
  )
}

/** All of them, before the first one is added. */
function checkNamesAreFree(register: PrometheusRegister, prefix: string): void {
  const names = [latencyName, ...families.map(({ name }) => name)].map((name) => prefix + name)
  const taken = names.find((name) => register.getSingleMetric(name) !== undefined)
  if (taken === undefined) return
  throw new EventStreamError(
    'ERR_OPTION',
    `The register has metrics that begin with ${quote(prefix)} already, such as ${quote(taken)}; give each event stream a prefix or a register of its own.`,
  )
}

/** A scrape reads all families in one turn of the event loop, and gets one snapshot. */
function oncePerTurn(read: () => Snapshot): () => Snapshot {
  let snapshot: Snapshot | undefined
  return () => {
    if (snapshot === undefined) {
      snapshot = read()
      queueMicrotask(() => {
        snapshot = undefined
      })
    }
    return snapshot
  }
}

function add(
  { Counter, Gauge }: PromClient,
  { name, help, type, label, values }: Family,
  registers: InstanceType<PromClient['Registry']>[],
  read: () => Snapshot,
): void {
  const labelNames = label === undefined ? [] : [label]
  const Kind = type === 'counter' ? Counter : Gauge
  new Kind({
    name,
    help,
    labelNames,
    registers,
    collect() {
      this.reset()
      const value = values(read())
      if (typeof value === 'number') this.inc(value)
      else
        for (const [key, count] of Object.entries(value))
          this.inc({ [label as string]: key }, count)
    },
  })
}

/** What was counted elsewhere cannot be put into a `Histogram`, so it gives the values itself. */
function addLatency(
  { Histogram }: PromClient,
  name: string,
  registers: InstanceType<PromClient['Registry']>[],
  read: () => Latency,
): void {
  const help = latencyHelp
  const histogram = new Histogram({ name, help, registers })
  const get = async () => ({
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    values: latencyValues(name, read()),
  })
  Object.assign(histogram, { get, getForPromString: get })
}

function latencyValues(name: string, { boundsMs, counts, sumMs, count }: Latency) {
  let below = 0
  const buckets = counts.map((inBucket, i) => {
    below += inBucket
    const bound = boundsMs[i]
    const le = bound === undefined ? '+Inf' : bound / 1000
    return { metricName: `${name}_bucket`, labels: { le }, value: below }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sumMs / 1000 },
    { metricName: `${name}_count`, labels: {}, value: count },
  ]
}
