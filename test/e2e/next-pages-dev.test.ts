import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { answerText } from '../../examples/next-pages/lib/answer-text.js'
import { describeWithChromium } from '../support/browser.js'
import { developNextApp } from '../support/next-process.js'
import { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'
import { answerOf, untilLongerThan, untilState } from './ask-page.js'
import { complaintsOf, recordSources, say, streamsOf, textsOf } from './chat-page.js'
import { NextExample, testCut, testStatuses } from './next-example.js'

const example = new NextExample()

describe('the Next.js example, in development', () => {
  beforeAll(async () => {
    await example.listen(developNextApp(example.folder))
  }, 60_000)

  afterAll(example.stop)

  /** Changes the module that both API routes import, and waits until they have loaded it anew. */
  async function reload(line: string): Promise<void> {
    const loaded = () => example.server.output.split(line).length - 1
    await appendFile(join(example.folder, 'lib/event-stream.ts'), `\nconsole.log('${line}')\n`)
    await until(async () => {
      await example.post('probe', line)
      await (await connect(`${example.url}/api/rooms/probe`, { method: 'HEAD' })).end()
      return loaded() >= 2
    }, 30_000)
  }

  test('goes on with the streams that were open when modules were reloaded', async () => {
    const client = await example.follow('reload')
    await example.post('reload', 'before')
    await client.received(1)
    for (const n of [1, 2]) {
      await reload(`Loaded anew: ${n}.`)
      await example.post('reload', `after ${n}`)
      await client.received(1 + n)
    }
    const later = await example.follow('reload')
    await later.received(3)
    const texts = [{ text: 'before' }, { text: 'after 1' }, { text: 'after 2' }]
    expect([client.ended, client.data, later.data]).toMatchObject([false, texts, texts])
  })

  testStatuses(example)

  describeWithChromium('in Chromium', (browser) => {
    test('has one connection and shows each message once, although React mounts twice', async () => {
      const page = await browser.openPage(`${example.proxy.url}/rooms/strict`)
      const complaints = complaintsOf(page)
      await page.waitForSelector('#status[data-state=live]')
      const streams = streamsOf(page)
      await page.reload()
      // React mounts twice what comes after the page that the server has rendered.
      await page.click('.rooms a[href="/rooms/tea"]')
      await page.waitForSelector('#room:text("tea")')
      await page.waitForSelector('#status[data-state=live]')
      await say(page, 'Ann', 'said once')
      await page.waitForSelector('#chat-messages li')
      await reload('Loaded anew, with an open page.')
      await example.post('tea', 'after the reload')
      await page.waitForSelector('#chat-messages li:nth-child(2)')
      expect(await textsOf(page)).toEqual(['said once', 'after the reload'])
      expect(streams.all).toEqual(['/api/rooms/strict', '/api/rooms/tea'])
      expect(streams.open.size).toBe(1)
      expect(complaints).toEqual([])
    })

    test('closes each plain EventSource but the last, although React mounts twice', async () => {
      const page = await browser.openPage(`${example.proxy.url}/rooms/strict/plain`)
      await page.addInitScript(recordSources)
      await page.reload()
      await page.click('.rooms a[href="/rooms/coffee/plain"]')
      await page.waitForSelector('#room:text("coffee")')
      await page.waitForSelector('#status[data-state=live]')
      await example.post('coffee', 'said once')
      await page.waitForSelector('#chat-messages li')
      expect(await textsOf(page)).toEqual(['said once'])
      expect(await page.evaluate('sources.map(({ readyState }) => readyState)')).toEqual([2, 2, 1])
    })

    test('shows a stopped answer as it was left, in each tab', async () => {
      const page = await browser.openPage(`${example.url}/ask`)
      await page.click('#ask-button')
      await untilLongerThan(page, 50)
      const tab = await page.context().newPage()
      await tab.goto(page.url())
      await untilLongerThan(tab, 50)
      await tab.click('#stop-button')
      await Promise.all([untilState(page, 'aborted'), untilState(tab, 'aborted')])
      const stopped = await answerOf(page)
      expect([answerText.startsWith(stopped), await answerOf(tab)]).toEqual([true, stopped])
      expect(await page.locator('#stop-button').count()).toBe(0)
      await tab.goto(`${example.url}/ask?id=none`)
      await untilState(tab, 'unknown')
    })

    testCut(example, browser)
  })
})
