import { createHash } from 'node:crypto'
import { inBackground } from '../background.js'
import { checkNames, checkWhole } from '../core/options.js'
import type { EventStream } from '../event-stream.js'
import type { EventStreamHandler } from '../middleware/handler.js'
import { type Answer, answering } from './answer.js'
import { observed } from './observed.js'
import { Sampler } from './sampler.js'
import { statusData } from './status-data.js'
import { statusPageHtml } from './status-page-html.js'
import { statusPageScript } from './status-page-script.js'
import { statusPageStyle } from './status-page-style.js'

/** Options of {@link statusPage}. */
export interface StatusPageOptions {
  /**
   * Milliseconds between two points of the charts, which have 120.
   * @defaultValue 5000
   */
  readonly stepMs?: number | undefined
  /**
   * Milliseconds after which an open page asks again.
   * @defaultValue 2000
   */
  readonly pollMs?: number | undefined
}

/** Milliseconds for which all who look get the same answer. */
const sharedMs = 500

/** Nothing but what is in the page itself, and its own data. */
const headers = {
  'Content-Security-Policy': [
    "default-src 'none'",
    `script-src ${hash(statusPageScript)}`,
    `style-src ${hash(statusPageStyle)}`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'Referrer-Policy': 'no-referrer',
} as const

/**
 * A page for operators that shows how this process is doing, and changes nothing. Whoever reaches it
 * sees it: put the application's own guard in front.
 *
 * ```ts
 * app.use('/status', requireAdmin, statusPage(eventStream))
 * ```
 *
 * It asks for its data at its own path, with the query `?data`, so one guard covers both. From here on rates
 * are sampled, until the event stream is closed.
 *
 * @throws EventStreamError `ERR_OPTION` when an option cannot work.
 */
export function statusPage(
  eventStream: EventStream,
  options: StatusPageOptions = {},
): EventStreamHandler {
  observed.of(eventStream)
  checkNames('statusPage', options, ['stepMs', 'pollMs'])
  const { stepMs = 5000, pollMs = 2000 } = options
  checkWhole('stepMs', stepMs, 10, 3_600_000)
  checkWhole('pollMs', pollMs, 10, 3_600_000)
  const sampler = new Sampler(eventStream, stepMs)
  const data = shared(async () => JSON.stringify(await statusData(eventStream, sampler)))
  const page = { type: 'text/html; charset=utf-8', body: statusPageHtml(pollMs), headers }
  return answering(eventStream, 'statusPage', async ({ url = '' }): Promise<Answer> => {
    if (!asksForData(url)) return page
    return { type: 'application/json; charset=utf-8', body: await data(), headers }
  })
}

function asksForData(url: string): boolean {
  const start = url.indexOf('?')
  return start !== -1 && new URLSearchParams(url.slice(start)).has('data')
}

/** Many pages that are open cost as much as one. */
function shared(make: () => Promise<string>): () => Promise<string> {
  let made: Promise<string> | undefined
  let madeAt = 0
  return () => {
    const now = performance.now()
    if (made === undefined || now - madeAt >= sharedMs) {
      madeAt = now
      made = inBackground(make)
    }
    return made
  }
}

function hash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
