import { expect, test } from '@jest/globals'
import type { Request } from 'express'
import { memoryEventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import type { Subject } from './components.js'
import { LabPage, labPage, labScript } from './lab-page.js'

type Options = NonNullable<Parameters<typeof setUp>[0]>

/** Rooms, each a channel, at `/rooms/:id`; and a page. */
function roomApp(options: Options = {}, rendered: readonly Subject[] = []) {
  const { app, eventStream } = setUp(options)
  /** Rooms of the streams opened so far. */
  const opened: string[] = []
  /** Values of `Authorization` of all requests so far. */
  const tokens: (string | undefined)[] = []
  app.get('/', labPage(rendered))
  app.get('/lab.js', labScript())
  app.get('/closed', (_req, res) => {
    res.status(403).send('not yours')
  })
  app.get(
    '/rooms/:id',
    eventStream(
      (req: Request) => {
        tokens.push(req.headers.authorization)
        return `${req.params.id}`
      },
      { retryMs: 100, onOpen: ({ channels }) => opened.push(...channels) },
    ),
  )
  const publish = async (room: string, from: number, to: number) => {
    for (let data = from; data <= to; data++) await eventStream.publishEvent(room, { data })
  }
  return { app, eventStream, opened, tokens, publish }
}

const one: Subject = { hook: 'events', name: 'one', url: '/rooms/a' }
const two: Subject = { ...one, name: 'two' }

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `message ${from + i}`)
}

describeWithChromium('useEventStream', (browser) => {
  test('has one connection for two components, which both have all events', async () => {
    const { app, eventStream, opened, publish } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)

    await lab.render(one, two)
    for (const name of ['one', 'two']) await lab.shows(name, ({ status }) => status === 'open')
    await publish('a', 1, 3)
    const seen = [
      await lab.shows('one', ({ sum }) => sum === 6),
      await lab.shows('two', ({ sum }) => sum === 6),
    ]

    for (const { events, heard, status } of seen) {
      expect([status, events, heard]).toEqual(['open', numbers(1, 3), ['1', '2', '3']])
    }
    expect([opened, eventStream.count('a')]).toEqual([['a'], 1])
  })

  test('begins with what is kept, where the connection is there already', async () => {
    const { app, opened, publish } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render({ ...one, keep: 3 })
    await lab.shows('one', ({ status }) => status === 'open')
    await publish('a', 1, 10)
    await lab.shows('one', ({ sum }) => sum === 55)

    await lab.render({ ...one, keep: 3 }, two)
    const seen = await lab.shows('two', ({ status }) => status === 'open')

    expect([seen.events, seen.sum, seen.heard]).toEqual([numbers(8, 10), 27, []])
    expect((await lab.look('one')).events).toEqual(numbers(8, 10))
    expect(opened).toEqual(['a'])
  })

  test('closes when the last component is unmounted, and not when it is mounted again', async () => {
    const { app, eventStream, opened, publish } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(one, two)
    await lab.shows('two', ({ status }) => status === 'open')

    await lab.render(two)
    await lab.render()
    await lab.render(one)
    await publish('a', 1, 1)
    const seen = await lab.shows('one', ({ sum }) => sum === 1)
    expect([seen.status, opened]).toEqual(['open', ['a']])
    await lab.render()
    await until(() => eventStream.count('a') === 0)

    await publish('a', 2, 2)
    await lab.render(one)
    await lab.shows('one', ({ status, events }) => status === 'open' && events.length === 0)
    expect(opened).toEqual(['a', 'a'])
  })

  test('goes to another address, and to none', async () => {
    const { app, eventStream, opened, publish } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(one)
    await lab.shows('one', ({ status }) => status === 'open')
    await publish('a', 1, 1)
    await lab.shows('one', ({ sum }) => sum === 1)

    await lab.render({ ...one, url: '/rooms/b' })
    const fresh = await lab.shows('one', ({ status }) => status === 'open')
    await publish('b', 7, 8)
    const seen = await lab.shows('one', ({ sum }) => sum === 15)
    await lab.render({ ...one, url: null })
    const idle = await lab.shows('one', ({ status }) => status === 'idle')

    expect([fresh.events, seen.events, idle.events]).toEqual([[], numbers(7, 8), []])
    expect(opened).toEqual(['a', 'b'])
    await until(() => eventStream.count('a') + eventStream.count('b') === 0)
  })

  test('has each event once, in order, over a restart of the server', async () => {
    const log = memoryEventLog()
    const old = roomApp({ log })
    const server = await startServer(old.app)
    const lab = await LabPage.open(browser, server.url)
    await lab.render({ ...one, keep: 1000 })
    await lab.shows('one', ({ status }) => status === 'open')
    await old.publish('a', 1, 50)
    await server.close()
    await old.publish('a', 51, 100)
    const lost = await lab.shows('one', ({ status }) => status === 'waiting')

    const next = roomApp({ log })
    await startServer(next.app, Number(new URL(server.url).port))
    await next.publish('a', 101, 150)
    const seen = await lab.shows('one', ({ events }) => events.at(-1) === 'message 150')

    expect(lost.error).toEqual({ code: 'ERR_CONNECTION' })
    expect(seen.events).toEqual(numbers(1, 150))
    expect(seen.heard).toEqual(numbers(1, 150).map((event) => event.slice(8)))
    expect([seen.status, seen.error, seen.sum]).toEqual(['open', undefined, (150 * 151) / 2])
  })

  test('renders a few times for a thousand events', async () => {
    const { app, eventStream } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(one)
    const before = await lab.shows('one', ({ status }) => status === 'open')

    const data = Array.from({ length: 1000 }, (_, i) => i + 1)
    await Promise.all(data.map((data) => eventStream.publishEvent('a', { data })))
    const seen = await lab.shows('one', ({ sum }) => sum === (1000 * 1001) / 2)

    expect(seen.events).toEqual(numbers(901, 1000))
    expect(seen.heard).toHaveLength(1000)
    // Each of them twice, in StrictMode.
    expect(seen.renders - before.renders).toBeLessThan(50)
  })

  test('takes the names that are asked for', async () => {
    const { app, eventStream, publish } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render({ ...one, events: ['tick', 'error'] }, two)
    await lab.shows('two', ({ status }) => status === 'open')

    await eventStream.publishEvent('a', { event: 'tick', data: 1 })
    await publish('a', 2, 2)
    await eventStream.publishEvent('a', { event: 'error', data: 3 })
    const seen = await lab.shows('one', ({ sum }) => sum === 4)
    const other = await lab.shows('two', ({ sum }) => sum === 6)

    expect(seen.events).toEqual(['tick 1', 'error 3'])
    expect(other.events).toEqual(['tick 1', 'message 2', 'error 3'])
  })

  test('calls the functions that were rendered last, without opening anew', async () => {
    const { app, opened, tokens, publish } = roomApp()
    const server = await startServer(app)
    const lab = await LabPage.open(browser, server.url)
    await lab.render({ ...one, token: 'old' })
    await lab.shows('one', ({ status }) => status === 'open')
    await publish('a', 1, 1)
    await lab.shows('one', ({ sum }) => sum === 1)

    await lab.render({ ...one, token: 'new' })
    await publish('a', 2, 2)
    const seen = await lab.shows('one', ({ sum }) => sum === 3)
    expect([seen.tokens, opened]).toEqual([['old', 'new'], ['a']])
    server.server.closeAllConnections()
    await until(() => opened.length === 2)

    expect(tokens).toEqual(['old', 'new'])
  })

  test('begins anew after a reset, when it is told to', async () => {
    const { app, opened, publish } = roomApp({ log: memoryEventLog({ maxEvents: 5 }) })
    const server = await startServer(app)
    const lab = await LabPage.open(browser, server.url)
    await lab.render({ ...one, restartsOnReset: true })
    await lab.shows('one', ({ status }) => status === 'open')
    await publish('a', 1, 1)
    await lab.shows('one', ({ sum }) => sum === 1)

    await server.close()
    await lab.shows('one', ({ status }) => status === 'waiting')
    await publish('a', 2, 20)
    await startServer(app, Number(new URL(server.url).port))
    await lab.shows('one', ({ resets, status, events }) => {
      return resets === 1 && status === 'open' && events.length === 0
    })
    await publish('a', 21, 21)
    const seen = await lab.shows('one', ({ events }) => events.length === 1)

    expect([seen.events, seen.sum, seen.resetReasons]).toEqual([['message 21'], 21, ['trimmed']])
    expect(opened).toEqual(['a', 'a', 'a'])
  })

  test('closes, and goes on where it was', async () => {
    const { app, eventStream, publish } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    await lab.render(one)
    await lab.shows('one', ({ status }) => status === 'open')
    await publish('a', 1, 1)
    await lab.shows('one', ({ sum }) => sum === 1)

    await lab.call('one', 'close')
    await lab.shows('one', ({ status }) => status === 'idle')
    await until(() => eventStream.count('a') === 0)
    await publish('a', 2, 3)
    await lab.call('one', 'reopen')
    const seen = await lab.shows('one', ({ sum }) => sum === 6)

    expect(seen.events).toEqual(numbers(1, 3))
  })

  test('has what came while it was hidden, whether others went on or not', async () => {
    const { app, eventStream, publish } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)
    const shown = { ...one, isHidden: false }
    const hidden = { ...one, isHidden: true }
    await lab.render(shown, two)
    await lab.shows('one', ({ status }) => status === 'open')
    await publish('a', 1, 1)
    await lab.shows('one', ({ sum }) => sum === 1)

    await lab.render(hidden, two)
    await publish('a', 2, 3)
    await lab.shows('two', ({ sum }) => sum === 6)
    await lab.render(shown, two)
    await lab.shows('one', ({ sum }) => sum === 6)
    await lab.render(hidden)
    await until(() => eventStream.count('a') === 0)
    await publish('a', 4, 5)
    await lab.render(shown)
    const seen = await lab.shows('one', ({ sum }) => sum === 15)

    expect([seen.status, seen.events]).toEqual(['open', numbers(1, 5)])
  })

  test('says why it has failed', async () => {
    const { app } = roomApp()
    const lab = await LabPage.open(browser, (await startServer(app)).url)

    await lab.render({ ...one, url: '/closed' })
    const seen = await lab.shows('one', ({ status }) => status === 'failed')

    expect(seen.error).toEqual({ code: 'ERR_STATUS', status: 403 })
  })

  test('takes over what a server has rendered, without a complaint', async () => {
    const subjects = [one, { ...two, url: null }]
    const { app, opened, publish } = roomApp({}, subjects)
    const { url } = await startServer(app)
    const markup = await (await fetch(url)).text()
    const lab = await LabPage.open(browser, url)

    await lab.hydrate(...subjects)
    await lab.shows('one', ({ status }) => status === 'open')
    await publish('a', 1, 1)
    await lab.shows('one', ({ sum }) => sum === 1)

    expect(markup).toContain('<p>one connecting 0</p><p>two idle 0</p>')
    expect(await lab.page.textContent('#root')).toBe('one open 1two idle 0')
    expect([opened, lab.complaints]).toEqual([['a'], []])
  })
})
