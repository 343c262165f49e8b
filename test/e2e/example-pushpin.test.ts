import { afterEach, expect, test } from '@jest/globals'
import type { Page } from 'playwright-core'
import { type Chromium, describeWithChromium } from '../support/browser.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { isRunning } from '../support/is-running.js'
import { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { untilState } from './ask-page.js'
import { complaintsOf, say, textsOf } from './chat-page.js'
import { count, ExampleProcess } from './example-process.js'
import { fileOf, letWorkerDie, startExport, statesOf } from './export-page.js'

let example: ExampleProcess

async function start(redisUrl = ''): Promise<void> {
  const env = { ROW_MS: '40' }
  example = await ExampleProcess.start('pushpin.js', { needs: 'pushpin', redisUrl, env })
}

async function openRoom(browser: Chromium, room: string): Promise<Page> {
  const page = await browser.openPage(`${example.url}/rooms/${room}`)
  await page.locator('#status[data-state=live]', { hasText: 'through Pushpin' }).waitFor()
  return page
}

async function timesOf(page: Page): Promise<number[]> {
  const samples = await page.locator('#log li[data-event=load] .data').allTextContents()
  return samples.map((sample) => JSON.parse(sample).at)
}

/** Lines of the page's list of events that tell of a lost connection, or of lost events. */
function lossesOf(page: Page): Promise<number> {
  return page.locator('#log li[data-event="(lost)"], #log li[data-event=stream-reset]').count()
}

describeWithPushpin('the Express example through Pushpin', () => {
  describeWithChromium('in Chromium', (browser) => {
    afterEach(async () => {
      await example.stop()
    })

    test('shows a live chart, and two pages what is said on either', async () => {
      await start()
      const [ann, bob] = [await openRoom(browser, 'tea'), await openRoom(browser, 'tea')]
      const complaints = [complaintsOf(ann), complaintsOf(bob)]
      await say(ann, 'Ann', '50 % <b>more</b>')
      await bob.waitForSelector('#chat-messages li')
      await say(bob, 'Bob', 'Hello, Ann')
      await ann.waitForSelector('#chat-messages li:nth-child(2)')
      const begun = (await timesOf(ann)).length
      await until(async () => (await timesOf(ann)).length >= begun + 4)

      const texts = ['50 % <b>more</b>', 'Hello, Ann']
      expect([await textsOf(ann), await textsOf(bob)]).toEqual([texts, texts])
      const times = await timesOf(ann)
      expect(times).toEqual([...new Set(times)].sort((a, b) => b - a))
      expect(complaints).toEqual([[], []])
    })

    test('proves over and over that a stream which Pushpin ends loses nothing', async () => {
      await start()
      const page = await openRoom(browser, 'tea')
      await page.getByText('The server has Pushpin end this page’s stream').waitFor()
      for (let round = 0; round < 3; round++) {
        await page.click('#proof-button')
        await page.waitForSelector('#proof-result[data-state=passed]')
        const verdict = await page.textContent('#proof-verdict')
        expect(verdict).toMatch(/^missed\s0 · twice\s0 · out\sof\sorder\s0$/)
        expect(await page.locator('#proof-cells li.arrived').count()).toBe(20)
      }
    })

    test('stays connected though the server is killed, and tells that its history is lost', async () => {
      await start()
      const page = await openRoom(browser, 'tea')
      await example.post('tea', 'lost with the server')
      await page.waitForSelector('#chat-messages li')
      // Later than the question that Pushpin asks a second after a client has come.
      await page.locator('#log li[data-event=load]').nth(8).waitFor()
      const killed = example.pidOf('server')
      process.kill(killed, 'SIGKILL')
      await page.waitForSelector('#note:has-text("stream-reset")', { timeout: 15_000 })
      await page.waitForSelector('#status[data-state=live]')
      await example.post('tea', 'said anew')
      await until(async () => (await textsOf(page)).includes('said anew'))

      expect(await textsOf(page)).toEqual(['said anew'])
      expect(await page.locator('#log li[data-event="(lost)"]').count()).toBe(0)
      expect(example.pidOf('server')).not.toBe(killed)
    })

    test('follows exports to their end, also of a worker that has died', async () => {
      await start()
      const page = await browser.openPage(`${example.url}/export`)
      await startExport(page)
      await untilState(page, 'completed')
      expect((await fileOf(page)).length).toBe(121)
      await startExport(page)
      await letWorkerDie(page, 'in its work')
      await untilState(page, 'orphaned')
      await until(async () => (await statesOf(page)).length === 2)
      expect(await statesOf(page)).toEqual(['orphaned', 'completed'])
    })

    test.each(['SIGTERM', 'SIGKILL'] as const)('leaves nothing behind after %s', async (signal) => {
      await start()
      await openRoom(browser, 'tea')
      const pids = [example.pidOf('server'), ...example.notedPids]

      await example.end(signal)

      expect(pids.length).toBeGreaterThanOrEqual(4)
      await until(() => !pids.some(isRunning) && example.temporaryFolders.length === 0)
    })

    describeWithRedis('with its events in Redis', () => {
      let redis: RedisServer

      afterEach(async () => {
        await redis.stop()
      })

      test('shows each message once and in order, on one connection, though the server is killed', async () => {
        redis = await RedisServer.start()
        await start(redis.url)
        const page = await openRoom(browser, 'tea')
        const complaints = complaintsOf(page)
        const killed = example.pidOf('server')
        for (let n = 1; n <= 100; n++) {
          if (n === 40) process.kill(killed, 'SIGKILL')
          await example.post('tea', `message ${n}`)
        }
        await until(async () => (await textsOf(page)).includes('message 100'))

        expect(await textsOf(page)).toEqual(count(100))
        expect([await lossesOf(page), complaints]).toEqual([0, []])
        expect(example.pidOf('server')).not.toBe(killed)
        // The chart goes on with what the new process measures.
        const latest = (await timesOf(page))[0]
        await until(async () => (await timesOf(page))[0] !== latest)
      })
    })
  })
})
