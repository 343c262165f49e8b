import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import type { Page } from 'playwright-core'
import { memoryEventLog } from '../../src/index.js'
import { streamApp } from '../e2e/stream-app.js'
import { type Chromium, describeWithChromium } from '../support/browser.js'
import { describeWithFirefox } from '../support/firefox.js'
import { startServer } from '../support/server.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { command, Reports } from './page.js'

/** Opens pages as tabs of one browser. */
type OpenTabs = (urls: readonly string[]) => Promise<unknown>

/** A page that opens a source, and the server of both. */
async function startPage(open: string, log = memoryEventLog({ maxEvents: 100_000 })) {
  const reports = await Reports.start()
  const scene = streamApp('a', { log }, { startFrom: 'earliest' })
  scene.app.get('/page', (_req, res) => reports.servePage(res, open))
  let n = 0
  const publish = async (count: number) => {
    for (let i = 0; i < count; i++) {
      n += 1
      await scene.eventStream.publishEvent('a', { event: 'tick', data: n })
    }
  }
  return { ...scene, reports, publish, log, server: await startServer(scene.app) }
}

const open = (options = '') =>
  `headwater.createEventSource('/events', { minRetryMs: 50, ${options} })`
const stored = 'storage: headwater.storeIn(sessionStorage),'
const count = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const openOf = (sockets: readonly Socket[]) => sockets.filter(({ destroyed }) => !destroyed)

function testsIn(openTabs: OpenTabs): void {
  test('has each event once over a reload in mid-stream', async () => {
    const { server, eventStream, reports, publish } = await startPage(open(stored))
    await openTabs([`${server.url}/page#1`])
    await publish(20)
    await reports.until('1', 20)

    for (let i = 0; i < 3; i++) {
      await eventStream.publishEvent('a', { event: command, raw: 'location.reload()' })
      await publish(100)
    }

    expect(await reports.until('1', 320)).toEqual(count(320))
    expect(reports.seenBy('1').filter(({ type }) => type === 'reset')).toEqual([])
  })

  test('has each event once after its network was away', async () => {
    const { server, reports, publish } = await startPage(open())
    const proxy = await TcpProxy.start(server.url)
    try {
      await openTabs([`${proxy.url}/page#1`])
      await publish(5)
      await reports.until('1', 5)

      proxy.cut()
      await publish(5)
      // Several times over, which ends an EventSource of some browsers for good.
      await reports.untilSeen('1', 'error', 4)
      proxy.heal()
      await reports.until('1', 10)
      await publish(5)

      expect(await reports.until('1', 15)).toEqual(count(15))
    } finally {
      await proxy.close()
    }
  })

  test('has each event once after its server was killed and started again', async () => {
    const { server, reports, publish, log } = await startPage(open())
    await openTabs([`${server.url}/page#1`])
    await publish(5)
    await reports.until('1', 5)

    await server.close()
    await publish(5)
    await reports.untilSeen('1', 'error', 4)
    const { app, eventStream } = streamApp('a', { log })
    await startServer(app, Number(new URL(server.url).port))
    await reports.until('1', 10)
    await eventStream.publishEvent('a', { event: 'tick', data: 11 })

    expect(await reports.until('1', 11)).toEqual(count(11))
  })

  test('goes on with a renewed token after 401', async () => {
    const renewing = `headwater.createEventSource('/guarded', {
      headers: async () => ({ Authorization: 'Bearer ' + (window.token ?? 'old') }),
      retryOn: ({ status }) => {
        window.token = 'new'
        return status === 401 || undefined
      },
    })`
    const { app, server, reports, publish } = await startPage(renewing)
    const seen: unknown[] = []
    app.get('/guarded', (req, res) => {
      seen.push(req.headers.authorization)
      if (req.headers.authorization === 'Bearer new') res.redirect(307, '/events')
      else res.sendStatus(401)
    })
    await openTabs([`${server.url}/page#1`])
    await publish(3)

    expect(await reports.until('1', 3)).toEqual(count(3))
    expect(seen).toEqual(['Bearer old', 'Bearer new'])
  })

  test('follows a redirect to another origin without its token, each time from where it began', async () => {
    const other = streamApp('a', {}, { startFrom: 'earliest' })
    const seen: unknown[] = []
    const api = await startServer((req, res) => {
      res.setHeader('Access-Control-Allow-Origin', '*')
      res.setHeader('Access-Control-Allow-Headers', 'authorization, last-event-id')
      if (req.method === 'OPTIONS') {
        res.end()
        return
      }
      seen.push(req.headers.authorization)
      other.app(req, res)
    })
    const redirected = `headwater.createEventSource('/redirect', {
      headers: { Authorization: 'Bearer secret' },
    })`
    const { app, server, reports } = await startPage(redirected)
    let asked = 0
    app.get('/redirect', (_req, res) => {
      asked += 1
      res.redirect(307, `${api.url}/events`)
    })
    await openTabs([`${server.url}/page#1`])
    await other.eventStream.publishEvent('a', { data: 1 })
    await reports.until('1', 1)

    other.sockets[0]?.destroy()
    await other.eventStream.publishEvent('a', { data: 2 })

    expect(await reports.until('1', 2)).toEqual([1, 2])
    expect([asked, seen]).toEqual([2, [undefined, undefined]])
  })

  test('needs one connection for ten tabs, and another one when the tab that has it goes', async () => {
    const shared = open('tabs: headwater.shareTabs(),')
    const { server, eventStream, sockets, reports, publish } = await startPage(shared)
    const names = count(10).map(String)
    await openTabs(names.map((name) => `${server.url}/page#${name}`))
    await publish(10)
    for (const name of names) expect(await reports.until(name, 10)).toEqual(count(10))
    await until(() => openOf(sockets).length === 1, 30_000)

    for (let round = 1; round <= 3; round++) {
      const leader = await findLeader({ eventStream, reports }, names, round)
      names.splice(names.indexOf(leader), 1)
      const raw = `if (tab === '${leader}') leave()`
      await eventStream.publishEvent('a', { event: command, raw })
      await publish(10)
      for (const name of names) {
        expect(await reports.until(name, 10 + 10 * round)).toEqual(count(10 + 10 * round))
      }
    }

    await until(() => openOf(sockets).length === 1, 30_000)
  })
}

/** Asks all tabs which of them has the connection. */
async function findLeader(
  { eventStream, reports }: Pick<Awaited<ReturnType<typeof startPage>>, 'eventStream' | 'reports'>,
  tabs: readonly string[],
  round: number,
): Promise<string> {
  const type = `leads in round ${round}`
  const raw = `navigator.locks.request('tab ' + tab, async () => {
    const { held } = await navigator.locks.query()
    const holder = (name) => held.find((lock) => lock.name === name)?.clientId
    if (holder('tab ' + tab) === holder('headwater ' + source.url)) note({ type: '${type}' })
  })`
  const leads = (tab: string) => reports.seenBy(tab).some((seen) => seen.type === type)
  await until(async () => {
    // The one before it may hold the lock for a moment more.
    await eventStream.publishEvent('a', { event: command, raw })
    await delay(200)
    return tabs.some(leads)
  }, 30_000)
  return tabs.find(leads) as string
}

describeWithChromium('the client in Chromium', (browser) => {
  testsIn((urls) => openInChromium(browser, urls))

  test('tries at once when it is online again, and has each event once', async () => {
    const { server, reports, publish, sockets } = await startPage(
      open('minRetryMs: 100_000, maxRetryMs: 100_000,'),
    )
    const [page] = (await openInChromium(browser, [`${server.url}/page#1`])) as [Page]
    await publish(5)
    await reports.until('1', 5)

    await page.context().setOffline(true)
    sockets[0]?.destroy()
    await page.waitForFunction('source.readyState === 0')
    await publish(5)
    await page.context().setOffline(false)

    expect(await reports.until('1', 10)).toEqual(count(10))
  })

  test('has what came while its tab was frozen, once', async () => {
    const { server, reports, publish } = await startPage(open())
    const [page] = (await openInChromium(browser, [`${server.url}/page#1`])) as [Page]
    await publish(5)
    await reports.until('1', 5)
    const cdp = await page.context().newCDPSession(page)

    await cdp.send('Page.setWebLifecycleState', { state: 'frozen' })
    await publish(300)
    await cdp.send('Page.setWebLifecycleState', { state: 'active' })

    expect(await reports.until('1', 305)).toEqual(count(305))
  })

  test('needs one connection for its tabs with shareTabs: true', async () => {
    const { server, reports, publish, sockets } = await startPage(open('shareTabs: true,'))
    await openInChromium(browser, [`${server.url}/page#1`, `${server.url}/page#2`])
    await publish(5)
    await until(() => openOf(sockets).length === 1)
    await publish(5)

    for (const tab of ['1', '2']) expect(await reports.until(tab, 10)).toEqual(count(10))
  })

  test.each(['leader', 'follower'])(
    'has each event once when it is frozen as a %s',
    async (role) => {
      const shared = open('tabs: headwater.shareTabs(),')
      const { server, eventStream, reports, publish, sockets } = await startPage(shared)
      const tabs = ['1', '2', '3']
      const pages = await openInChromium(
        browser,
        tabs.map((tab) => `${server.url}/page#${tab}`),
      )
      await publish(5)
      for (const tab of tabs) await reports.until(tab, 5)
      await until(() => openOf(sockets).length === 1)
      const leader = await findLeader({ eventStream, reports }, tabs, 1)
      const frozen = role === 'leader' ? leader : (tabs.find((tab) => tab !== leader) as string)
      const page = pages[tabs.indexOf(frozen)] as Page
      const cdp = await page.context().newCDPSession(page)

      await cdp.send('Page.setWebLifecycleState', { state: 'frozen' })
      await publish(100)
      for (const tab of tabs.filter((name) => name !== frozen)) await reports.until(tab, 105)
      await cdp.send('Page.setWebLifecycleState', { state: 'active' })
      await publish(5)

      for (const tab of tabs) expect(await reports.until(tab, 110)).toEqual(count(110))
      await until(() => openOf(sockets).length === 1)
    },
  )
})

describeWithFirefox('the client in Firefox', (browser) => {
  testsIn((urls) => browser.openTabs(urls))
})

async function openInChromium(browser: Chromium, urls: readonly string[]): Promise<Page[]> {
  const [first = '', ...others] = urls
  const pages = [await browser.openPage(first)]
  for (const url of others) {
    const page = await (pages[0] as Page).context().newPage()
    await page.goto(url)
    pages.push(page)
  }
  return pages
}
