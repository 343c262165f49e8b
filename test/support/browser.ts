import { afterAll, afterEach, beforeAll, jest } from '@jest/globals'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { describeWith } from './describe-with.js'
import { pathOf } from './services.js'

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

/** `describe` for tests in a real browser. See `describeWith` for what it does without Chromium. */
export function describeWithChromium(name: string, tests: (browser: Chromium) => void): void {
  describeWith('chromium', name, () => {
    let browser: Browser | undefined
    const contexts: BrowserContext[] = []

    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: pathOf('chromium'), args })
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
