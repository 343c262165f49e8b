import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { buildSync } from 'esbuild'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'

/** What a page has seen: an event of the server, or something that the source told. */
export interface Seen {
  readonly type: string
  readonly data?: string
  readonly code?: string
}

/** The name of events whose data pages run. */
export const command = 'do'

let bundled: string | undefined

/** The client, as pages get it. */
export function bundle(): string {
  bundled ??= buildSync({
    entryPoints: [join(__dirname, '../../src/client.ts')],
    bundle: true,
    format: 'iife',
    globalName: 'headwater',
    target: 'es2022',
    write: false,
  }).outputFiles[0]?.text
  return bundled ?? ''
}

/** Takes what pages report, so that nothing needs to get into them. */
export class Reports {
  readonly #url: string
  readonly #seen = new Map<string, readonly Seen[]>()

  private constructor(url: string, seen: Map<string, readonly Seen[]>) {
    this.#url = url
    this.#seen = seen
  }

  /** Until the end of the test. */
  static async start(): Promise<Reports> {
    const seen = new Map<string, readonly Seen[]>()
    const { url } = await startServer(async (req, res) => {
      let body = ''
      for await (const chunk of req) body += chunk
      res.end()
      const { tab, list } = JSON.parse(body) as { tab: string; list: Seen[] }
      if (list.length > (seen.get(tab)?.length ?? 0)) seen.set(tab, list)
    })
    return new Reports(url, seen)
  }

  /** @param tab - The part behind `#` of the page's address. */
  seenBy(tab: string): readonly Seen[] {
    return this.#seen.get(tab) ?? []
  }

  /** The data of the application's events. */
  dataOf(tab: string): unknown[] {
    return this.seenBy(tab).flatMap(({ data }) => (data === undefined ? [] : [JSON.parse(data)]))
  }

  async until(tab: string, count: number): Promise<unknown[]> {
    try {
      await until(() => this.dataOf(tab).length >= count, 40_000)
    } catch (cause) {
      const seen = JSON.stringify(this.seenBy(tab)).slice(-1000)
      throw new Error(`Tab ${tab} waits for ${count} events. It has seen: ${seen}`, { cause })
    }
    return this.dataOf(tab)
  }

  async untilSeen(tab: string, type: string, times = 1): Promise<void> {
    await until(() => this.seenBy(tab).filter((seen) => seen.type === type).length >= times, 40_000)
  }

  /**
   * Answers with a page that opens a source and reports what it sees, also from before it was loaded anew.
   *
   * @param open - An expression of the source, such as `headwater.createEventSource('/events')`.
   */
  servePage(res: ServerResponse, open: string): void {
    res.setHeader('Content-Type', 'text/html; charset=utf-8')
    res.end(`<!doctype html><link rel="icon" href="data:,"><script>${bundle()}</script><script>
      const tab = location.hash.slice(1)
      const list = JSON.parse(sessionStorage.getItem('list') ?? '[]')
      let isSending = false
      async function send() {
        if (isSending) return
        isSending = true
        for (let sent = 0; sent < list.length; ) {
          const body = JSON.stringify({ tab, list })
          const { length } = list
          await fetch(${JSON.stringify(this.#url)}, { method: 'POST', mode: 'no-cors', body })
            .then(() => { sent = length }, () => new Promise((resolve) => setTimeout(resolve, 50)))
        }
        isSending = false
      }
      function note(seen) {
        list.push(seen)
        sessionStorage.setItem('list', JSON.stringify(list))
        send()
      }
      async function leave() {
        while (isSending) await new Promise((resolve) => setTimeout(resolve, 10))
        window.close()
        location.replace('about:blank')
      }
      window.source = ${open}
      source.addEventListener('*', ({ type, data }) => {
        if (type === '${command}') eval(data)
        else note({ type, data })
      })
      for (const type of ['open', 'reset', 'end']) source.addEventListener(type, () => note({ type }))
      source.addEventListener('error', ({ error }) => note({ type: 'error', code: error.code }))
    </script>`)
  }
}
