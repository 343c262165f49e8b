import { expect, test } from '@jest/globals'
import { streamApp } from '../e2e/stream-app.js'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { Reports } from './page.js'

/** Answers with a page of its own where the server does not, as offline pages do. */
const offlinePage = `
  addEventListener('install', () => skipWaiting())
  addEventListener('activate', (event) => event.waitUntil(clients.claim()))
  const page = () => new Response('You are offline.', { headers: { 'Content-Type': 'text/html' } })
  addEventListener('fetch', (event) => {
    if (event.request.url.includes('/events')) event.respondWith(fetch(event.request).catch(page))
  })`

/** A page that a service worker controls, and then opens a source. */
async function startPage(address: string) {
  const reports = await Reports.start()
  const scene = streamApp('a', {}, { startFrom: 'earliest' })
  const requests: number[] = []
  scene.app.get('/sw.js', (_req, res) => res.type('text/javascript').send(offlinePage))
  scene.app.get('/events-of-nobody', (_req, res) => {
    requests.push(Date.now())
    res.type('text/html').send('<!doctype html>')
  })
  scene.app.get('/register', (_req, res) => {
    res.type('text/html').send(`<script>
      navigator.serviceWorker.addEventListener('controllerchange', () => location.replace('/page#1'))
      navigator.serviceWorker.register('/sw.js')
    </script>`)
  })
  scene.app.get('/page', (_req, res) => {
    reports.servePage(res, `headwater.createEventSource('${address}', { minRetryMs: 20 })`)
  })
  return { ...scene, reports, requests, server: await startServer(scene.app) }
}

describeWithChromium('the client in a page of a service worker', (browser) => {
  test('comes back after its offline page, as soon as the browser is online', async () => {
    const { server, eventStream, reports } = await startPage('/events')
    const page = await browser.openPage(`${server.url}/register`)
    await eventStream.publishEvent('a', { data: 1 })
    await reports.until('1', 1)

    await server.close()
    await until(
      () => reports.seenBy('1').filter(({ code }) => code === 'ERR_CONTENT_TYPE').length > 2,
    )
    const isClosed = await page.evaluate('source.readyState === source.CLOSED')
    await startServer(
      server.server.listeners('request')[0] as never,
      Number(new URL(server.url).port),
    )
    await eventStream.publishEvent('a', { data: 2 })

    expect(await reports.until('1', 2)).toEqual([1, 2])
    expect(isClosed).toBe(false)
  })

  test('closes where there never was a stream, and tells each time', async () => {
    const { server, reports, requests } = await startPage('/events-of-nobody')
    const page = await browser.openPage(`${server.url}/register`)

    await page.waitForFunction('globalThis.source?.readyState === 2')
    await until(() => reports.seenBy('1').length === requests.length)

    expect(requests).toHaveLength(10)
    expect(new Set(reports.seenBy('1').map(({ code }) => code))).toEqual(
      new Set(['ERR_CONTENT_TYPE']),
    )
  })
})
