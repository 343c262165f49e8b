import type { Page, Request } from 'playwright-core'

/** For a page: keeps each `EventSource` that it makes, to see which are closed. */
export const recordSources = `
  globalThis.sources = []
  EventSource = class extends EventSource {
    constructor(url) { super(url); sources.push(this) }
  }`

/** The addresses with this in them that a page asks for from now on. */
export function requestsOf(page: Page, part: string): readonly string[] {
  const urls: string[] = []
  page.on('request', (request) => {
    if (request.url().includes(part)) urls.push(request.url())
  })
  return urls
}

/** From here on: what a page has asked rooms for, and what of it has not ended. */
export function streamsOf(page: Page): { readonly all: string[]; readonly open: Set<Request> } {
  const all: string[] = []
  const open = new Set<Request>()
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (!/^\/api\/rooms\/[^/]+$/.test(pathname)) return
    all.push(pathname)
    open.add(request)
  })
  page.on('requestfinished', (request) => open.delete(request))
  page.on('requestfailed', (request) => open.delete(request))
  return { all, open }
}

/** What the page's console says that nobody expects: all but connections that were cut. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // On a slow machine Next.js's own reload client trips over a message that comes too early.
    const isExpected = /net::ERR_(CONNECTION|EMPTY|INCOMPLETE|SOCKET)|^\[HMR\]/.test(message.text())
    if (/error|warning/.test(message.type()) && !isExpected) complaints.push(message.text())
  })
  return complaints
}

export async function say(page: Page, name: string, text: string): Promise<void> {
  await page.fill('#chat-name', name)
  await page.fill('#chat-text', text)
  await page.press('#chat-text', 'Enter')
}

export function textsOf(page: Page): Promise<string[]> {
  return page.locator('#chat-messages li p').allTextContents()
}
