import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Acknowledged } from '../support/journal.js'

/** Where the log is. */
export type Source =
  | { readonly url: string }
  | { readonly nodes: readonly { readonly host: string; readonly port: number }[] }

export interface AppOptions {
  /** The first part of every event's number. */
  readonly producer: string
  readonly channels: readonly string[]
  readonly source: Source
  /** The package that talks to Redis. */
  readonly driver: 'ioredis' | 'redis'
  readonly logOptions: object
  /** Appends under way at once. */
  readonly inFlight: number
  /** Characters beside the numbers in every event. */
  readonly padding: number
  /** What the log is made to do wrong. */
  readonly flaw: 'drop' | 'repeat' | 'swap' | 'hush' | undefined
  /** Where it serves. By default a free one. */
  readonly port?: number
  /** Milliseconds between one append and the next. By default 0. */
  readonly pauseMs?: number
  /** Of its route. */
  readonly routeOptions?: object
  /** Further options of its event stream. */
  readonly gripOptions?: object
}

/** What an application process tells now and then. */
export interface News {
  readonly published: number
  readonly acknowledged: readonly Acknowledged[]
  /** How many, by error code. */
  readonly rejected: Readonly<Record<string, number>>
  /** Acknowledged, though a proxy could not be told. */
  readonly partial: number
  /** Requests by which a proxy asked for what its clients missed. */
  readonly links: number
}

type Message = { readonly port: number } | { readonly done: string } | News

/** One process of the application, see `app.mjs`. */
export class AppProcess {
  /** Lines on stderr. */
  readonly lines: string[] = []
  isKilled = false
  readonly #child: ChildProcess
  #url = ''

  private constructor(child: ChildProcess, onNews: (news: News) => void) {
    this.#child = child
    child.on('message', (message: Message) => {
      if ('port' in message) this.#url = `http://127.0.0.1:${message.port}`
      if ('published' in message) onNews(message)
    })
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      // Node's own advice, once for each process.
      if (!line.startsWith('(Use `node --trace-warnings')) this.lines.push(line)
    })
  }

  /** @returns Once it serves. */
  static async start(options: AppOptions, onNews: (news: News) => void): Promise<AppProcess> {
    const child = fork(join(__dirname, 'app.mjs'), [JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const app = new AppProcess(child, onNews)
    while (app.#url === '') {
      await Promise.race([once(child, 'message'), once(child, 'exit')])
      app.checkAlive()
    }
    return app
  }

  get url(): string {
    return this.#url
  }

  /** @throws Error when it ended by itself. */
  checkAlive(): void {
    const { exitCode, signalCode } = this.#child
    if (this.isKilled || (exitCode === null && signalCode === null)) return
    throw new Error(`An app process ended (${exitCode ?? signalCode}):\n${this.lines.join('\n')}`)
  }

  send(command: 'start' | 'pause', argument?: unknown): void {
    if (this.#child.connected) this.#child.send({ command, argument })
  }

  /** Resolves when it is done. */
  async order(command: 'finish' | 'mark'): Promise<void> {
    const child = this.#child
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`No end to: ${command}.`)), 60_000)
      child.once('exit', resolve)
      child.on('message', (message: Message) => {
        if (!('done' in message) || message.done !== command) return
        clearTimeout(timer)
        resolve()
      })
      child.send({ command })
    })
    this.checkAlive()
  }

  async kill(): Promise<void> {
    this.isKilled = true
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  /** Lets it close what it has. @returns Its exit code. */
  async exit(): Promise<number | null> {
    const exited = once(this.#child, 'exit')
    this.#child.send({ command: 'exit' })
    return (await exited)[0]
  }
}
