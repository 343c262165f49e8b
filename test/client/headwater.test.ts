import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { recoverFrom } from '../../src/client.js'
import { memoryEventLog } from '../../src/index.js'
import { resilience } from '../../src/resilience.js'
import { streamApp } from '../e2e/stream-app.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { openSource, streamHead } from './open-source.js'

jest.setTimeout(60_000)

describe('the client of a headwater server', () => {
  test('has each event once and in order, however often it is cut, on one and on several channels', async () => {
    const channelSets = fc.constantFrom<string[]>(['a'], ['a', 'b~1-1*', 'Zimmer/ü'])
    const steps = fc.array(
      fc.record({
        events: fc.integer({ min: 0, max: 40 }),
        fault: fc.constantFrom('none', 'end', 'reset', 'close', 'reopen'),
        waitMs: fc.integer({ min: 0, max: 15 }),
      }),
      { minLength: 5, maxLength: 25 },
    )
    await fc.assert(
      fc.asyncProperty(channelSets, steps, fc.boolean(), async (channels, list, inQuery) => {
        const log = memoryEventLog({ maxEvents: 100_000 })
        const { app, eventStream, sockets } = streamApp(
          channels,
          { log },
          { startFrom: 'earliest' },
        )
        const { url, close } = await startServer(app)
        const opened = openSource(`${url}/events`, {
          minRetryMs: 5,
          sendPosition: inQuery ? 'query' : 'header',
        })
        const { source, data, told } = opened
        const published = channels.map((): number => 0)
        for (const { events, fault, waitMs } of list) {
          for (let i = 0; i < events; i++) {
            const channel = i % channels.length
            published[channel] = (published[channel] ?? 0) + 1
            const event = { channel, n: published[channel], text: 'ü'.repeat(i) }
            await eventStream.publishEvent(channels[channel] as string, { data: event })
          }
          if (fault === 'end') sockets.at(-1)?.destroy()
          if (fault === 'reset') sockets.at(-1)?.resetAndDestroy()
          if (fault === 'close') source.close()
          if (fault === 'reopen') source.reopen()
          // The sockets are served only while the publisher waits.
          await delay(waitMs)
        }
        source.reopen()
        await opened.receives(published.reduce((sum, n) => sum + n, 0))
        await eventStream.publishEvent('a', { data: 'end' })
        await until(() => data.at(-1) === '"end"')

        const heard = data.slice(0, -1).map((text) => JSON.parse(text))
        const heardOf = channels.map((_, i) => heard.filter(({ channel }) => channel === i))
        expect(heardOf.map((events) => events.map(({ n }) => n))).toEqual(
          published.map((count) => Array.from({ length: count }, (_, i) => i + 1)),
        )
        expect(told.filter(({ type }) => type === 'reset')).toEqual([])
        source.close()
        await eventStream.close({ graceMs: 0 })
        await close()
      }),
      { numRuns: 50, interruptAfterTimeLimit: 40_000 },
    )
  })

  test('has each event once when each answer breaks off at any byte', async () => {
    const channelSets = fc.constantFrom<string[]>(['a'], ['a', 'Zimmer/ü'])
    await fc.assert(
      fc.asyncProperty(
        channelSets,
        fc.array(fc.nat(900), { maxLength: 40 }),
        async (channels, cuts) => {
          const { app, eventStream } = streamApp(channels, {}, { startFrom: 'earliest' })
          const { url, close } = await startServer(app)
          for (let n = 0; n < 60; n++) {
            const event = { data: { n, text: '世'.repeat(n % 7) } }
            await eventStream.publishEvent(channels[n % channels.length] as string, event)
          }
          const left = [...cuts]
          const { source, data, errors, receives } = openSource(`${url}/events`, {
            minRetryMs: 1,
            fetch: async (target, init) => cutAfter(left.shift(), await fetch(target, init)),
          })

          await receives(60)
          await eventStream.publishEvent('a', { data: 'end' })
          await until(() => data.at(-1) === '"end"')

          const numbers = data.slice(0, -1).map((text) => JSON.parse(text).n)
          expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i))
          expect(errors.every(({ code }) => code === 'ERR_CONNECTION')).toBe(true)
          source.close()
          await eventStream.close({ graceMs: 0 })
          await close()
        },
      ),
      { numRuns: 50, interruptAfterTimeLimit: 40_000 },
    )
  })

  test('hears of what can no longer be had', async () => {
    const { app, eventStream, sockets } = streamApp('a', { log: memoryEventLog({ maxEvents: 5 }) })
    const { url } = await startServer(app)
    const { source, told, receives } = openSource(`${url}/events`)
    await until(() => source.lastEventId !== '')
    await eventStream.publishEvent('a', { data: 0 })
    await receives(1)

    sockets[0]?.destroy()
    for (let n = 1; n <= 10; n++) await eventStream.publishEvent('a', { data: n })
    await until(() => told.some(({ type }) => type === 'reset'))
    await eventStream.publishEvent('a', { data: 'next' })

    expect(await receives(2)).toEqual(['0', '"next"'])
    expect(told).toContainEqual({ type: 'reset', channels: ['a'], reason: 'trimmed' })
  })

  test('drops what it has had when its position does not arrive', async () => {
    const { app, eventStream, sockets } = streamApp(['a', 'b'], {}, { startFrom: 'earliest' })
    const { url } = await startServer((req, res) => {
      delete req.headers['last-event-id']
      app(req, res)
    })
    const { data, receives } = openSource(`${url}/events`)
    for (let n = 0; n < 10; n++) await eventStream.publishEvent('ab'[n % 2] as string, { data: n })
    await receives(10)

    sockets[0]?.destroy()
    await eventStream.publishEvent('a', { data: 'next' })
    await until(() => data.at(-1) === '"next"')

    expect(data.slice(0, -1)).toHaveLength(10)
    expect(new Set(data)).toHaveProperty('size', 11)
  })

  test('takes another log in the same place for what it is, though it counts from 1 again', async () => {
    const old = streamApp('a', {}, { startFrom: 'earliest' })
    const oldServer = await startServer(old.app)
    const { told, data, receives } = openSource(`${oldServer.url}/events`)
    for (const n of [1, 2, 3]) await old.eventStream.publishEvent('a', { data: n })
    await receives(3)

    await oldServer.close()
    const { app, eventStream } = streamApp('a')
    await startServer(app, Number(new URL(oldServer.url).port))
    await until(() => told.some(({ type }) => type === 'reset'))
    for (const n of [4, 5]) await eventStream.publishEvent('a', { data: n })
    await receives(5)

    expect(data).toEqual(['1', '2', '3', '4', '5'])
    expect(told).toContainEqual({ type: 'reset', channels: ['a'], reason: 'unknown' })
  })

  test('does not hear what keeps the connection alive, nor what opens it', async () => {
    const { app, eventStream } = streamApp('a', { keepAliveMs: 40, keepAlive: 'event' })
    const { url } = await startServer(app)
    const { source, receives } = openSource(`${url}/events`, { silenceMs: 1000 })
    await until(() => source.lastEventId !== '')
    await delay(200)
    await eventStream.publishEvent('a', { event: 'error', data: 1 })

    expect(await receives(1)).toEqual(['1'])
  })

  test('drops nothing of other servers, whose ids mean what they like', async () => {
    const { url } = await startServer((_req, res) => {
      streamHead(res).write(
        'data: 1\nid: 5-1\n\ndata: 2\nid: 5-1\n\nevent: stream-end\ndata: 3\n\n',
      )
    })

    expect(await openSource(url).receives(3)).toEqual(['1', '2', '3'])
  })

  test('comes back after an error of the stream', async () => {
    let n = 0
    const { url } = await startServer((_req, res) => {
      n += 1
      streamHead(res).write('event: stream-open\ndata: {}\nid: 1-1\n\n')
      if (n === 1) res.write('event: stream-error\ndata: {}\n\n')
      else res.write('data: 1\nid: 2-1\n\n')
    })
    const { errors, receives } = openSource(url)

    await receives(1)

    expect(errors).toMatchObject([{ code: 'ERR_STREAM', isFinal: false }])
  })
})

describe('the client of a stream with an end', () => {
  async function startStream() {
    const { app, eventStream } = setUp()
    app.get(
      '/answers/:id',
      eventStream.streams.handler('{id}', async function* () {
        yield 'Hello, '
        yield 'world.'
      }),
    )
    return { eventStream, url: (await startServer(app)).url }
  }

  test('ends with it, and tells how', async () => {
    const { url } = await startStream()
    const { source, told, data, closes } = openSource(`${url}/answers/1`)

    await closes()

    expect(data).toEqual(['"Hello, "', '"world."'])
    expect(told.filter(({ type }) => type !== 'open')).toEqual([
      { type: 'end', state: 'completed' },
    ])
    expect(source.position).toMatch(/-0$/)
  })

  test('ends at once when it comes back with the end', async () => {
    const { url } = await startStream()
    const first = openSource(`${url}/answers/1`)
    await first.closes()
    const { told, data, closes } = openSource(`${url}/answers/1`, {
      position: first.source.position,
    })

    await closes()

    expect(told).toEqual([{ type: 'end' }])
    expect(data).toEqual([])
  })
})

describe('the recovery endpoint, asked by the client', () => {
  async function startJobs() {
    const { app, eventStream } = setUp()
    const { registry, sendStreamEvent, recoveryHandler } = resilience(eventStream)
    app.get('/jobs/:id/recover', recoveryHandler({ id: '{id}' }))
    app.get('/jobs/:id', eventStream.streams.handler('{id}'))
    return { registry, sendStreamEvent, url: (await startServer(app)).url }
  }

  test('gives what was missed and the end, when the stream itself is gone', async () => {
    const { registry, sendStreamEvent, url } = await startJobs()
    await registry.register({ streamId: '7' })
    for (let n = 0; n < 1500; n++) await sendStreamEvent('7', 'progress', { n })
    await sendStreamEvent('7', 'done', { total: 1500 }, true)
    const { told, data, closes } = openSource(`${url}/gone`, {
      recover: recoverFrom(`${url}/jobs/7/recover`),
    })

    await closes()

    expect(data.map((text) => JSON.parse(text))).toEqual([
      ...Array.from({ length: 1500 }, (_, n) => ({ n })),
      { total: 1500 },
    ])
    expect(told).toEqual([{ type: 'end', state: 'completed', result: { total: 1500 } }])
  })

  test('says nothing twice when it is asked in between, and the stream goes on', async () => {
    const { registry, sendStreamEvent, url } = await startJobs()
    await registry.register({ streamId: '7' })
    const positions: string[] = []
    const { source, told, data, receives, closes } = openSource(`${url}/jobs/7`, {
      recover: recoverFrom((position) => {
        positions.push(position)
        return `${url}/jobs/7/recover`
      }),
    })
    await sendStreamEvent('7', 'progress', 1)
    await receives(1)

    source.close()
    await sendStreamEvent('7', 'progress', 2)
    await source.recover()
    expect(data).toEqual(['1', '2'])
    await sendStreamEvent('7', 'done', 3, true)
    await closes()

    expect(data).toEqual(['1', '2', '3'])
    expect(positions).toHaveLength(1)
    expect(told.at(-1)).toMatchObject({ type: 'end', state: 'completed' })
  })

  test('leaves the error of the stream when it knows nothing either', async () => {
    const { url } = await startJobs()
    const recover = recoverFrom(`${url}/jobs/8/recover`)
    const { source, errors, closes } = openSource(`${url}/jobs/8`, { recover })

    await closes()

    expect(errors).toMatchObject([{ code: 'ERR_STATUS', status: 404, isFinal: true }])
    await expect(source.recover()).rejects.toMatchObject({ code: 'ERR_STATUS', status: 404 })
    expect(source.readyState).toBe(source.CLOSED)
    await expect(openSource(url).source.recover()).rejects.toMatchObject({ code: 'ERR_OPTION' })
  })

  test('disturbs nobody who closes and opens the source before it has answered', async () => {
    const { registry, sendStreamEvent, url } = await startJobs()
    await registry.register({ streamId: '9' })
    const asked: (number | undefined)[] = []
    let path = 'jobs/9'
    const { source, told, data, receives } = openSource(() => `${url}/${path}`, {
      recover: (_stream, signal, error) => {
        asked.push(error?.status)
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        })
      },
    })
    await until(() => source.readyState === source.OPEN)

    const recovered = source.recover()
    await until(() => asked.length === 1)
    source.close()
    path = 'gone'
    source.reopen()
    await recovered
    await until(() => asked.length === 2)
    source.close()
    path = 'jobs/9'
    source.reopen()
    await until(() => source.readyState === source.OPEN)
    await sendStreamEvent('9', 'progress', 1)
    await receives(1)

    expect(asked).toEqual([undefined, 404])
    expect(data).toEqual(['1'])
    expect(told.filter(({ type }) => type === 'error')).toEqual([])
  })
})

/** An answer whose connection is lost after so many bytes. */
function cutAfter(count: number | undefined, response: Response): Response {
  if (count === undefined) return response
  let left = count
  const cut = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      controller.enqueue(chunk.subarray(0, left))
      left -= chunk.length
      // What has come by then is lost with the connection, or is not.
      if (left < 0 && count % 2 === 0) controller.error(new Error('The network is gone.'))
      else if (left < 0) controller.terminate()
    },
  })
  return new Response(response.body?.pipeThrough(cut) ?? null, response)
}
