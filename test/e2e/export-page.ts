import type { Page } from 'playwright-core'
import { until } from '../support/until.js'

/** @returns How many rows a page shows as written. */
export async function rowsOf(page: Page): Promise<number> {
  return Number(await page.getAttribute('#progress', 'value'))
}

/** Waits until it shows more than so many rows. */
export async function untilMoreRowsThan(page: Page, rows: number): Promise<void> {
  await until(async () => (await rowsOf(page)) > rows)
}

export async function startExport(page: Page): Promise<void> {
  const before = page.url()
  await page.click('#start-button')
  await until(() => page.url() !== before)
  await page.waitForSelector('#status[data-state=working]')
}

export async function letWorkerDie(page: Page, when: 'in its work' | 'after its work') {
  await page.click(`[data-when="${when}"]`)
}

/** Where the server has the export that a page shows. */
export function jobUrlOf(page: Page): string {
  const url = new URL(page.url())
  return `${url.origin}/jobs/${url.searchParams.get('id')}`
}

/** How the exports of a page's user ended, the latest first. */
export async function statesOf(page: Page): Promise<string[]> {
  const items = page.locator('#mine li')
  return items.evaluateAll((all) =>
    all.map((item) => (item as unknown as { dataset: { state: string } }).dataset.state),
  )
}

/** The lines of the file that a page links to. */
export async function fileOf(page: Page): Promise<string[]> {
  const href = await page.getAttribute('#file', 'href')
  const response = await page.context().request.get(new URL(href ?? '', page.url()).href)
  return (await response.text()).trim().split('\n')
}
