import type { PageLimit } from '../log/event-log.js'

/** A page is about as much as a socket takes before it wants to drain. */
export const pageLimit: PageLimit = { maxEvents: 256, maxLength: 65_536 }

/** How many times as large pages get while those before did not keep up with what is published. */
const growth = 16

/** The largest page, and the most that is kept of a channel while somebody reads it. */
export const largestPage: PageLimit = {
  maxEvents: growth * pageLimit.maxEvents,
  maxLength: growth * pageLimit.maxLength,
}

/** The limit of the page after one that was not the last: reading gets faster than any publisher. */
export function nextLimit({ maxEvents, maxLength }: PageLimit): PageLimit {
  return {
    maxEvents: Math.min(2 * maxEvents, largestPage.maxEvents),
    maxLength: Math.min(2 * maxLength, largestPage.maxLength),
  }
}

/** The limit of each of several pages that are read at once. */
export function partOf({ maxEvents, maxLength }: PageLimit, pages: number): PageLimit {
  return { maxEvents: Math.ceil(maxEvents / pages), maxLength: Math.ceil(maxLength / pages) }
}
