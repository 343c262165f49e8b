import { describe, expect, test } from '@jest/globals'
import promClient, { Counter, Registry } from 'prom-client'
import type { EventStream } from '../../src/index.js'
import { metricsHandler, prometheusMetrics } from '../../src/observe.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'

interface Sample {
  readonly name: string
  readonly labels: string
  readonly value: number
}

interface Family {
  readonly type: string
  readonly help: string
  readonly samples: Sample[]
}

/** Reads the text format, strictly: each sample belongs to the family before it. */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>()
  let current: [string, Family] | undefined
  let help: [string, string] | undefined
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (kind === 'HELP') help = [name as string, rest as string]
    else if (kind === 'TYPE') {
      if (help?.[0] !== name || families.has(name as string)) throw new Error(`Not once: ${line}`)
      current = [name as string, { type: rest as string, help: help?.[1] as string, samples: [] }]
      families.set(...current)
    } else {
      const sample = /^([a-zA-Z_:][\w:]*)(\{(?:\w+="[^"\n]*",?)+\})? (\S+)$/.exec(line)
      const [, sampleName = '', labels = '', value] = sample ?? []
      if (sample === null || !current || !sampleName.startsWith(current[0])) throw new Error(line)
      current[1].samples.push({ name: sampleName, labels, value: Number(value) })
    }
  }
  return families
}

async function scrape(url: string) {
  const response = await fetch(`${url}/metrics`)
  const text = await response.text()
  return { response, families: parse(text) }
}

function sampleOf(families: Map<string, Family>, name: string, labels = ''): number | undefined {
  return families.get(name)?.samples.find((sample) => sample.labels === labels)?.value
}

describe('metrics for Prometheus', () => {
  test('are what was counted, however often they are scraped', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    app.get('/metrics', metricsHandler(eventStream))
    const { url } = await startServer(app)
    const request = await serve()
    const gone = await (await request('/events')).opened()
    const client = await (await request('/events')).opened()
    await eventStream.publishEvent('a', { data: 1 })
    await Promise.all([gone.received(1), client.received(1)])
    gone.destroy()
    for (;;) {
      const { families, response } = await scrape(url)
      if (sampleOf(families, 'headwater_connections') === 2) continue
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(sampleOf(families, 'headwater_connections')).toBe(1)
      break
    }
    const { families } = await scrape(url)
    expect(sampleOf(families, 'headwater_connections_opened_total')).toBe(2)
    expect(sampleOf(families, 'headwater_connections_closed_total', '{reason="client"}')).toBe(1)
    expect(sampleOf(families, 'headwater_connections_closed_total', '{reason="kick"}')).toBe(0)
    expect(sampleOf(families, 'headwater_deliveries_total')).toBe(2)
    expect(sampleOf(families, 'headwater_log_up')).toBe(1)
  })

  test('are named and typed as is usual', async () => {
    const { eventStream } = setUp()
    const register = await prometheusMetrics(eventStream)
    const families = parse(await register.metrics())
    expect(families.size).toBeGreaterThan(25)
    for (const [name, { type, help, samples }] of families) {
      expect(name).toMatch(/^headwater_[a-z_]+$/)
      expect(name.endsWith('_total')).toBe(type === 'counter')
      expect(help).toMatch(/\.$/)
      expect(samples.length).toBeGreaterThan(0)
    }
  })

  test('have the latency as a histogram whose buckets add up', async () => {
    const { eventStream } = setUp()
    const register = await prometheusMetrics(eventStream)
    for (let n = 0; n < 20; n++) await eventStream.publishEvent('a', { data: n })
    const family = parse(await register.metrics()).get('headwater_publish_duration_seconds')
    const buckets = family?.samples.filter(({ name }) => name.endsWith('_bucket')) ?? []
    const values = buckets.map(({ value }) => value)
    expect(family?.type).toBe('histogram')
    expect(buckets.at(-1)).toMatchObject({ labels: '{le="+Inf"}', value: 20 })
    expect(buckets[0]?.labels).toBe('{le="0.00025"}')
    expect(values).toEqual(values.toSorted((a, b) => a - b))
    const others = family?.samples.slice(buckets.length)
    expect(others).toEqual([
      { name: 'headwater_publish_duration_seconds_sum', labels: '', value: expect.any(Number) },
      { name: 'headwater_publish_duration_seconds_count', labels: '', value: 20 },
    ])
  })

  test('go into a register that is given, beside what it has', async () => {
    const { eventStream, app } = setUp()
    const register = new Registry()
    register.setDefaultLabels({ app: 'shop' })
    app.get('/metrics', metricsHandler(eventStream, { register, prefix: 'shop_' }))
    const { url } = await startServer(app)
    const { families } = await scrape(url)
    expect(sampleOf(families, 'shop_connections', '{app="shop"}')).toBe(0)
    expect([...families.keys()].every((name) => name.startsWith('shop_'))).toBe(true)
    expect(register.getSingleMetric('shop_connections')).toBeDefined()
  })

  test('of two event streams need two prefixes on one register', async () => {
    const [first, second] = [setUp().eventStream, setUp().eventStream]
    const register = new Registry()
    await prometheusMetrics(first, { register })
    await expect(prometheusMetrics(second, { register })).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringContaining('"headwater_" already'),
    })
    await prometheusMetrics(second, { register, prefix: 'second_' })
    await prometheusMetrics(second)
    await first.publishEvent('a', { data: 1 })
    const families = parse(await register.metrics())
    expect(sampleOf(families, 'headwater_published_events_total')).toBe(1)
    expect(sampleOf(families, 'second_published_events_total')).toBe(0)
  })

  test('leave a register as it was that has one of their names already', async () => {
    const { eventStream } = setUp()
    const register = new Registry()
    const name = 'shop_streams_ended_total'
    new Counter({ name, help: 'Of the shop.', registers: [register] })
    await expect(
      prometheusMetrics(eventStream, { register, prefix: 'shop_' }),
    ).rejects.toMatchObject({ code: 'ERR_OPTION', message: expect.stringContaining(`"${name}"`) })
    expect(register.getMetricsAsArray()).toHaveLength(1)
  })

  test('refuse options that cannot work', async () => {
    const { eventStream } = setUp()
    const wrong = { code: 'ERR_OPTION' }
    expect(() => metricsHandler(eventStream, { prefix: 'a-b' })).toThrow('prefix is "a-b"')
    expect(() => metricsHandler(eventStream, { prefix: null as never })).toThrow('prefix is null')
    expect(() => metricsHandler({} as EventStream)).toThrow('such as new EventStream()')
    for (const register of [{}, promClient, 'metrics'] as never[]) {
      expect(() => metricsHandler(eventStream, { register })).toThrow(
        expect.objectContaining({ ...wrong, message: expect.stringMatching(/give a Registry/) }),
      )
      await expect(prometheusMetrics(eventStream, { register })).rejects.toMatchObject(wrong)
    }
    await expect(prometheusMetrics(eventStream, { prefix: '' })).rejects.toMatchObject(wrong)
    await expect(prometheusMetrics(eventStream, { labels: 1 } as never)).rejects.toMatchObject(
      wrong,
    )
  })
})
