import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { answerText } from '../../examples/next-pages/lib/answer-text.js'
import { type Chromium, describeWithChromium } from '../support/browser.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { freePort } from '../support/free-port.js'
import {
  buildNextApp,
  copyNextApp,
  developNextApp,
  type NextProcess,
  startNextApp,
} from '../support/next-process.js'
import { Pushpin } from '../support/pushpin.js'
import { connect, type SseClient } from '../support/sse-client.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { answerOf, untilLongerThan, untilState } from './ask-page.js'
import { complaintsOf, recordSources, say, textsOf } from './chat-page.js'

const example = join(__dirname, '../../examples/next-pages')

let folder: string
let server: NextProcess
let proxy: TcpProxy
let url: string
const clients: SseClient[] = []

async function listen(started: NextProcess): Promise<void> {
  server = started
  await visit(`http://127.0.0.1:${await started.port()}`)
}

/** From here on tests send what they have to this address, or through `proxy`. */
async function visit(address: string): Promise<void> {
  url = address
  proxy = await TcpProxy.start(url)
}

async function stop(): Promise<void> {
  await proxy?.close()
  await server?.end('SIGKILL')
}

async function follow(room: string, headers: Record<string, string> = {}): Promise<SseClient> {
  const client = await connect(`${url}/api/rooms/${room}`, { headers })
  clients.push(client)
  return client.opened()
}

function post(room: string, text: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/api/rooms/${room}/messages`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ name: 'Test', text }),
  })
}

function testStatuses(): void {
  test.each([
    ['GET', { Accept: 'text/html' }, 406, undefined],
    ['DELETE', {}, 405, 'GET, HEAD, POST'],
    ['GET', { 'Last-Event-ID': 'error' }, 400, undefined],
    ['HEAD', {}, 200, undefined],
  ] as const)('answers %s with %j by its status %d', async (method, headers, status, allow) => {
    const client = await connect(`${url}/api/rooms/tea`, { method, headers })
    await client.end()
    expect([client.status, client.headers.allow]).toEqual([status, allow])
    expect(client.headers['content-type']).toMatch(
      status === 200 ? 'text/event-stream' : 'text/plain',
    )
  })
}

function testCut(browser: Chromium): void {
  test('shows once what was said while a page’s connection was cut', async () => {
    const page = await browser.openPage(`${proxy.url}/rooms/cut`)
    const complaints = complaintsOf(page)
    await page.waitForSelector('#status[data-state=live]')
    await post('cut', 'before')
    await page.waitForSelector('#chat-messages li')
    proxy.cut()
    await page.waitForSelector('#status[data-state=away]')
    await post('cut', 'meanwhile')
    proxy.heal()
    await page.waitForSelector('#status[data-state=live]')
    await post('cut', 'after')
    await page.waitForSelector('#chat-messages li p:text("after")')
    expect(await textsOf(page)).toEqual(['before', 'meanwhile', 'after'])
    expect(await page.locator('#note').count()).toBe(0)
    expect(complaints).toEqual([])
  })
}

let built: Promise<void> | undefined

/** Once for all that serve it. */
function build(): Promise<void> {
  built ??= buildNextApp(folder)
  return built
}

beforeAll(async () => {
  folder = await copyNextApp(example)
})

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

describe('the Next.js example, built', () => {
  beforeAll(async () => {
    await build()
    await listen(startNextApp(folder, { env: { TOKEN_MS: '2' } }))
  }, 90_000)

  afterAll(stop)

  testStatuses()

  test('takes the channel from the path, whatever the query says', async () => {
    const client = await follow('path?id=query')
    await post('query', 'for the other room')
    await post('path', 'for this room')
    await client.received(1)
    expect(client.data).toEqual([expect.objectContaining({ text: 'for this room' })])
  })

  test('sends events at once to a client that takes compressed answers', async () => {
    const client = await follow('compressed', { 'Accept-Encoding': 'gzip, br' })
    await post('compressed', 'not held back')
    await client.received(1)
    expect(client.headers['content-encoding']).toBeUndefined()
  })

  test('publishes once what is posted twice with the same key', async () => {
    const headers = { 'Idempotency-Key': 'one' }
    const [first, second] = [
      await post('keys', 'said once', headers),
      await post('keys', 'said once', headers),
    ]
    await post('keys', 'the end')
    const client = await follow('keys')
    await client.received(2)
    expect(await first.json()).toEqual(await second.json())
    expect(client.data).toMatchObject([{ text: 'said once' }, { text: 'the end' }])
  })

  test('refuses what is no message, and says why', async () => {
    const answers = await Promise.all([
      post('refused', ''),
      post('refused', 'x'.repeat(1001)),
      post('refused', 'a form', { 'Content-Type': 'text/plain' }),
      post('refused', 'a key', { 'Idempotency-Key': 'two words' }),
      post('not_a_room', 'anything'),
      post('refused', 'x'.repeat(9000)),
      fetch(`${url}/api/rooms/refused/messages`),
    ])
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 415, 400, 400, 413, 405])
    expect(await answers[0]?.json()).toEqual({ error: 'text takes 1 to 1000 characters.' })
    expect(answers[6]?.headers.get('allow')).toBe('POST')
  })

  describeWithChromium('in Chromium', (browser) => {
    test('goes to the lobby, and has no page for what is no room', async () => {
      const page = await browser.openPage(url)
      await page.waitForSelector('#status[data-state=live]')
      expect(new URL(page.url()).pathname).toBe('/rooms/lobby')
      expect((await page.goto(`${url}/rooms/not_a_room`))?.status()).toBe(404)
    })

    test('lets two people chat in a room, who see each other’s text and not its markup', async () => {
      const ann = await browser.openPage(`${url}/rooms/markup`)
      const bob = await browser.openPage(`${url}/rooms/markup`)
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
      await post('tea', 'about tea')
      const page = await browser.openPage(`${url}/rooms/tea`)
      await page.waitForSelector('#chat-messages li')
      await page.click('.rooms a[href="/rooms/coffee"]')
      await page.waitForSelector('#room:text("coffee")')
      await page.waitForSelector('#status[data-state=live]')
      await post('tea', 'more about tea')
      await post('coffee', 'about coffee')
      await page.waitForSelector('#chat-messages li')
      expect(await textsOf(page)).toEqual(['about coffee'])
    })

    test('shows an answer as it is written, and all of it after a reload in the middle', async () => {
      const page = await browser.openPage(`${url}/ask`)
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

    testCut(browser)

    // Last, since it ends the server that the others use.
    test('ends when it is told to, and after a restart its pages tell of what is lost', async () => {
      const page = await browser.openPage(`${url}/rooms/restart`)
      await page.waitForSelector('#status[data-state=live]')
      await post('restart', 'lost with the server')
      await page.waitForSelector('#chat-messages li')
      const code = await server.end('SIGTERM')
      await page.waitForSelector('#status[data-state=away]')
      server = startNextApp(folder, { port: Number(new URL(url).port) })
      await server.port()
      await post('restart', 'said anew')
      await page.waitForSelector('#note:has-text("stream-reset")')
      await page.waitForSelector('#status[data-state=live]')
      await page.waitForSelector('#chat-messages li')
      // What Next.js itself exits with after SIGTERM.
      expect(code).toBe(143)
      expect(await textsOf(page)).toEqual(['said anew'])
    })
  })
})

describeWithPushpin('the Next.js example, built, through Pushpin', () => {
  let pushpin: Pushpin

  /** @returns Once it answers. */
  async function start(port: number): Promise<void> {
    server = startNextApp(folder, { port, env: { GRIP_URL: pushpin.gripUrl } })
    await server.port()
  }

  beforeAll(async () => {
    await build()
    const port = await freePort()
    pushpin = await Pushpin.start({ origin: port })
    await start(port)
    await visit(pushpin.url)
  }, 90_000)

  afterAll(async () => {
    await stop()
    await pushpin?.stop()
  })

  testStatuses()

  test('answers the request by which the proxy asks for what its clients missed', async () => {
    const client = await follow('restarted')
    await post('restarted', 'lost with the server')
    await client.received(1)
    const port = await server.port()
    await server.end('SIGKILL')
    await start(port)
    await post('restarted', 'makes the proxy ask')
    const isReset = () => client.control.some(({ event }) => event === 'stream-reset')
    await until(isReset)
    await post('restarted', 'said anew')
    await client.received(2)
    const texts = [{ text: 'lost with the server' }, { text: 'said anew' }]
    expect([client.ended, client.data]).toMatchObject([false, texts])
  })

  describeWithChromium('in Chromium', (browser) => {
    test('lets two people chat in a room', async () => {
      const ann = await browser.openPage(`${url}/rooms/proxied`)
      const bob = await browser.openPage(`${url}/rooms/proxied`)
      const complaints = [complaintsOf(ann), complaintsOf(bob)]
      for (const page of [ann, bob]) await page.waitForSelector('#status[data-state=live]')
      await say(ann, 'Ann', '50 % <b>more</b>')
      await bob.waitForSelector('#chat-messages li')
      await say(bob, 'Bob', 'Hello, Ann')
      await ann.waitForSelector('#chat-messages li:nth-child(2)')
      const texts = ['50 % <b>more</b>', 'Hello, Ann']
      expect([await textsOf(ann), await textsOf(bob)]).toEqual([texts, texts])
      expect(complaints).toEqual([[], []])
    })

    testCut(browser)
  })
})

describe('the Next.js example, in development', () => {
  beforeAll(async () => {
    await listen(developNextApp(folder))
  }, 60_000)

  afterAll(stop)

  /** Changes the module that both API routes import, and waits until they have loaded it anew. */
  async function reload(line: string): Promise<void> {
    const loaded = () => server.output.split(line).length - 1
    await appendFile(join(folder, 'lib/event-stream.ts'), `\nconsole.log('${line}')\n`)
    await until(async () => {
      await post('probe', line)
      await (await connect(`${url}/api/rooms/probe`, { method: 'HEAD' })).end()
      return loaded() >= 2
    }, 30_000)
  }

  test('goes on with the streams that were open when modules were reloaded', async () => {
    const client = await follow('reload')
    await post('reload', 'before')
    await client.received(1)
    for (const n of [1, 2]) {
      await reload(`Loaded anew: ${n}.`)
      await post('reload', `after ${n}`)
      await client.received(1 + n)
    }
    const later = await follow('reload')
    await later.received(3)
    const texts = [{ text: 'before' }, { text: 'after 1' }, { text: 'after 2' }]
    expect([client.ended, client.data, later.data]).toMatchObject([false, texts, texts])
  })

  testStatuses()

  describeWithChromium('in Chromium', (browser) => {
    test('has one connection and shows each message once, although React mounts twice', async () => {
      const page = await browser.openPage(`${proxy.url}/rooms/strict`)
      const complaints = complaintsOf(page)
      await page.addInitScript(recordSources)
      await page.reload()
      // React mounts twice what comes after the page that the server has rendered.
      await page.click('.rooms a[href="/rooms/tea"]')
      await page.waitForSelector('#room:text("tea")')
      await page.waitForSelector('#status[data-state=live]')
      await say(page, 'Ann', 'said once')
      await page.waitForSelector('#chat-messages li')
      await reload('Loaded anew, with an open page.')
      await post('tea', 'after the reload')
      await page.waitForSelector('#chat-messages li:nth-child(2)')
      expect(await textsOf(page)).toEqual(['said once', 'after the reload'])
      expect(await page.evaluate('sources.map(({ readyState }) => readyState)')).toEqual([2, 2, 1])
      expect(complaints).toEqual([])
    })

    testCut(browser)
  })
})
