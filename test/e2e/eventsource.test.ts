import { expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { type Heard, PageEventSource, readyStates } from './page-event-source.js'
import { streamApp } from './stream-app.js'

const names = ['message', 'tick', 'keep-alive', 'stream-open', 'stream-reset', 'stream-error']

/** Events in short: `tick 1` for `{ event: 'tick', data: 1 }`. */
function brief(heard: readonly Heard[]): string[] {
  return heard.map(({ type, data }) => (type === 'stream-open' ? type : `${type} ${data}`))
}

describeWithChromium('EventSource in Chromium', (browser) => {
  test('receives what is published, intact and with its id', async () => {
    const { app, eventStream } = streamApp('a')
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    const values = [
      { text: 'Grüße, 世界 👋🏽', quote: '"\\"', breaks: '\r\n\n\u2028\u2029\0', nested: [[{}]] },
      'x'.repeat(300_000),
      -0.5,
      '',
      false,
      null,
    ]

    const published = []
    for (const data of values) {
      published.push(await eventStream.publishEvent('a', { event: 'tick', data }))
    }
    published.push(await eventStream.publishEvent('a', { raw: 'two\r\nlines' }))
    const [, ...heard] = await source.hears(1 + published.length)

    expect(heard.map(({ lastEventId }) => lastEventId)).toEqual(published.map(({ id }) => id))
    expect(heard.pop()).toMatchObject({ type: 'message', data: 'two\nlines' })
    expect(heard.map(({ type }) => type)).toEqual(values.map(() => 'tick'))
    expect(heard.map(({ data }) => JSON.parse(data))).toEqual(values)
  })

  test('comes back by itself after its connection is cut, and has what was published meanwhile', async () => {
    const { app, eventStream, sockets } = streamApp('a')
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    await eventStream.publishEvent('a', { data: 1 })
    await source.hears(1, 'message')

    sockets[0]?.destroy()
    for (const data of [2, 3]) await eventStream.publishEvent('a', { data })
    await source.hears(3, 'message')
    await eventStream.publishEvent('a', { data: 4 })
    const heard = await source.hears(4, 'message')

    const open = 'stream-open'
    expect(brief(heard)).toEqual([
      ...[open, 'message 1'],
      ...[open, 'message 2', 'message 3', 'message 4'],
    ])
  })

  test('has each event once when it comes back while another client stays', async () => {
    const { app, eventStream, sockets } = streamApp('a')
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    const other = await PageEventSource.open(page, '/events', names)
    await other.hears(1, 'stream-open')
    for (const data of [1, 2]) await eventStream.publishEvent('a', { data })
    await source.hears(2, 'message')

    sockets[0]?.destroy()
    for (const data of [3, 4]) await eventStream.publishEvent('a', { data })
    const heard = await source.hears(4, 'message')
    const heardByOther = await other.hears(4, 'message')

    const [one, two, three, four] = [1, 2, 3, 4].map((n) => `message ${n}`)
    expect(brief(heard)).toEqual(['stream-open', one, two, 'stream-open', three, four])
    expect(brief(heardByOther)).toEqual(['stream-open', one, two, three, four])
  })

  test('has what was published meanwhile, when it is cut before its first event', async () => {
    const { app, eventStream, sockets } = streamApp('a')
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')

    sockets[0]?.destroy()
    await eventStream.publishEvent('a', { data: 1 })
    const heard = await source.hears(1, 'message')

    expect(brief(heard)).toEqual(['stream-open', 'stream-open', 'message 1'])
  })

  test('does not hear comments that keep the connection alive', async () => {
    const { app, eventStream, sockets } = streamApp('a', { keepAliveMs: 40 })
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    const bytes = () => sockets[0]?.bytesWritten ?? 0
    const before = bytes()

    // A comment is `:\n`, in a chunk of HTTP of 7 bytes.
    await until(() => bytes() - before >= 3 * 7, 30_000)
    await eventStream.publishEvent('a', { data: 1 })
    const heard = await source.hears(1, 'message')

    expect(brief(heard)).toEqual(['stream-open', 'message 1'])
  })

  test('hears the event that keeps the connection alive, when that is asked for', async () => {
    const { app } = streamApp('a', { keepAliveMs: 40, keepAlive: 'event' })
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)

    const [open, ...keepAlives] = await source.hears(3)

    const { lastEventId } = open as Heard
    expect(keepAlives.slice(0, 2)).toEqual([
      { type: 'keep-alive', data: '', lastEventId },
      { type: 'keep-alive', data: '', lastEventId },
    ])
  })

  test('is told when the log no longer has what it missed, and goes on from now', async () => {
    const log = memoryEventLog({ maxEvents: 5 })
    const { app, eventStream, sockets } = streamApp('a', { log })
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    await eventStream.publishEvent('a', { data: 'first' })
    await source.hears(1, 'message')

    sockets[0]?.destroy()
    for (let n = 0; n < 10; n++) await eventStream.publishEvent('a', { data: 'missed' })
    await source.hears(1, 'stream-reset')
    await eventStream.publishEvent('a', { data: 'next' })
    const heard = await source.hears(2, 'message')

    expect(brief(heard)).toEqual([
      ...['stream-open', 'message "first"'],
      ...['stream-open', 'stream-reset {"channels":["a"],"reason":"trimmed"}', 'message "next"'],
    ])
  })

  test('is told when another server in the same place does not know its position', async () => {
    const old = streamApp('a')
    const oldServer = await startServer(old.app)
    const page = await browser.openPage(oldServer.url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    await old.eventStream.publishEvent('a', { data: 'old' })
    await source.hears(1, 'message')

    await oldServer.close()
    const { app, eventStream } = streamApp('a')
    await eventStream.publishEvent('a', { data: 'missed' })
    await startServer(app, Number(new URL(oldServer.url).port))
    await source.hears(1, 'stream-reset')
    await eventStream.publishEvent('a', { data: 'new' })
    const heard = await source.hears(2, 'message')

    expect(brief(heard)).toEqual([
      ...['stream-open', 'message "old"'],
      ...['stream-open', 'stream-reset {"channels":["a"],"reason":"unknown"}', 'message "new"'],
    ])
  })

  test('comes back after a restart when the closing server told it to, and has all', async () => {
    const log = memoryEventLog()
    const old = streamApp('a', { log })
    const oldServer = await startServer(old.app)
    const page = await browser.openPage(oldServer.url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    await old.eventStream.publishEvent('a', { data: 1 })
    await old.eventStream.close()
    const lost = await source.loses()
    await oldServer.close()

    const { app, eventStream } = streamApp('a', { log })
    await eventStream.publishEvent('a', { data: 2 })
    await startServer(app, Number(new URL(oldServer.url).port))
    await source.hears(2, 'message')
    await eventStream.publishEvent('a', { data: 3 })
    const heard = await source.hears(3, 'message')

    expect(lost).toMatchObject({ readyState: readyStates.connecting })
    expect(await source.readyState()).toBe(readyStates.open)
    expect(brief(heard)).toEqual([
      ...['stream-open', 'message 1'],
      ...['stream-open', 'message 2', 'message 3'],
    ])
    const [, , next] = await source.turns()
    // Closing asks for 1 to 5 seconds, and the route for 50 ms.
    expect((next?.at ?? 0) - lost.at).toBeGreaterThan(900)
  })

  test('gets a place by itself when one becomes free', async () => {
    const { app, eventStream } = streamApp('a', { maxConnections: 1 })
    const page = await browser.openPage((await startServer(app)).url)
    const first = await PageEventSource.open(page, '/events', names)
    await first.hears(1, 'stream-open')
    const second = await PageEventSource.open(page, '/events', names)
    const sentAway = await second.loses()

    await first.close()
    await second.hears(1, 'stream-open')
    await eventStream.publishEvent('a', { data: 1 })
    const heard = await second.hears(1, 'message')

    expect(sentAway).toMatchObject({ readyState: readyStates.connecting })
    expect(brief(heard)).toEqual(['stream-open', 'message 1'])
  })
})
