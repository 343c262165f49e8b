import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import type { Chromium } from '../support/browser.js'
import { copyNextApp, type NextProcess } from '../support/next-process.js'
import { connect, type SseClient } from '../support/sse-client.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { complaintsOf, textsOf } from './chat-page.js'

/** A copy of the Next.js example, removed after the tests of a file. */
export class NextExample {
  folder!: string
  server!: NextProcess
  proxy!: TcpProxy
  url!: string
  readonly #clients: SseClient[] = []

  constructor() {
    beforeAll(async () => {
      this.folder = await copyNextApp(join(__dirname, '../../examples/next-pages'))
    })

    afterEach(() => {
      for (const client of this.#clients.splice(0)) client.destroy()
    })

    afterAll(async () => {
      await rm(this.folder, { recursive: true, force: true })
    })
  }

  async listen(started: NextProcess): Promise<void> {
    this.server = started
    await this.visit(`http://127.0.0.1:${await started.port()}`)
  }

  /** From here on tests send what they have to this address, or through `proxy`. */
  async visit(address: string): Promise<void> {
    this.url = address
    this.proxy = await TcpProxy.start(address)
  }

  readonly stop = async (): Promise<void> => {
    await this.proxy?.close()
    await this.server?.end('SIGKILL')
  }

  async follow(room: string, headers: Record<string, string> = {}): Promise<SseClient> {
    const client = await connect(`${this.url}/api/rooms/${room}`, { headers })
    this.#clients.push(client)
    return client.opened()
  }

  post(room: string, text: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}/api/rooms/${room}/messages`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ name: 'Test', text }),
    })
  }
}

export function testStatuses(example: NextExample): void {
  test.each([
    ['GET', { Accept: 'text/html' }, 406, undefined],
    ['DELETE', {}, 405, 'GET, HEAD, POST'],
    ['GET', { 'Last-Event-ID': 'error' }, 400, undefined],
    ['HEAD', {}, 200, undefined],
  ] as const)('answers %s with %j by its status %d', async (method, headers, status, allow) => {
    const client = await connect(`${example.url}/api/rooms/tea`, { method, headers })
    await client.end()
    expect([client.status, client.headers.allow]).toEqual([status, allow])
    expect(client.headers['content-type']).toMatch(
      status === 200 ? 'text/event-stream' : 'text/plain',
    )
  })
}

export function testCut(example: NextExample, browser: Chromium): void {
  test.each([
    ['with the hook', '/rooms/cut'],
    ['with a plain EventSource', '/rooms/plain-cut/plain'],
  ])('shows once what was said while a page’s connection was cut, %s', async (_, path) => {
    const room = path.split('/')[2] as string
    const page = await browser.openPage(`${example.proxy.url}${path}`)
    const complaints = complaintsOf(page)
    await page.waitForSelector('#status[data-state=live]:text-is("Live")')
    await example.post(room, 'before')
    await page.waitForSelector('#chat-messages li')
    example.proxy.cut()
    await page.waitForSelector('#status[data-state=away]:has-text("Reconnecting")')
    await example.post(room, 'meanwhile')
    example.proxy.heal()
    await page.waitForSelector('#status[data-state=live]:text-is("Live")')
    await example.post(room, 'after')
    await page.waitForSelector('#chat-messages li p:text("after")')
    expect(await textsOf(page)).toEqual(['before', 'meanwhile', 'after'])
    expect(await page.locator('#note').count()).toBe(0)
    expect(complaints).toEqual([])
  })
}
