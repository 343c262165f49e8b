import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { describeWithChromium } from '../support/browser.js'

const script = join(__dirname, '../../examples/express/dist/server.js')

/** Starts the example as a process of its own, as `npm start` does. */
function start(port: string): ChildProcess {
  return spawn(process.execPath, [script], {
    env: { ...process.env, PORT: port },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function addressOf(server: ChildProcess): Promise<string> {
  const [line] = (await once(server.stdout as NonNullable<typeof server.stdout>, 'data')) as [
    Buffer,
  ]
  return line.toString().trim()
}

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (server.exitCode !== null) return server.exitCode
  const exited = once(server, 'exit')
  server.kill(signal)
  const [code] = (await exited) as [number | null]
  return code
}

describeWithChromium('the Express example', (browser) => {
  let server: ChildProcess
  let url: string

  beforeEach(async () => {
    server = start('0')
    url = await addressOf(server)
  })

  afterEach(async () => {
    await end(server, 'SIGKILL')
  })

  test('shows a live chart, and proves over and over that a cut loses nothing', async () => {
    const page = await browser.openPage(url)
    await page.waitForSelector('#status[data-state=live]')
    await page.waitForSelector('#chart canvas')
    await page.waitForSelector('#log li[data-event=load]')
    for (let round = 0; round < 2; round++) {
      await page.click('#proof-button')
      await page.waitForSelector('#proof-result[data-state=passed]')
      const { received, missed, twice, disordered } = await page.$eval(
        '#proof-result',
        (result) => ({ ...(result as unknown as { dataset: Record<string, string> }).dataset }),
      )
      expect({ received, missed, twice, disordered }).toEqual({
        received: '20',
        missed: '0',
        twice: '0',
        disordered: '0',
      })
    }
    expect(await page.locator('#proof-cells li.arrived').count()).toBe(20)
  })

  test('lets two people chat in a room, who see each other’s text and not its markup', async () => {
    const [ann, bob, other] = await Promise.all([
      browser.openPage(`${url}/rooms/tea`),
      browser.openPage(`${url}/rooms/tea`),
      browser.openPage(`${url}/rooms/coffee`),
    ])
    for (const page of [ann, bob, other]) await page.waitForSelector('#status[data-state=live]')
    await ann.fill('#chat-name', 'Ann')
    await ann.fill('#chat-text', '<b>hello</b> 世界')
    await ann.press('#chat-text', 'Enter')
    const said = bob.locator('#chat-messages li p', { hasText: '<b>hello</b> 世界' })
    await said.waitFor()
    expect(await said.count()).toBe(1)
    expect(await other.locator('#chat-messages li p').count()).toBe(0)
  })

  test('keeps what is typed while a message is on its way', async () => {
    const page = await browser.openPage(`${url}/rooms/tea`)
    let pass: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      pass = resolve
    })
    await page.route('**/messages', (route) => held.then(() => route.continue()))
    const posting = page.waitForRequest('**/messages')
    await page.fill('#chat-text', 'the first')
    await page.press('#chat-text', 'Enter')
    await posting
    await page.fill('#chat-text', 'the second')
    pass()
    await page.waitForSelector('#chat-form button:enabled')
    expect(await page.inputValue('#chat-text')).toBe('the second')

    await page.unroute('**/messages')
    await page.press('#chat-text', 'Enter')
    await page.locator('#chat-messages li p', { hasText: 'the second' }).waitFor()
    expect(await page.inputValue('#chat-text')).toBe('')
  })

  test('comes back after a restart, says what that means, and ends when it is told to', async () => {
    const page = await browser.openPage(url)
    await page.waitForSelector('#status[data-state=live]')
    const code = await end(server, 'SIGTERM')
    await page.waitForSelector('#status[data-state=reconnecting]')
    server = start(new URL(url).port)
    await addressOf(server)
    await page.waitForSelector('#log li[data-event=stream-reset]', { state: 'attached' })
    await page.waitForSelector('#status[data-state=live]')
    expect(code).toBe(0)
  })

  test('says in one line that its port is taken', async () => {
    const second = start(new URL(url).port)
    let said = ''
    second.stderr?.on('data', (text) => {
      said += text
    })
    const [code] = await once(second, 'close')
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(/^Port \d+ is in use. Choose another one: PORT=\d+\n$/),
    ])
  })
})
