import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Page } from 'playwright-core'
import { describeWithChromium } from '../support/browser.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { isRunning } from '../support/is-running.js'
import { until } from '../support/until.js'
import { answerOf, untilLongerThan, untilState } from './ask-page.js'
import { complaintsOf, textsOf } from './chat-page.js'
import { count, ExampleProcess } from './example-process.js'
import { fileOf, letWorkerDie, startExport, statesOf, untilMoreRowsThan } from './export-page.js'

/** The process whose worker writes the export that a page shows. */
async function workerOf(page: Page): Promise<string> {
  return (await page.textContent('#figures'))?.split(' · ')[1] ?? ''
}

/** The name of the process that serves a page. */
async function serverOf(page: Page): Promise<string> {
  const status = page.locator('[data-state=live] #status-text', { hasText: / · process \d$/ })
  return (await status.textContent())?.split(' · ')[1] ?? ''
}

describeWithRedis('the Express example as two processes', () => {
  describeWithChromium('in Chromium', (browser) => {
    let cluster: ExampleProcess

    beforeEach(async () => {
      cluster = await ExampleProcess.start('cluster.js', {
        needs: 'redis-server',
        env: { ROW_MS: '40' },
      })
    })

    afterEach(async () => {
      await cluster.stop()
    })

    test('shows each message once and in order though the process that serves it is killed', async () => {
      const page = await browser.openPage(`${cluster.url}/rooms/tea`)
      const complaints = complaintsOf(page)
      const name = await serverOf(page)
      const killed = cluster.pidOf(name)
      for (let n = 1; n <= 100; n++) {
        if (n === 40) process.kill(killed, 'SIGKILL')
        await cluster.post('tea', `message ${n}`)
      }
      const served = page.locator('#log li[data-event=served] .data')
      await until(async () => (await served.count()) === 2)
      await until(async () => (await textsOf(page)).includes('message 100'))

      expect(await textsOf(page)).toEqual(count(100))
      // The newest first. The process started instead of the killed one has its name, not its id.
      const [then, before] = (await served.allTextContents()).map((data) => JSON.parse(data).pid)
      expect([before, then === killed]).toEqual([killed, false])
      expect(await page.locator('#log li[data-event=stream-reset]').count()).toBe(0)
      expect(complaints).toEqual([])
      await until(() => cluster.pidOf(name) !== killed)
    })

    test('proves over and over that a cut loses nothing, whichever process it is asked of', async () => {
      const page = await browser.openPage(cluster.url)
      for (let round = 0; round < 3; round++) {
        await serverOf(page)
        await page.click('#proof-button')
        await page.waitForSelector('#proof-result[data-state=passed]')
      }
      expect(await page.locator('#proof-cells li.arrived').count()).toBe(20)
    })

    test('shows an answer whichever process writes it, and stops it from any', async () => {
      const page = await browser.openPage(`${cluster.url}/ask`)
      await page.click('#ask-button')
      await untilState(page, 'answering')
      // Each has a connection of its own, and the proxy takes them to one process after the other.
      const others = [await browser.openPage(page.url()), await browser.openPage(page.url())]
      const pages = [page, ...others]
      await Promise.all(pages.map((shown) => untilLongerThan(shown, 50)))

      await others[1]?.click('#stop-button')
      await Promise.all(pages.map((shown) => untilState(shown, 'aborted')))

      // Who is served by the process that wrote it may have seen what the log did not get any more.
      await Promise.all(pages.map((shown) => shown.reload()))
      await Promise.all(pages.map((shown) => untilState(shown, 'aborted')))
      const [text = '', ...same] = await Promise.all(pages.map(answerOf))
      expect(text.length).toBeGreaterThan(50)
      expect(same).toEqual([text, text])
    })

    test('shows an export through either process, whichever works on it', async () => {
      const cookie = (await fetch(`${cluster.url}/export`)).headers.get('set-cookie') ?? ''
      const headers = { Cookie: cookie, 'Content-Type': 'application/json' }
      const job = await fetch(`${cluster.url}/jobs`, { method: 'POST', headers, body: '{}' })
      const { id } = (await job.json()) as { id: string }
      const events = `${cluster.url}/jobs/${id}/events`
      // Both are open at once, so each has a connection, and the proxy takes them to different processes.
      const both = [await fetch(events, { headers }), await fetch(events, { headers })]
      const [one = '', other] = await Promise.all(both.map((response) => response.text()))

      const eventsOf = (text = '') => text.match(/^event: .*\ndata: .*\nid: .*$/gm)
      expect(one.match(/^event: progress$/gm)?.length).toBe(120)
      expect(one).toContain('data: {"state":"completed","event":"done"}')
      expect(eventsOf(other)).toEqual(eventsOf(one))
    })

    test('tells what became of an export whose process was killed, or told to end', async () => {
      const page = await browser.openPage(`${cluster.url}/export`)
      const ends = { SIGKILL: 'orphaned', SIGTERM: 'aborted' } as const
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        await startExport(page)
        await untilMoreRowsThan(page, 5)
        const name = await workerOf(page)
        const pid = cluster.pidOf(name)
        process.kill(pid, signal)
        await untilState(page, ends[signal])
        await until(() => cluster.pidOf(name) !== pid)
      }
      await page.getByText('The server was shut down.').waitFor()
      await until(async () => (await statesOf(page)).length === 2)
      expect(await statesOf(page)).toEqual(['aborted', 'orphaned'])
    })

    test('finds the result of a worker that died before it could say so, in either process', async () => {
      const page = await browser.openPage(`${cluster.url}/export`)
      for (let round = 0; round < 2; round++) {
        await startExport(page)
        await letWorkerDie(page, 'after its work')
        await untilState(page, 'completed')
        expect(await page.textContent('#outcome')).toContain('found by the guardian')
        expect((await fileOf(page)).length).toBe(121)
      }
    })

    test('publishes each load sample once, and leaves nothing behind when it is told to end', async () => {
      const page = await browser.openPage(cluster.url)
      await until(async () => (await page.locator('#log li[data-event=load]').count()) >= 6)
      const samples = await page.locator('#log li[data-event=load] .data').allTextContents()
      const times = samples.map((sample) => JSON.parse(sample).at)
      const pids = ['process 1', 'process 2'].map((name) => cluster.pidOf(name))

      await cluster.end('SIGTERM')

      expect(times).toEqual([...new Set(times)].sort((a, b) => b - a))
      expect(pids.filter(isRunning)).toEqual([])
      expect(cluster.temporaryFolders).toEqual([])
    })
  })
})
