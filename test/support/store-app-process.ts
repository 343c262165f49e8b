import { createInterface } from 'node:readline'
import { expect } from '@jest/globals'
import { spawnTypeScript } from './spawn-typescript.js'
import { connect, type SseClient } from './sse-client.js'
import {
  type StoreAppNews,
  type StoreAppState,
  type StoreDriver,
  serveFromStore,
} from './store-app.js'
import { until } from './until.js'

const script = `
  import { ${serveFromStore.name} as serve } from './store-app'
  serve(process.argv[1], process.argv[2])
`

/** A process that serves channels from a store. What would end a process ends this one, and no test. */
export class StoreApp {
  /** What went to `onError`. */
  readonly errors: { readonly error: string; readonly message: string }[] = []
  readonly health: string[] = []
  readonly #child: ReturnType<typeof spawnTypeScript>
  #url = ''

  private constructor(driver: StoreDriver, url: string) {
    this.#child = spawnTypeScript(script, driver, url)
    createInterface(this.#child.stdout).on('line', (line) => {
      const news = JSON.parse(line) as StoreAppNews
      if ('url' in news) this.#url = news.url
      else if ('health' in news) this.health.push(news.health)
      else this.errors.push(news)
    })
  }

  /** @returns Once it serves. */
  static async start(driver: StoreDriver, url: string): Promise<StoreApp> {
    const app = new StoreApp(driver, url)
    await until(() => app.#url !== '' || app.hasEnded, 20_000)
    return app
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Opens a stream of one channel. */
  async follow(channel: string, lastEventId?: string): Promise<SseClient> {
    const client = await connect(`${this.#url}/events/${channel}`, { lastEventId })
    return client.opened()
  }

  /** Ends the only stream of a channel, and waits until the process keeps nothing of the channel. */
  async leave(channel: string, client: SseClient): Promise<void> {
    client.destroy()
    await until(async () => !(await this.state()).channels.includes(channel))
  }

  async state(): Promise<StoreAppState> {
    return (await fetch(this.#url)).json() as Promise<StoreAppState>
  }

  /** It serves, and its store was there all the time. */
  async expectWell(): Promise<void> {
    const { isHealthy } = await this.state()
    expect([this.hasEnded, this.health, isHealthy]).toEqual([false, [], true])
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
