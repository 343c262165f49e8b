import { join } from 'node:path'
import { expect, jest, test } from '@jest/globals'
import { buildSync } from 'esbuild'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { caseServer } from './event-source-server.js'
import { bundle } from './page.js'

jest.setTimeout(180_000)

const cases = buildSync({
  entryPoints: [join(__dirname, 'pages/all-cases.js')],
  bundle: true,
  format: 'iife',
  globalName: 'cases',
  write: false,
}).outputFiles[0]?.text

/** What the client does otherwise, on purpose. `docs/client.md` has the list. */
const notTrusted = ['onmessage: a trusted event']
const notGivenUp = [
  'status: 503',
  'cross-origin: preflight, safe id',
  'cross-origin: not allowed at /cors {"origin":"http://example.org"}',
  'cross-origin: not allowed at /cors {"origin":""}',
  'cross-origin: not allowed at /message {}',
]

interface Outcome {
  readonly count: number
  readonly failed: Readonly<Record<string, string>>
}

/** A page at one origin, another origin of the same site, and an `EventSource` that waits as `retry` says. */
async function startCases(source: string) {
  const serveCases = caseServer()
  const { url } = await startServer((req, res) => {
    const scripts: Record<string, () => string> = {
      '/page': () =>
        `<!doctype html><iframe src="/frame/page"></iframe><script>${prelude}</script>`,
      '/frame/page': () => `<!doctype html><script>${prelude}</script>`,
      '/worker.js': () => prelude,
    }
    const script = scripts[req.url?.split('?')[0] ?? '']
    if (script === undefined) return serveCases(req, res)
    const type = req.url?.startsWith('/worker') ? 'text/javascript' : 'text/html'
    res.writeHead(200, { 'Content-Type': `${type}; charset=utf-8` }).end(script())
  })
  const { port } = new URL(url)
  const origin = `http://www.headwater.localhost:${port}`
  const prelude = `${bundle()}
    self.EventSource = ${source}
    self.other = 'http://api.headwater.localhost:${port}'
    ${cases}
    if ('onconnect' in self) {
      self.onconnect = async ({ ports: [port] }) => port.postMessage(await cases.run('shared worker'))
    } else if (!self.document) self.onmessage = async ({ data }) => postMessage(await cases.run(data))`
  return origin
}

const punctual = `class extends headwater.EventSourceClient {
  constructor(url, init) {
    super(url, { jitter: false, ...init })
  }
}`

describeWithChromium('the client in place of EventSource', (browser) => {
  test('does what the platform tests want in a window', async () => {
    const page = await browser.openPage(`${await startCases(punctual)}/page`)
    await page.waitForFunction('frames[0]?.EventSource !== undefined')

    const outcome = (await page.evaluate(`cases.run('window')`)) as Outcome

    expect(Object.keys(outcome.failed).sort()).toEqual([...notTrusted, ...notGivenUp].sort())
    expect(outcome.count).toBe(75)
  })

  test.each([
    ['formats', 37, notTrusted],
    ['worker', 12, []],
    ['shared worker', 11, []],
  ])('does what the platform tests want in a worker: %s', async (list, count, differing) => {
    const page = await browser.openPage(`${await startCases(punctual)}/page`)
    const worker = list === 'shared worker' ? 'SharedWorker' : 'Worker'

    const outcome = (await page.evaluate(`new Promise((resolve) => {
      window.worker = new ${worker}('/worker.js')
      const port = worker.port ?? worker
      port.onmessage = ({ data }) => resolve(data)
      port.postMessage('${list}')
    })`)) as Outcome

    expect(Object.keys(outcome.failed)).toEqual(differing)
    expect(outcome.count).toBe(count)
  })

  test('comes back when the page is told to stop loading, which it cannot tell from a lost network', async () => {
    const page = await browser.openPage(`${await startCases(punctual)}/page`)

    const outcome = await page.evaluate(`new Promise((resolve) => {
      const source = new EventSource('/slow')
      const heard = []
      for (const type of ['open', 'error', 'message']) {
        source.addEventListener(type, () => heard.push(type))
      }
      source.addEventListener('message', () => resolve([...heard]))
      setTimeout(() => stop(), 100)
    })`)

    expect(outcome).toEqual(['error', 'open', 'message'])
  })

  test('lets go of its connection with its page, and has one again when it is back', async () => {
    const origin = await startCases(punctual)
    const page = await browser.openPage(`${origin}/page`)
    const open = () =>
      page.evaluate(`new Promise((resolve) => {
      self.source ??= new EventSource('/held')
      source.readyState === 1 ? resolve() : (source.onopen = () => resolve())
    })`)
    const held = async () =>
      await (
        await fetch(`${origin.replace(/www\.headwater\.localhost/, '127.0.0.1')}/held-now`)
      ).text()
    await open()
    expect(await held()).toBe('1')

    await page.goto(`${origin}/frame/page`)
    await until(async () => (await held()) === '0')
    await page.goBack()
    await open()

    expect(await held()).toBe('1')
  })
})
