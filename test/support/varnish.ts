import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { OwnProcess } from './own-process.js'
import { pathOf } from './services.js'
import { until } from './until.js'

const startTimeoutMs = 20_000
const maxStarts = 3

/** A real Varnish as it comes, on a port of 127.0.0.1 and in a folder that are its own. End it by `stop`. */
export class Varnish {
  readonly #folder: string
  readonly #port: number
  readonly #token = randomUUID()
  #process: OwnProcess | undefined

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.#port = port
  }

  /**
   * @param origin - The server that all requests go to: `http://127.0.0.1:3000`.
   * @param vcl - Further lines of its configuration.
   * @returns Once it passes on requests.
   */
  static async start(origin: string, ...vcl: readonly string[]): Promise<Varnish> {
    for (let starts = 1; ; starts++) {
      const folder = await mkdtemp(join(tmpdir(), 'varnish-'))
      const varnish = new Varnish(folder, await freePort())
      try {
        await varnish.#start(new URL(origin), vcl)
        return varnish
      } catch (error) {
        await varnish.stop()
        if (starts === maxStarts || !isPortTaken(error)) throw error
      }
    }
  }

  /** Where clients connect, without a slash behind it. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Ends it and removes its folder. May be called twice. */
  async stop(): Promise<void> {
    await this.#process?.end()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #start({ hostname, port }: URL, vcl: readonly string[]): Promise<void> {
    const config = join(this.#folder, 'varnish.vcl')
    // What Varnish does by itself comes behind this.
    const lines = [
      'vcl 4.1;',
      `backend default { .host = "${hostname}"; .port = "${port}"; }`,
      `sub vcl_recv { if (req.url == "/${this.#token}") { return (synth(200, "${this.#token}")); } }`,
      ...vcl,
    ]
    await writeFile(config, lines.join('\n'))
    const args = ['-F', '-j', 'none', '-n', this.#folder, '-s', 'default,16m']
    args.push('-a', `127.0.0.1:${this.#port}`, '-f', config)
    const running = await OwnProcess.start(pathOf('varnish'), args, this.#folder)
    this.#process = running
    await until(() => {
      if (running.hasExited) throw new Error(`Varnish has ended:\n${running.output}`)
      return this.#answers()
    }, startTimeoutMs)
  }

  /** Another server may have taken the port just before. */
  async #answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/${this.#token}`)).statusText === this.#token
    } catch {
      return false
    }
  }
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && error.message.includes('Address already in use')
}
