import type { Page } from 'playwright-core'
import { until } from '../support/until.js'

/** @returns What a page shows of an answer. */
export async function answerOf(page: Page): Promise<string> {
  return (await page.textContent('#answer')) ?? ''
}

/** Waits until it shows more than so many characters. */
export async function untilLongerThan(page: Page, length: number): Promise<void> {
  await until(async () => (await answerOf(page)).length > length)
}

export async function untilState(page: Page, state: string): Promise<void> {
  await page.waitForSelector(`#status[data-state=${state}]`)
}
