import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, test } from '@jest/globals'
import { EventStreamError, memoryEventLog } from '../../src/index.js'
import { observed } from '../../src/observe/observed.js'
import type { ObservedMessages } from '../../src/observe.js'
import { setUp } from '../support/app.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

const unsubscribers: (() => void)[] = []

/** What is told on a channel until the end of the test. */
function listen<Name extends keyof ObservedMessages>(name: Name): ObservedMessages[Name][] {
  const messages: ObservedMessages[Name][] = []
  const listener = (message: unknown) => {
    messages.push(message as ObservedMessages[Name])
  }
  subscribe(name, listener)
  unsubscribers.push(() => unsubscribe(name, listener))
  return messages
}

afterEach(() => {
  for (const end of unsubscribers.splice(0)) end()
})

const big = 'x'.repeat(10_000)

describe('on node:diagnostics_channel, an event stream', () => {
  test('tells of streams that open and end, and why', async () => {
    const opened = listen('headwater:connection:open')
    const closed = listen('headwater:connection:close')
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    client.destroy()
    await until(() => closed.length === 1)
    expect(opened).toHaveLength(1)
    expect(opened[0]?.eventStream).toBe(eventStream)
    expect(opened[0]?.stream.channels).toEqual(['a'])
    expect(closed).toEqual([
      {
        eventStream,
        stream: opened[0]?.stream,
        reason: 'client',
        durationMs: expect.any(Number),
      },
    ])
  })

  test('tells of what is published, how long it took, and what failed', async () => {
    const published = listen('headwater:publish')
    const { eventStream } = setUp()
    await eventStream.publishEvent('a', { data: 1 })
    const error = await eventStream.publishEvent('', { data: 1 }).catch((thrown) => thrown)
    const latencyMs = expect.any(Number)
    expect(published).toEqual([
      { eventStream, channel: 'a', events: 1, latencyMs, error: undefined },
      { eventStream, channel: '', events: 1, latencyMs, error },
    ])
    expect(error).toBeInstanceOf(EventStreamError)
  })

  test('tells of replays, and of what cannot be replayed', async () => {
    const replays = listen('headwater:replay')
    const resets = listen('headwater:reset')
    const { eventStream, app, serve } = setUp({ log: memoryEventLog({ maxEvents: 2 }) })
    app.get('/events', eventStream('a'))
    const request = await serve()
    const ids: string[] = []
    for (const data of [1, 2, 3, 4]) ids.push((await eventStream.publishEvent('a', { data })).id)
    await (await request('/events', { lastEventId: ids[2] })).received(1)
    await until(() => replays.length === 1)
    await request('/events', { lastEventId: ids[0] })
    await until(() => resets.length === 1)
    expect(replays[0]).toEqual({
      eventStream,
      stream: expect.objectContaining({ openedAt: expect.any(Date) }),
      events: 1,
      durationMs: expect.any(Number),
    })
    expect(resets).toEqual([{ eventStream, channels: ['a'], reason: 'trimmed', connections: 1 }])
  })

  test('tells of clients that fall behind', async () => {
    const behind = listen('headwater:behind')
    const { eventStream, app, serve } = setUp({ maxQueueBytes: 50_000 })
    app.get('/events', eventStream('a'))
    const slow = await (await serve())('/events', { paused: true })
    await until(() => eventStream.connections().every(({ state }) => state === 'live'))
    while (behind.length === 0) await eventStream.publishEvent('a', { data: big })
    expect(behind[0]?.queuedBytes).toBeGreaterThan(50_000)
    expect(behind[0]?.stream).toBe(eventStream.connections()[0])
    slow.destroy()
  })

  test('tells of streams, and of errors of the log', async () => {
    const started = listen('headwater:stream:start')
    const ended = listen('headwater:stream:end')
    const errors = listen('headwater:log:error')
    const away = new EventStreamError('ERR_LOG_UNAVAILABLE', 'away')
    const { eventStream } = setUp()
    await eventStream.streams.create('s', new ReadableStream())
    await eventStream.streams.stop('s', 'enough')
    await until(() => ended.length === 1)
    const log = wrapLog(memoryEventLog(), { append: async () => Promise.reject(away) })
    const other = setUp({ log }).eventStream
    await expect(other.publishEvent('a', { data: 1 })).rejects.toBe(away)
    expect(started).toEqual([{ eventStream, id: 's' }])
    expect(ended).toEqual([
      { eventStream, id: 's', state: 'aborted', reason: 'enough', durationMs: expect.any(Number) },
    ])
    expect(errors).toEqual([{ eventStream: other, error: away }])
    expect(other.metrics().errors.log).toBe(1)
  })

  test('tells of the rounds of a guardian, and of errors of a proxy', async () => {
    const rounds = listen('headwater:guardian')
    const errors = listen('headwater:proxy:error')
    const { eventStream } = setUp()
    const { observer } = observed.of(eventStream)
    const round = { checks: 3, checkFailures: 1, orphaned: 2, completed: 0, durationMs: 4 }
    const error = new EventStreamError('ERR_PROXY_UNAVAILABLE', 'away')
    observer.guarded(round)
    observer.failed(error)
    expect(rounds).toEqual([{ eventStream, ...round }])
    expect(errors).toEqual([{ eventStream, error }])
  })
})
