import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import type { Page } from 'playwright-core'
import { describeWithChromium } from '../support/browser.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { answerOf, untilLongerThan, untilState } from './ask-page.js'
import { complaintsOf, recordSources, say, textsOf } from './chat-page.js'
import { count, ExampleProcess } from './example-process.js'
import { rowsOf, startExport, statesOf, untilMoreRowsThan } from './export-page.js'

const wholeText = readFileSync(join(__dirname, '../../examples/express/answer.txt'), 'utf8').trim()

let example: ExampleProcess
let proxy: TcpProxy | undefined

async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  example = await ExampleProcess.start('server.js', { env })
}

/** @returns The address of the example behind a network that can be cut. */
async function startBehindProxy(env: Readonly<Record<string, string>> = {}): Promise<TcpProxy> {
  await start(env)
  proxy = await TcpProxy.start(example.url)
  return proxy
}

/** Kills the server, and starts one in its place that knows nothing of it. */
async function restart(): Promise<void> {
  const { port } = new URL(example.url)
  await example.end('SIGKILL')
  await example.stop()
  await start({ PORT: port })
}

async function postAll(texts: readonly string[]): Promise<void> {
  for (const text of texts) await example.post('tea', text)
}

async function untilTexts(page: Page, texts: readonly string[]): Promise<void> {
  await until(async () => (await textsOf(page)).length >= texts.length)
  expect(await textsOf(page)).toEqual(texts)
}

/** Has the page wait for a minute and a half before it tries again, and wake at once. */
async function loseContact(page: Page, cut: () => unknown): Promise<void> {
  await page.evaluate('Math.random = () => 60')
  await cut()
  await page.waitForSelector('#status-button:text("Now")')
  await page.evaluate('Math.random = () => 0')
}

function stateOf(page: Page): Promise<string | null> {
  return page.getAttribute('#status', 'data-state')
}

describeWithChromium('the connection of the Express example', (browser) => {
  afterEach(async () => {
    await proxy?.close()
    proxy = undefined
    await example.stop()
  })

  test('is said to be coming back, and nothing is lost or doubled by that or by a reload', async () => {
    const network = await startBehindProxy()
    const page = await browser.openPage(`${network.url}/rooms/tea`)
    const complaints = complaintsOf(page)
    const texts = count(30)
    await untilState(page, 'live')
    await postAll(texts.slice(0, 10))
    await untilTexts(page, texts.slice(0, 10))

    const rounds = { 'once,': texts.slice(10, 20), '2 times, last': texts.slice(20) }
    for (const [times, meanwhile] of Object.entries(rounds)) {
      network.cut()
      await untilState(page, 'reconnecting')
      await postAll(meanwhile)
      network.heal()
      await page.getByText(new RegExp(`^Reconnected ${times} after \\d+\\.\\d\\d s$`)).waitFor()
    }

    expect(await stateOf(page)).toBe('live')
    await untilTexts(page, texts)
    expect(await page.locator('#log li[data-event=stream-reset]').count()).toBe(0)
    expect([await page.isVisible('#status-button'), complaints]).toEqual([false, []])
    await page.reload()
    await untilTexts(page, texts)
  })

  test('comes back at once when somebody does not want to wait', async () => {
    const network = await startBehindProxy()
    const page = await browser.openPage(`${network.url}/rooms/tea`)
    await untilState(page, 'live')
    await loseContact(page, () => network.cut())
    await page.locator('#status-wait', { hasText: /^in \d\d s$/ }).waitFor()
    await postAll(count(5))
    network.heal()

    await page.click('#status-button')

    await untilState(page, 'live')
    await untilTexts(page, count(5))
  })

  test('waits while there is no network, and comes back at once when there is', async () => {
    const network = await startBehindProxy()
    const page = await browser.openPage(`${network.url}/rooms/tea`)
    await untilState(page, 'live')
    await loseContact(page, async () => {
      await page.context().setOffline(true)
      // What is pretended leaves open connections alone.
      network.cut()
    })
    await page.getByText('Offline: waiting').waitFor()
    await postAll(count(5))
    network.heal()

    await page.context().setOffline(false)

    await untilState(page, 'live')
    await untilTexts(page, count(5))
  })

  test('is said to have ended when the server refuses, until somebody tries again', async () => {
    const network = await startBehindProxy()
    const page = await browser.openPage(`${network.url}/rooms/tea`)
    await untilState(page, 'live')
    await page.route('**/events', (route) => route.fulfill({ status: 403, body: 'Members only' }))
    network.cut()
    await untilState(page, 'ended')
    await page.waitForSelector('#note:has-text("Nothing more comes")')
    await page.unroute('**/events')
    network.heal()

    await page.click('#status-button:text("Try again")')

    await untilState(page, 'live')
  })

  test.each(['', '?plain'])(
    'tells that messages are missing when the server has lost its history, at /rooms/tea%s',
    async (query) => {
      await start()
      const page = await browser.openPage(`${example.url}/rooms/tea${query}`)
      await untilState(page, 'live')
      await postAll(['lost with the server'])
      await untilTexts(page, ['lost with the server'])

      await restart()

      await page.waitForSelector('#note:has-text("Some messages are missing")')
      await page.waitForSelector('#note:has-text("The page has started over")')
      await untilState(page, 'live')
      await postAll(['said anew'])
      await until(async () => (await textsOf(page)).includes('said anew'))
      await untilTexts(page, ['said anew'])
      await page.click('#note-close')
      expect(await page.isVisible('#note')).toBe(false)
    },
  )

  test('comes back without the client too, and loses nothing', async () => {
    const network = await startBehindProxy()
    const page = await browser.openPage(`${network.url}/rooms/tea?plain`)
    await page.addInitScript(recordSources)
    await page.reload()
    await untilState(page, 'live')
    expect(await page.evaluate('sources.length')).toBe(1)
    await say(page, 'Ann', 'message 1')
    await untilTexts(page, count(1))
    network.cut()
    await untilState(page, 'reconnecting')
    await postAll(count(10).slice(1))
    network.heal()
    await untilState(page, 'live')
    await untilTexts(page, count(10))

    await page.click('#proof-button')

    await page.waitForSelector('#proof-result[data-state=passed]')
  })

  test('is lost in the middle of an answer, which is whole all the same', async () => {
    const network = await startBehindProxy({ TOKEN_MS: '2' })
    const page = await browser.openPage(`${network.url}/ask`)
    await page.click('#ask-button')
    await untilLongerThan(page, 100)
    network.cut()
    await untilState(page, 'reconnecting')
    network.heal()
    await untilState(page, 'completed')

    expect(await answerOf(page)).toBe(wholeText)
    expect(await page.textContent('#reconnects')).toMatch(/^Reconnected once/)
  })

  test('is lost in the middle of an export, which is followed to its end', async () => {
    const network = await startBehindProxy({ ROW_MS: '40' })
    const page = await browser.openPage(`${network.url}/export`)
    await startExport(page)
    await untilMoreRowsThan(page, 5)
    await loseContact(page, () => network.cut())
    expect(await stateOf(page)).toBe('reconnecting')
    network.heal()
    await page.click('#status-button')
    await untilState(page, 'completed')

    expect(await rowsOf(page)).toBe(120)
  })

  test('is lost with the server that had an export, of which there is nothing left', async () => {
    await start()
    const page = await browser.openPage(`${example.url}/export`)
    await startExport(page)

    await restart()

    await untilState(page, 'unknown')
    expect(await page.textContent('#problem')).toMatch(/never had it/)
    await until(async () => (await statesOf(page)).length === 0)
  })

  test('is made by modules that browsers keep, and which alone of the package are served', async () => {
    await start()
    const assets = `${example.url}/assets`
    const module = await fetch(`${assets}/headwater/client/session.js`)
    const etag = module.headers.get('etag') ?? ''
    const headers = { 'Cache-Control': 'max-age=0', 'If-None-Match': etag }
    const again = await fetch(module.url, { headers })
    const server = await fetch(`${assets}/headwater/index.js`)
    const page = await fetch(`${example.url}/rooms/tea`)

    expect([module.status, again.status, server.status]).toEqual([200, 304, 404])
    expect(page.headers.get('content-security-policy')).toMatch(/script-src 'self' 'sha256-[^']+';/)
  })
})
