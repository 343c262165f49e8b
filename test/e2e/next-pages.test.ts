import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { answerText } from '../../examples/next-pages/lib/answer-text.js'
import { describeWithChromium } from '../support/browser.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { freePort } from '../support/free-port.js'
import { buildNextApp, startNextApp } from '../support/next-process.js'
import { Pushpin } from '../support/pushpin.js'
import { until } from '../support/until.js'
import { answerOf, untilLongerThan, untilState } from './ask-page.js'
import { complaintsOf, say, streamsOf, textsOf } from './chat-page.js'
import { NextExample, testCut, testStatuses } from './next-example.js'

const example = new NextExample()
let built: Promise<void> | undefined

/** Once for all that serve it. */
function build(): Promise<void> {
  built ??= buildNextApp(example.folder)
  return built
}

describe('the Next.js example, built', () => {
  beforeAll(async () => {
    await build()
    await example.listen(startNextApp(example.folder, { env: { TOKEN_MS: '2' } }))
  }, 90_000)

  afterAll(example.stop)

  testStatuses(example)

  test('takes the channel from the path, whatever the query says', async () => {
    const client = await example.follow('path?id=query')
    await example.post('query', 'for the other room')
    await example.post('path', 'for this room')
    await client.received(1)
    expect(client.data).toEqual([expect.objectContaining({ text: 'for this room' })])
  })

  test('sends events at once to a client that takes compressed answers', async () => {
    const client = await example.follow('compressed', { 'Accept-Encoding': 'gzip, br' })
    await example.post('compressed', 'not held back')
    await client.received(1)
    expect(client.headers['content-encoding']).toBeUndefined()
  })

  test('publishes once what is posted twice with the same key', async () => {
    const headers = { 'Idempotency-Key': 'one' }
    const [first, second] = [
      await example.post('keys', 'said once', headers),
      await example.post('keys', 'said once', headers),
    ]
    await example.post('keys', 'the end')
    const client = await example.follow('keys')
    await client.received(2)
    expect(await first.json()).toEqual(await second.json())
    expect(client.data).toMatchObject([{ text: 'said once' }, { text: 'the end' }])
  })

  test('refuses what is no message, and says why', async () => {
    const answers = await Promise.all([
      example.post('refused', ''),
      example.post('refused', 'x'.repeat(1001)),
      example.post('refused', 'a form', { 'Content-Type': 'text/plain' }),
      example.post('refused', 'a key', { 'Idempotency-Key': 'two words' }),
      example.post('not_a_room', 'anything'),
      example.post('refused', 'x'.repeat(9000)),
      fetch(`${example.url}/api/rooms/refused/messages`),
    ])
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 415, 400, 400, 413, 405])
    expect(await answers[0]?.json()).toEqual({ error: 'text takes 1 to 1000 characters.' })
    expect(answers[6]?.headers.get('allow')).toBe('POST')
  })

  describeWithChromium('in Chromium', (browser) => {
    test('goes to the lobby, and has no page for what is no room', async () => {
      const page = await browser.openPage(example.url)
      await page.waitForSelector('#status[data-state=live]')
      expect(new URL(page.url()).pathname).toBe('/rooms/lobby')
      expect((await page.goto(`${example.url}/rooms/not_a_room`))?.status()).toBe(404)
    })

    test('lets two people chat in a room, who see each other’s text and not its markup', async () => {
      const ann = await browser.openPage(`${example.url}/rooms/markup`)
      const bob = await browser.openPage(`${example.url}/rooms/markup`)
      const complaints = [complaintsOf(ann), complaintsOf(bob)]
      for (const page of [ann, bob]) {
        await page.reload()
        await page.waitForSelector('#status[data-state=live]')
      }
      await say(ann, 'Ann', '<b>hello</b> 世界')
      await bob.waitForSelector('#chat-messages li')
      await say(bob, 'Bob', 'Hello, Ann')
      await ann.waitForSelector('#chat-messages li:nth-child(2)')
      const texts = ['<b>hello</b> 世界', 'Hello, Ann']
      expect([await textsOf(ann), await textsOf(bob)]).toEqual([texts, texts])
      expect(await bob.locator('#chat-messages .id').allTextContents()).toEqual([
        expect.stringMatching(/^1-\d+$/),
        expect.stringMatching(/^2-\d+$/),
      ])
      expect(complaints).toEqual([[], []])
    })

    test('shows another room without what was said in the one before', async () => {
      await example.post('tea', 'about tea')
      const page = await browser.openPage(`${example.url}/rooms/tea`)
      await page.waitForSelector('#chat-messages li')
      await page.click('.rooms a[href="/rooms/coffee"]')
      await page.waitForSelector('#room:text("coffee")')
      await page.waitForSelector('#status[data-state=live]')
      await example.post('tea', 'more about tea')
      await example.post('coffee', 'about coffee')
      await page.waitForSelector('#chat-messages li')
      expect(await textsOf(page)).toEqual(['about coffee'])
    })

    test('shows an answer as it is written, and all of it after a reload in the middle', async () => {
      const page = await browser.openPage(`${example.url}/ask`)
      const complaints = complaintsOf(page)
      await page.fill('#ask-text', 'Where from?')
      await page.click('#ask-button')
      await untilLongerThan(page, 100)
      const before = await answerOf(page)
      await page.reload()
      await untilLongerThan(page, before.length)
      await untilState(page, 'completed')
      expect([answerText.startsWith(before), await answerOf(page)]).toEqual([true, answerText])
      expect(await page.textContent('#question')).toBe('Where from?')
      expect(complaints).toEqual([])
    })

    test('does not ask a question of spaces', async () => {
      const page = await browser.openPage(`${example.url}/ask`)
      await page.fill('#ask-text', '   ')
      await page.click('#ask-button')
      expect(await page.locator('#ask-text:invalid').count()).toBe(1)
      expect([page.url(), await page.isVisible('#stop-button')]).toEqual([
        `${example.url}/ask`,
        false,
      ])
    })

    testCut(example, browser)

    test('goes from the hook to a plain EventSource and back, with the same messages', async () => {
      await example.post('variants', 'said before')
      const page = await browser.openPage(`${example.url}/rooms/variants`)
      await page.waitForSelector('#status[data-state=live]')
      const streams = streamsOf(page)
      await page.reload()
      for (const path of ['/rooms/variants/plain', '/rooms/variants']) {
        await page.waitForSelector('#chat-messages li')
        await page.click('#variant')
        await page.waitForURL(`${example.url}${path}`)
        await page.waitForSelector('#status[data-state=live]')
        await page.waitForSelector('#chat-messages li')
        expect(await textsOf(page)).toEqual(['said before'])
      }
      await until(() => streams.open.size === 1)
    })

    test('counts down to the next try while the server is away', async () => {
      const page = await browser.openPage(`${example.proxy.url}/rooms/countdown`)
      await page.waitForSelector('#status[data-state=live]')
      example.proxy.cut()
      await page.waitForSelector('#status > [aria-hidden]:text-matches("^in [0-9]+ s$")')
      example.proxy.heal()
      await page.waitForSelector('#status[data-state=live]:text-is("Live")')
    })

    // Last, since it ends the server that the others use.
    test('ends when it is told to, and after a restart its pages tell of what is lost', async () => {
      const page = await browser.openPage(`${example.url}/rooms/restart`)
      const plain = await browser.openPage(`${example.url}/rooms/restart/plain`)
      const pages = [page, plain]
      for (const each of pages) await each.waitForSelector('#status[data-state=live]')
      await example.post('restart', 'lost with the server')
      for (const each of pages) await each.waitForSelector('#chat-messages li')
      const code = await example.server.end('SIGTERM')
      for (const each of pages) {
        await each.waitForSelector('#status[data-state=away]:has-text("Reconnecting")')
      }
      example.server = startNextApp(example.folder, { port: Number(new URL(example.url).port) })
      await example.server.port()
      await example.post('restart', 'said anew')
      for (const each of pages) {
        await each.waitForSelector('#note:has-text("stream-reset")')
        await each.waitForSelector('#status[data-state=live]')
        await each.waitForSelector('#chat-messages li')
        expect(await textsOf(each)).toEqual(['said anew'])
      }
      // What Next.js itself exits with after SIGTERM.
      expect(code).toBe(143)
      await example.post('restart', 'and once more')
      await page.waitForSelector('#chat-messages li:nth-child(2)')
      await page.click('#note-close')
      await page.waitForSelector('#note', { state: 'detached' })
      expect(await textsOf(page)).toEqual(['said anew', 'and once more'])
    })
  })
})

describeWithPushpin('the Next.js example, built, through Pushpin', () => {
  let pushpin: Pushpin

  /** @returns Once it answers. */
  async function start(port: number): Promise<void> {
    example.server = startNextApp(example.folder, { port, env: { GRIP_URL: pushpin.gripUrl } })
    await example.server.port()
  }

  beforeAll(async () => {
    await build()
    const port = await freePort()
    pushpin = await Pushpin.start({ origin: port })
    await start(port)
    await example.visit(pushpin.url)
  }, 90_000)

  afterAll(async () => {
    await example.stop()
    await pushpin?.stop()
  })

  testStatuses(example)

  test('answers the request by which the proxy asks for what its clients missed', async () => {
    const client = await example.follow('restarted')
    await example.post('restarted', 'lost with the server')
    await client.received(1)
    const port = await example.server.port()
    await example.server.end('SIGKILL')
    await start(port)
    await example.post('restarted', 'makes the proxy ask')
    const isReset = () => client.control.some(({ event }) => event === 'stream-reset')
    await until(isReset)
    await example.post('restarted', 'said anew')
    await client.received(2)
    const texts = [{ text: 'lost with the server' }, { text: 'said anew' }]
    expect([client.ended, client.data]).toMatchObject([false, texts])
  })

  describeWithChromium('in Chromium', (browser) => {
    test('lets two people chat in a room', async () => {
      const ann = await browser.openPage(`${example.url}/rooms/proxied`)
      const bob = await browser.openPage(`${example.url}/rooms/proxied`)
      const complaints = [complaintsOf(ann), complaintsOf(bob)]
      for (const page of [ann, bob]) await page.waitForSelector('#status[data-state=live]')
      await say(ann, 'Ann', '50 % <b>more</b>')
      await bob.waitForSelector('#chat-messages li')
      await say(bob, 'Bob', 'Hello, Ann')
      for (const page of [ann, bob]) await page.waitForSelector('#chat-messages li:nth-child(2)')
      const texts = ['50 % <b>more</b>', 'Hello, Ann']
      expect([await textsOf(ann), await textsOf(bob)]).toEqual([texts, texts])
      expect(complaints).toEqual([[], []])
    })

    testCut(example, browser)
  })
})
