import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, jest } from '@jest/globals'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

export interface Chromium {
  /** Opens a page in a profile of its own. It is closed at the end of the test. */
  openPage(url: string): Promise<Page>
}

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * `describe` for tests in a real browser. Without Chromium they fail where `CI` is set; elsewhere
 * they are skipped, and stderr tells so.
 */
export function describeWithChromium(name: string, tests: (browser: Chromium) => void): void {
  const found = findChromium()
  const run = found.path !== undefined || process.env.CI ? describe : describe.skip
  if (run === describe.skip) process.stderr.write(`Skipped: ${name}. ${found.howToGet}\n`)
  run(name, () => {
    let browser: Browser | undefined
    const contexts: BrowserContext[] = []

    beforeAll(async () => {
      if (found.path === undefined) throw new Error(found.howToGet)
      browser = await chromium.launch({ executablePath: found.path, args })
    }, 60_000)

    afterEach(async () => {
      for (const context of contexts.splice(0)) await context.close()
    })

    afterAll(async () => {
      await browser?.close()
    })

    jest.setTimeout(60_000)
    tests({
      async openPage(url) {
        if (browser === undefined) throw new Error('Open pages in tests, where Chromium runs.')
        const context = await browser.newContext()
        contexts.push(context)
        const page = await context.newPage()
        await page.goto(url)
        return page
      },
    })
  })
}

function findChromium(): { readonly path: string | undefined; readonly howToGet: string } {
  const script = join(__dirname, '../../scripts/ensure-chromium.mjs')
  const { stdout, stderr } = spawnSync(process.execPath, [script, '--find'], { encoding: 'utf8' })
  return { path: stdout.trim() || undefined, howToGet: stderr.trim() }
}
