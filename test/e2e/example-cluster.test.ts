import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Page } from 'playwright-core'
import { describeWithChromium } from '../support/browser.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { OwnProcess } from '../support/own-process.js'
import { pathOf } from '../support/services.js'
import { until } from '../support/until.js'
import { complaintsOf, textsOf } from './chat-page.js'

const script = join(__dirname, '../../examples/express/dist/cluster.js')

/** The example as two processes, as `npm run start:cluster` starts it. */
class Cluster {
  readonly #folder: string
  readonly #process: OwnProcess

  private constructor(folder: string, process: OwnProcess) {
    this.#folder = folder
    this.#process = process
  }

  static async start(): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'cluster-'))
    const redis = `REDIS_SERVER_PATH=${pathOf('redis-server')}`
    const args = ['PORT=0', redis, 'REDIS_URL=', process.execPath, script]
    const cluster = new Cluster(folder, await OwnProcess.start('env', args, folder))
    await until(
      () => cluster.#process.hasExited || cluster.#process.output.includes('http'),
      20_000,
    )
    return cluster
  }

  get url(): string {
    const url = /^http:\S+/m.exec(this.#process.output)?.[0]
    if (url === undefined) throw new Error(`No cluster has started:\n${this.#process.output}`)
    return url
  }

  /** Of the server that has a name, since its last start. */
  pidOf(name: string): number {
    const all = [...this.#process.output.matchAll(new RegExp(`^${name} is pid (\\d+)$`, 'gm'))]
    return Number(all.at(-1)?.[1])
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#process.signal(signal)
    await until(() => this.#process.hasExited)
  }

  async stop(): Promise<void> {
    await this.#process.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Posts until it is answered, as the page does. */
async function post(url: string, text: string): Promise<void> {
  const request = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() },
    body: JSON.stringify({ name: 'Ann', text }),
  }
  let status = 0
  await until(async () => {
    status = await fetch(url, request).then(
      (response) => response.status,
      () => 0,
    )
    return status !== 0
  })
  expect(status).toBe(201)
}

/** The name of the process that serves a page. */
async function serverOf(page: Page): Promise<string> {
  const status = page.locator('#status[data-state=live]', { hasText: / · process \d$/ })
  return (await status.textContent())?.split(' · ')[1] ?? ''
}

function count(n: number): string[] {
  return Array.from({ length: n }, (_, i) => `message ${i + 1}`)
}

describeWithRedis('the Express example as two processes', () => {
  describeWithChromium('in Chromium', (browser) => {
    let cluster: Cluster

    beforeEach(async () => {
      cluster = await Cluster.start()
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
        await post(`${cluster.url}/rooms/tea/messages`, `message ${n}`)
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

    test('publishes each load sample once, and leaves nothing behind when it is told to end', async () => {
      const page = await browser.openPage(cluster.url)
      await until(async () => (await page.locator('#log li[data-event=load]').count()) >= 6)
      const samples = await page.locator('#log li[data-event=load] .data').allTextContents()
      const times = samples.map((sample) => JSON.parse(sample).at)
      const pids = ['process 1', 'process 2'].map((name) => cluster.pidOf(name))

      await cluster.end('SIGTERM')

      expect(times).toEqual([...new Set(times)].sort((a, b) => b - a))
      expect(pids.filter(isRunning)).toEqual([])
    })
  })
})
