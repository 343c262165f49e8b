import { afterEach, expect, test } from '@jest/globals'
import { describeWithChromium } from '../support/browser.js'
import { until } from '../support/until.js'
import { untilState } from './ask-page.js'
import { complaintsOf, requestsOf } from './chat-page.js'
import { ExampleProcess } from './example-process.js'
import {
  fileOf,
  jobUrlOf,
  letWorkerDie,
  rowsOf,
  startExport,
  statesOf,
  untilMoreRowsThan,
} from './export-page.js'

const allRows = 120

let example: ExampleProcess

async function start(): Promise<string> {
  example = await ExampleProcess.start('server.js', { env: { ROW_MS: '40' } })
  return `${example.url}/export`
}

describeWithChromium('the Express example’s exports', (browser) => {
  afterEach(async () => {
    await example.stop()
  })

  test('are followed to their end, through a reload in the middle and in a second tab', async () => {
    const page = await browser.openPage(await start())
    const complaints = complaintsOf(page)
    await startExport(page)
    await untilMoreRowsThan(page, 10)
    const before = await rowsOf(page)

    await page.reload()
    await untilState(page, 'working')
    const tab = await page.context().newPage()
    await tab.goto(page.url())
    await untilMoreRowsThan(page, before)
    await Promise.all([untilState(page, 'completed'), untilState(tab, 'completed')])

    expect([await rowsOf(page), await rowsOf(tab)]).toEqual([allRows, allRows])
    expect(await page.textContent('#outcome')).toBe('All is written.')
    expect((await fileOf(page)).length).toBe(1 + allRows)
    expect([await statesOf(page), complaints]).toEqual([['completed'], []])
  })

  test('are recovered by a page that was closed while they were finished', async () => {
    const page = await browser.openPage(await start())
    await startExport(page)
    const [url, jobs] = [page.url(), new URL('/jobs', page.url()).href]
    const { request } = page.context()
    await page.close()
    await until(async () => (await (await request.get(jobs)).json())[0].state === 'completed')

    const later = await page.context().newPage()
    const requests = requestsOf(later, '/jobs/')
    await later.goto(url)
    await untilState(later, 'completed')

    expect(await later.textContent('#outcome')).toBe('It was finished while this page was away.')
    expect((await fileOf(later)).length).toBe(1 + allRows)
    // There was nothing to follow any more.
    expect(requests).toEqual([`${jobUrlOf(later)}/recover`])
  })

  test('are said to be orphaned when their worker dies, and another one can be started', async () => {
    const page = await browser.openPage(await start())
    await startExport(page)
    await untilMoreRowsThan(page, 5)
    await letWorkerDie(page, 'in its work')
    await page.getByText('The guardian asks after it').waitFor()
    await untilState(page, 'orphaned')
    const died = await rowsOf(page)
    await page.getByText('Start another export instead.').waitFor()
    await page.reload()
    await untilState(page, 'orphaned')

    expect([await rowsOf(page), died < allRows]).toEqual([died, true])
    expect(await page.locator('#file').isVisible()).toBe(false)
    await startExport(page)
    await untilState(page, 'completed')
    await until(async () => (await statesOf(page)).length === 2)
    expect(await statesOf(page)).toEqual(['completed', 'orphaned'])
  })

  test('have their result though their worker died when it had only to say so', async () => {
    const page = await browser.openPage(await start())
    await startExport(page)
    await letWorkerDie(page, 'after its work')
    await untilState(page, 'completed')

    expect(await page.textContent('#outcome')).toContain('found by the guardian')
    expect((await fileOf(page)).length).toBe(1 + allRows)
    await page.reload()
    await untilState(page, 'completed')
    expect(await page.textContent('#outcome')).toContain('found by the guardian')
    expect((await fileOf(page)).length).toBe(1 + allRows)
  })

  test('keep their result on a page that learns late that their worker was told to die', async () => {
    const page = await browser.openPage(await start())
    let pass: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      pass = resolve
    })
    await page.route('**/death', (route) => held.then(() => route.fulfill({ json: {} })))
    const telling = page.waitForResponse('**/death')
    await startExport(page)
    await letWorkerDie(page, 'after its work')
    await untilState(page, 'completed')
    pass()
    await (await telling).finished()
    // By then the page has dealt with it.
    await page.evaluate('fetch("/healthz")')

    expect(await page.textContent('#outcome')).toBe('All is written.')
    expect((await fileOf(page)).length).toBe(1 + allRows)
    expect(await page.isVisible('#file')).toBe(true)
  })

  test('are listed with their end though the page shows another one', async () => {
    const page = await browser.openPage(await start())
    await startExport(page)
    await untilMoreRowsThan(page, 20)
    await startExport(page)
    await page.goBack()
    await page.focus('#mine [aria-current]')
    await untilState(page, 'completed')
    await until(async () => (await statesOf(page)).join() === 'completed,completed')
    expect(await page.locator('#mine [aria-current]:focus').count()).toBe(1)
  })

  test('are nobody else’s', async () => {
    const page = await browser.openPage(await start())
    await startExport(page)
    await untilState(page, 'completed')
    const stranger = await browser.openPage(page.url())
    await untilState(stranger, 'unknown')
    const { request } = stranger.context()
    const asked = ['recover', 'events', 'export.csv'].map((path) => `${jobUrlOf(page)}/${path}`)
    const statuses = await Promise.all(asked.map(async (url) => (await request.get(url)).status()))
    const death = await request.post(`${jobUrlOf(page)}/death`, { data: { when: 'in its work' } })

    expect([...statuses, death.status()]).toEqual([403, 403, 403, 403])
    expect(await stranger.textContent('#problem')).toMatch(/somebody else/)
    expect([await statesOf(stranger), await stranger.isVisible('#job')]).toEqual([[], false])
    expect((await fetch(`${jobUrlOf(page)}/recover`)).status).toBe(401)
    expect((await request.get(`${example.url}/jobs/none/recover`)).status()).toBe(404)
    await stranger.goto(`${example.url}/export?id=none`)
    await untilState(stranger, 'unknown')
    expect(await stranger.textContent('#problem')).toMatch(/never had it/)
  })

  test('are counted by state on the status page', async () => {
    const page = await browser.openPage(await start())
    await startExport(page)
    await untilState(page, 'completed')
    await startExport(page)
    await letWorkerDie(page, 'in its work')
    await untilState(page, 'orphaned')

    await page.click('text=Status')
    await page.getByText('Healthy').waitFor()
    const orphaned = page.locator('#streams div', { hasText: 'Orphaned' }).locator('dd')
    await until(async () => (await orphaned.textContent()) === '1')
    const counts = await page.locator('#streams dd').allTextContents()
    // Active, silent, completed, failed, aborted, orphaned.
    expect(counts.slice(0, 6)).toEqual(['0', '0', '1', '0', '0', '1'])
    const health = await fetch(`${example.url}/healthz`)
    expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }])
  })
})
