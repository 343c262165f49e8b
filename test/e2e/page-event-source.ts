import type { JSHandle, Page } from 'playwright-core'
import { until } from '../support/until.js'

/** An event as a listener in the page got it. */
export interface Heard {
  readonly type: string
  readonly data: string
  readonly lastEventId: string
}

/** What an `EventSource` told about its connection. */
export interface Turn {
  readonly type: 'open' | 'error'
  readonly readyState: number
  /** Milliseconds on the page's clock. */
  readonly at: number
}

interface Recorder {
  readonly source: EventSource
  readonly heard: Heard[]
  readonly turns: Turn[]
}

// What the page uses of the DOM. The whole library of types would be there for src too.
declare class EventSource {
  constructor(url: string, init: { readonly withCredentials: boolean })
  readonly readyState: number
  addEventListener(type: string, listener: (event: Heard | Pick<Turn, 'type'>) => void): void
  close(): void
}

export const readyStates = { connecting: 0, open: 1, closed: 2 } as const

/** The browser's own `EventSource` in a page, and what its listeners got. */
export class PageEventSource {
  readonly #recorder: JSHandle<Recorder>

  private constructor(recorder: JSHandle<Recorder>) {
    this.#recorder = recorder
  }

  /** @param names - Events to listen to. */
  static async open(
    page: Page,
    url: string,
    names: readonly string[],
    { withCredentials = false }: { readonly withCredentials?: boolean } = {},
  ): Promise<PageEventSource> {
    return new PageEventSource(await page.evaluateHandle(record, { url, names, withCredentials }))
  }

  heard(): Promise<Heard[]> {
    return this.#recorder.evaluate(({ heard }) => heard)
  }

  turns(): Promise<Turn[]> {
    return this.#recorder.evaluate(({ turns }) => turns)
  }

  readyState(): Promise<number> {
    return this.#recorder.evaluate(({ source }) => source.readyState)
  }

  close(): Promise<void> {
    return this.#recorder.evaluate(({ source }) => source.close())
  }

  /** Waits until there are `times` events, of one name if given. @returns All events so far. */
  async hears(times: number, name?: string): Promise<Heard[]> {
    await this.#waitFor('heard', times, name)
    return this.heard()
  }

  /** Waits until the connection is lost. @returns Its first loss. */
  async loses(): Promise<Turn> {
    await this.#waitFor('turns', 1, 'error')
    return (await this.turns()).find(({ type }) => type === 'error') as Turn
  }

  // Playwright's own waiting would tell that it took too long, and nothing of what came instead.
  async #waitFor(list: 'heard' | 'turns', times: number, type?: string): Promise<void> {
    const wanted = { list, type }
    try {
      await until(async () => (await this.#recorder.evaluate(count, wanted)) >= times, 30_000)
    } catch (cause) {
      const heard = (await this.heard()).map((event) => `${event.type} ${event.data}`)
      const turns = (await this.turns()).map((turn) => turn.type)
      throw new Error(
        `The page waits for ${times} × ${type ?? 'any event'}. It was told ${turns.join(', ')}, ` +
          `and heard ${heard.length} events, at last: ${heard.slice(-10).join(' | ').slice(0, 1000)}`,
        { cause },
      )
    }
  }
}

// The functions below run in the page, so they use nothing from outside themselves.

function record({
  url,
  names,
  withCredentials,
}: {
  readonly url: string
  readonly names: readonly string[]
  readonly withCredentials: boolean
}): Recorder {
  const source = new EventSource(url, { withCredentials })
  const heard: Heard[] = []
  const turns: Turn[] = []
  for (const name of new Set([...names, 'open', 'error'])) {
    source.addEventListener(name, (event) => {
      // A server's events may have the names that the connection's own events have.
      if ('data' in event) {
        const { type, data, lastEventId } = event
        heard.push({ type, data, lastEventId })
      } else {
        const { type } = event
        turns.push({ type, readyState: source.readyState, at: performance.now() })
      }
    })
  }
  return { source, heard, turns }
}

function count(
  recorder: Recorder,
  { list, type }: { readonly list: 'heard' | 'turns'; readonly type: string | undefined },
): number {
  return recorder[list].filter((item) => type === undefined || item.type === type).length
}
