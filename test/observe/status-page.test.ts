import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import connect from 'connect'
import express, { type RequestHandler } from 'express'
import express4 from 'express-4'
import type { Page } from 'playwright-core'
import { type EventStream, memoryEventLog } from '../../src/index.js'
import { observed } from '../../src/observe/observed.js'
import { statusPage } from '../../src/observe.js'
import { resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { describeWithChromium } from '../support/browser.js'
import { countTimers } from '../support/count-timers.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

const quick = { stepMs: 50, pollMs: 50 }

describe('a status page', () => {
  test.each([
    ['Express 5', () => express()],
    ['Express 4', () => express4()],
    ['Connect', () => connect()],
  ])('is served where it is mounted on %s, with its data at the same path', async (_name, make) => {
    const { eventStream } = setUp()
    const app = make()
    ;(app as ReturnType<typeof connect>).use('/status', statusPage(eventStream))
    const { url } = await startServer(app)
    for (const path of ['/status', '/status/']) {
      const page = await fetch(`${url}${path}`)
      expect([page.status, page.headers.get('content-type')]).toEqual([
        200,
        'text/html; charset=utf-8',
      ])
      const data = await fetch(`${url}${path}?data`)
      expect(data.headers.get('content-type')).toBe('application/json; charset=utf-8')
      expect(await data.json()).toMatchObject({
        status: 'ok',
        channels: [],
        streams: { active: 0 },
      })
    }
  })

  test('is served by node:http, under whatever path', async () => {
    const { eventStream } = setUp()
    const page = statusPage(eventStream)
    const { url } = await startServer((req, res) => {
      if (req.url?.startsWith('/own/status')) void page(req, res)
      else res.end('something else')
    })
    expect(await (await fetch(`${url}/own/status`)).text()).toMatch(/^<!doctype html>/)
    expect(await (await fetch(`${url}/own/status?data`)).json()).toMatchObject({ status: 'ok' })
    const head = await fetch(`${url}/own/status`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    const post = await fetch(`${url}/own/status`, { method: 'POST' })
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  test('runs nothing but its own script, is in no frame, and is not stored', async () => {
    const { eventStream, app } = setUp()
    app.use('/status', statusPage(eventStream))
    const { url } = await startServer(app)
    const { headers, ...response } = await fetch(`${url}/status`).then(async (it) => ({
      headers: it.headers,
      text: await it.text(),
    }))
    const [, script = ''] = /<script>([\s\S]*)<\/script>/.exec(response.text) ?? []
    const policy = headers.get('content-security-policy') ?? ''
    const hash = createHash('sha256').update(script).digest('base64')
    expect(policy).toContain(`script-src 'sha256-${hash}'`)
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(response.text).not.toMatch(/(?:src|href)="(?!data:)/)
  })

  test('is refused with its data by the guard in front of it', async () => {
    const { eventStream, app } = setUp()
    const guard: RequestHandler = (req, res, next) => {
      if (req.headers.authorization === 'Bearer admin') next()
      else res.sendStatus(401)
    }
    app.use('/status', guard, statusPage(eventStream))
    const { url } = await startServer(app)
    const headers = { Authorization: 'Bearer admin' }
    for (const path of ['/status', '/status/', '/status?data', '/status/?data']) {
      expect((await fetch(url + path)).status).toBe(401)
      expect((await fetch(url + path, { headers })).status).toBe(200)
    }
  })

  test('lists fifty channels, the most listened to first, and says how many more there are', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events/:id', eventStream('{id}', 'shared'))
    app.use('/status', statusPage(eventStream))
    const { url } = await startServer(app)
    const request = await serve()
    const ids = Array.from({ length: 55 }, (_, n) => `c${n}`)
    await Promise.all(['c9', ...ids].map((id) => request(`/events/${id}`)))
    await until(() => eventStream.connections().length === 56)
    const data = (await (await fetch(`${url}/status?data`)).json()) as {
      channels: unknown[]
      otherChannels: number
    }
    expect(data.channels.slice(0, 3)).toEqual([
      ['shared', 56, 'channels'],
      ['c9', 2, 'channels'],
      ['c0', 1, 'channels'],
    ])
    expect([data.channels.length, data.otherChannels]).toEqual([50, 6])
  })

  test('samples nothing unless it is mounted, and leaves no timer after close', async () => {
    const timers = countTimers()
    const { eventStream } = setUp()
    const before = timers.alive
    statusPage(eventStream)
    expect(timers.alive).toBe(before + 1)
    await eventStream.close()
    await timers.fallsTo(before)
    const after = timers.alive
    statusPage(eventStream)
    await timers.fallsTo(before)
    expect([after, timers.alive]).toEqual([before, before])
    timers.stop()
  })

  test('is made only of an event stream, with options that work', () => {
    const { eventStream } = setUp()
    expect(() => statusPage({} as EventStream)).toThrow('such as new EventStream()')
    expect(() => statusPage(eventStream, { pollMs: 0 })).toThrow('pollMs is 0')
    expect(() => statusPage(eventStream, { poll: 1 } as never)).toThrow('no option "poll"')
  })
})

/** Rows of the channels' table. */
async function channelsOf(page: Page): Promise<string[][]> {
  const rows = await page.locator('#channels tr').all()
  return Promise.all(rows.map((row) => row.locator('td').allTextContents()))
}

/** The value of a row in a list of facts. */
function fact(page: Page, list: string, name: string) {
  return page.locator(`#${list} div`, { has: page.getByText(name, { exact: true }) }).locator('dd')
}

describeWithChromium('a status page in Chromium', (browser) => {
  test('shows channels with their connections, and what changes', async () => {
    // One that keeps no registry.
    const { eventStream, app, serve } = setUp({ log: wrapLog(memoryEventLog(), {}) })
    app.get('/events/:id', eventStream('{id}'))
    app.use('/status', statusPage(eventStream, quick))
    const { url } = await startServer(app)
    const request = await serve()
    const first = await (await request('/events/orders')).opened()
    await (await request('/events/orders')).opened()
    const page = await browser.openPage(`${url}/status`)
    const problems: string[] = []
    page.on('console', (message) => problems.push(message.text()))
    page.on('pageerror', (error) => problems.push(error.message))

    await until(async () => (await channelsOf(page)).join() === 'orders,2')
    expect(await page.locator('#status').textContent()).toBe('Healthy')
    expect(await page.locator('#connections-now').textContent()).toBe('2')
    expect(await page.locator('#no-streams').textContent()).toBe('No registry of streams is kept.')
    first.destroy()
    await (await request('/events/prices')).opened()
    await until(async () => (await channelsOf(page)).join() === 'orders,1,prices,1')
    for (let n = 0; n < 10; n++) await eventStream.publishEvent('orders', { data: n })
    await until(async () => (await fact(page, 'publishing', 'Deliveries').textContent()) === '10')
    await page.locator('#published-chart .line').waitFor({ state: 'attached' })
    expect(await page.locator('#published-chart').getAttribute('aria-label')).toMatch(
      /^Over the last 6 s: now .*, at most [1-9]/,
    )
    expect(problems).toEqual([])
  })

  test('tells a stream from a channel of the same name', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events/:id', eventStream('{id}'))
    app.get('/following/:id', eventStream.streams.handler('{id}'))
    app.use('/status', statusPage(eventStream, quick))
    const { url } = await startServer(app)
    const request = await serve()
    await eventStream.streams.create('news', new ReadableStream())
    for (const path of ['/events/news', '/events/news', '/following/news']) await request(path)
    const page = await browser.openPage(`${url}/status`)
    await until(async () => (await channelsOf(page)).join() === 'news,2,news (stream),1')
  })

  test('shows names of channels as text, whatever they are', async () => {
    const { eventStream, app, serve } = setUp()
    const names = [
      '<script>document.title = "bad"</script>',
      '<img src=x onerror="document.title=1">',
    ]
    app.get(
      '/events',
      eventStream(() => names),
    )
    app.use('/status', statusPage(eventStream, quick))
    const { url } = await startServer(app)
    await (await (await serve())('/events')).opened()
    const page = await browser.openPage(`${url}/status/`)
    await until(
      async () =>
        (await channelsOf(page)).length === 2 && (await channelsOf(page))[0]?.length === 2,
    )
    expect((await channelsOf(page)).map(([name]) => name).sort()).toEqual(names.toSorted())
    expect(await page.title()).toBe('Status · headwater')
    expect(await page.locator('#channels script, #channels img').count()).toBe(0)
  })

  test('says so when the server is away, and goes on when it is back', async () => {
    const { eventStream, app } = setUp()
    app.use('/status', statusPage(eventStream, quick))
    const server = await startServer(app)
    const page = await browser.openPage(`${server.url}/status`)
    const status = page.locator('#status')
    const notice = page.locator('#notice')
    await until(async () => (await status.textContent()) === 'Healthy')
    expect(await notice.isVisible()).toBe(false)

    await server.close()
    await until(async () => (await status.textContent()) === 'Not connected')
    expect(await notice.textContent()).toMatch(
      /^The server cannot be reached\. What is shown is from .+\.$/,
    )
    await startServer(app, Number(new URL(server.url).port))
    await until(async () => (await status.textContent()) === 'Healthy')
    expect(await notice.isVisible()).toBe(false)
  })

  test('asks with the query that it was opened with, and says so when the guard lets it in no more', async () => {
    const { eventStream, app } = setUp()
    let isSignedIn = true
    const guard: RequestHandler = (req, res, next) => {
      if (isSignedIn && req.query.key === 'mine') next()
      else res.sendStatus(401)
    }
    app.use('/status', guard, statusPage(eventStream, quick))
    const page = await browser.openPage(`${(await startServer(app)).url}/status?key=mine`)
    await until(async () => (await page.locator('#status').textContent()) === 'Healthy')
    isSignedIn = false
    await until(async () => (await page.locator('#status').textContent()) === 'Not connected')
    expect(await page.locator('#notice').textContent()).toMatch(/^The server answered 401 /)
  })

  test('shows streams by state where a registry is kept, and what a guardian found', async () => {
    const { eventStream, app } = setUp()
    const { registry } = resilience(eventStream)
    for (const streamId of ['a', 'b', 'c', 'd']) await registry.register({ streamId })
    await registry.updateState('a', 'completed')
    await registry.updateState('b', 'orphaned')
    const round = { checks: 12, checkFailures: 1, orphaned: 3, completed: 5, durationMs: 9 }
    observed.of(eventStream).observer.guarded(round)
    app.use('/status', statusPage(eventStream, quick))
    const page = await browser.openPage(`${(await startServer(app)).url}/status`)
    await until(async () => (await page.locator('#streams div').count()) === 7)
    expect(await page.locator('#streams dd').allTextContents()).toEqual([
      ...['2', '0', '1', '0', '0', '1'],
      expect.stringMatching(/^\d+ (?:ms|s)$/),
    ])
    expect(await page.locator('#no-streams').isVisible()).toBe(false)
    expect(await page.locator('#guardian dd').allTextContents()).toEqual(['1', '12', '1', '3', '5'])
  })
})
