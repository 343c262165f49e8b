import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import { describeWithChromium } from '../support/browser.js'
import { answerOf, untilLongerThan, untilState } from './ask-page.js'
import { complaintsOf, requestsOf } from './chat-page.js'
import { ExampleProcess } from './example-process.js'

const wholeText = readFileSync(join(__dirname, '../../examples/express/answer.txt'), 'utf8').trim()

let example: ExampleProcess

function event(name: string, data: unknown, id?: string): string {
  const head = id === undefined ? '' : `id: ${id}\n`
  return `${head}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

describeWithChromium('the Express example’s long answers', (browser) => {
  afterEach(async () => {
    await example.stop()
  })

  test('are whole after a reload in the middle, in a second tab, and after the end', async () => {
    example = await ExampleProcess.start('server.js', { env: { TOKEN_MS: '2' } })
    const page = await browser.openPage(`${example.url}/ask`)
    const complaints = complaintsOf(page)
    await page.fill('#ask-text', 'Where from, <b>river</b>?')
    await page.click('#ask-button')
    await untilLongerThan(page, 100)
    const before = await answerOf(page)

    await page.reload()
    await untilLongerThan(page, before.length)
    const tab = await page.context().newPage()
    await tab.goto(page.url())
    await Promise.all([untilState(page, 'completed'), untilState(tab, 'completed')])

    expect(wholeText.startsWith(before)).toBe(true)
    expect([await answerOf(page), await answerOf(tab)]).toEqual([wholeText, wholeText])
    await page.reload()
    await untilState(page, 'completed')
    expect(await answerOf(page)).toBe(wholeText)
    expect(await page.textContent('#question')).toBe('Where from, <b>river</b>?')
    expect(complaints).toEqual([])
  })

  test('stand still in every tab when one of them stops them, and can be asked for again', async () => {
    example = await ExampleProcess.start('server.js')
    const page = await browser.openPage(`${example.url}/ask`)
    const requests = requestsOf(page, '/answers/')
    await page.click('#ask-button')
    await untilState(page, 'answering')
    const tab = await page.context().newPage()
    await tab.goto(page.url())
    await Promise.all([untilLongerThan(page, 50), untilLongerThan(tab, 50)])

    await tab.click('#stop-button')
    await Promise.all([untilState(page, 'aborted'), untilState(tab, 'aborted')])

    const stopped = await answerOf(page)
    expect([wholeText.startsWith(stopped), stopped.length < wholeText.length]).toEqual([true, true])
    expect(await page.locator('#stop-button').isVisible()).toBe(false)
    await tab.reload()
    await untilState(tab, 'aborted')
    expect(await answerOf(tab)).toBe(stopped)
    await tab.click('#ask-button')
    await untilState(tab, 'answering')
    expect(tab.url()).not.toBe(page.url())
    await tab.goto(`${example.url}/ask?id=none`)
    await untilState(tab, 'unknown')
    expect(await answerOf(page)).toBe(stopped)
    // It did not come back for more.
    expect(requests.length).toBe(1)
  })

  test('are not asked for by a question of spaces', async () => {
    example = await ExampleProcess.start('server.js')
    const page = await browser.openPage(`${example.url}/ask`)
    const requests = requestsOf(page, '/answers/')
    await page.fill('#ask-text', '   ')
    await page.click('#ask-button')

    expect(await page.locator('#ask-text:invalid').count()).toBe(1)
    expect([page.url(), requests]).toEqual([`${example.url}/ask`, []])
    await page.fill('#ask-text', ' Why? ')
    await page.click('#ask-button')
    await page.locator('#question', { hasText: 'Why?' }).waitFor()
  })

  test('start over when the server does not know the position, and tell of a part that is missing', async () => {
    example = await ExampleProcess.start('server.js')
    const page = await browser.openPage(`${example.url}/ask`)
    const serve = (id: string, answers: string[]) =>
      page.route(`**/answers/${id}`, (route) =>
        route.fulfill({ contentType: 'text/event-stream', body: answers.shift() ?? '' }),
      )
    const reset = event('stream-open', {}) + event('stream-reset', { reason: 'unknown' })
    const end = event('stream-end', { state: 'completed' }, '9-0')
    const ahead = [
      `retry: 1\n${event('message', 'ahead', '8-7')}`,
      reset,
      event('stream-open', {}, '0-1') + event('message', 'whole', '1-2') + end,
    ]
    await serve('ahead', ahead)
    await serve('trimmed', [reset + event('message', 'the end', '8-7') + end])
    const isNoted = () => page.locator('#note').isVisible()

    await page.goto(`${example.url}/ask?id=ahead`)
    await untilState(page, 'completed')
    expect([ahead, await answerOf(page), await isNoted()]).toEqual([[], 'whole', false])
    await page.goto(`${example.url}/ask?id=trimmed`)
    await untilState(page, 'completed')
    expect([await answerOf(page), await isNoted()]).toEqual(['…the end', true])
  })
})
