import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.js'
import { OwnProcess } from './own-process.js'
import { pathOf } from './services.js'
import { until } from './until.js'

/** Of one section of the configuration file. `undefined` leaves out what is there by default. */
export type PushpinSettings = Readonly<Record<string, string | number | boolean | undefined>>

export interface PushpinOptions {
  /** The port of 127.0.0.1 that all requests go to, but for those of `routes`. */
  readonly origin?: number | undefined
  /** Further lines of its routes file: `['*,path_beg=/b 127.0.0.1:3001']`. */
  readonly routes?: readonly string[] | undefined
  /** What it signs requests with. By default `changeme`. */
  readonly sigKey?: string | undefined
  /** Where clients connect. By default a free one. */
  readonly port?: number | undefined
  /** Of the section `[proxy]`: `{ debug: true }`. */
  readonly proxy?: PushpinSettings | undefined
  /** Of the section `[handler]`: `{ message_rate: undefined, message_wait: 1000 }`. */
  readonly handler?: PushpinSettings | undefined
}

const startTimeoutMs = 10_000
const maxStarts = 3
const portTaken = 'Address already in use'
const testHost = 'test.invalid'
const controlHost = 'control.invalid'

/** A real Pushpin on ports of 127.0.0.1 and in a folder that are its own. End it by `stop`. */
export class Pushpin {
  readonly port: number
  readonly #options: PushpinOptions
  readonly #folder: string
  readonly #controlPort: number
  #process: OwnProcess | undefined

  private constructor(options: PushpinOptions, folder: string, port: number, controlPort: number) {
    this.#options = options
    this.#folder = folder
    this.port = port
    this.#controlPort = controlPort
  }

  /** @returns Once it passes on requests, and what is published. */
  static async start(options: PushpinOptions = {}): Promise<Pushpin> {
    for (let starts = 1; ; starts++) {
      const port = options.port ?? (await freePort())
      // A short path, as those of its Unix sockets are in there, which may have about 100 characters.
      const folder = await mkdtemp(join(tmpdir(), 'pushpin-'))
      const pushpin = new Pushpin(options, folder, port, await freePort())
      try {
        await pushpin.#start()
        return pushpin
      } catch (error) {
        await pushpin.stop()
        if (starts === maxStarts || !mayStartElsewhere(error, options)) throw error
      }
    }
  }

  /** Where clients connect. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Where items are published, at `/publish/`. */
  get controlUrl(): string {
    return `http://127.0.0.1:${this.#controlPort}`
  }

  /** `controlUrl` and the key, as GRIP libraries take it. */
  get gripUrl(): string {
    return `${this.controlUrl}/?iss=pushpin&key=${encodeURIComponent(this.#sigKey)}`
  }

  /** Of all its processes that run now; others after `restart`. */
  get pids(): readonly number[] {
    return [this.#running.pid, ...this.#running.startedPids]
  }

  /** What all its processes have logged since its last start. */
  get output(): string {
    return this.#running.output
  }

  /** @throws Error What it answered, when it does not accept the items. */
  async publish(...items: readonly object[]): Promise<void> {
    const body = JSON.stringify({ items })
    const response = await fetch(`${this.controlUrl}/publish/`, { method: 'POST', body })
    const answer = await response.text()
    if (!response.ok) throw new Error(`${response.status}: ${answer}`)
  }

  /** Ends all its processes as a crash would, and waits until they have ended. */
  async kill(): Promise<void> {
    await this.#process?.kill()
  }

  /** Starts it again at the same ports, after a `kill` if it runs. What it knew is lost. */
  async restart(): Promise<void> {
    await this.kill()
    await this.#start()
  }

  /** Ends all its processes and removes its folder. May be called twice. */
  async stop(): Promise<void> {
    await this.#process?.end()
    await rm(this.#folder, { recursive: true, force: true })
  }

  get #sigKey(): string {
    return this.#options.sigKey ?? 'changeme'
  }

  get #running(): OwnProcess {
    if (this.#process === undefined) throw new Error('Pushpin has not been started.')
    return this.#process
  }

  async #start(): Promise<void> {
    const program = pathOf('pushpin')
    const [config, runFolder] = [join(this.#folder, 'pushpin.conf'), join(this.#folder, 'run')]
    await rm(runFolder, { recursive: true, force: true })
    await writeFile(config, toIni(this.#settings(runFolder, await isWithZurl(program))))
    await writeFile(join(this.#folder, 'routes'), this.#routes())
    const args = [`--config=${config}`, '--merge-output']
    const running = await OwnProcess.start(program, args, this.#folder, { pidFolder: runFolder })
    this.#process = running
    await until(() => {
      if (running.hasExited) throw new Error(`Pushpin has ended:\n${running.output}`)
      return this.#isReady()
    }, startTimeoutMs)
  }

  /**
   * That its ports are open is not enough: its processes may not have found each other yet, and what
   * they send then is lost, so that the first request would never be answered.
   */
  async #isReady(): Promise<boolean> {
    const signal = AbortSignal.timeout(400)
    try {
      await Promise.all([this.#proxies(signal), this.#delivers(signal)])
      return true
    } catch {
      return false
    }
  }

  async #proxies(signal: AbortSignal): Promise<void> {
    const response = await this.#get('/', controlHost, signal)
    if (response.statusCode !== 200) throw new Error(`Answered with ${response.statusCode}.`)
    await response.resume().toArray()
  }

  async #delivers(signal: AbortSignal): Promise<void> {
    const channel = `ready-${randomUUID()}`
    const response = await this.#get(`/stream?channel=${channel}`, testHost, signal)
    for await (const text of response.setEncoding('utf8')) {
      if (text.includes('ready')) return
      await this.publish({ channel, formats: { 'http-stream': { content: 'ready' } } })
    }
    throw new Error('The stream ended.')
  }

  async #get(path: string, host: string, signal: AbortSignal): Promise<IncomingMessage> {
    const headers = { Host: host }
    const sent = request(this.url + path, { headers, agent: false, signal })
    // One that comes after the response is told by the response too.
    sent.on('error', () => undefined)
    sent.end()
    const [response] = await once(sent, 'response')
    return response
  }

  /** The first host is answered by Pushpin itself, the second one by its control port. */
  #routes(): string {
    const { routes = [], origin } = this.#options
    const own = [`${testHost} test`, `${controlHost} 127.0.0.1:${this.#controlPort}`]
    const others = origin === undefined ? [] : [`* 127.0.0.1:${origin}`]
    return [...own, ...routes, ...others, ''].join('\n')
  }

  #settings(runFolder: string, isWithZurl: boolean): Record<string, PushpinSettings> {
    const { proxy, handler } = this.#options
    // Debian's own configuration asks a zurl that runs as a service of the system.
    const zurl = {
      zurl_out_specs: 'ipc://{rundir}/{ipc_prefix}zurl-in',
      zurl_out_stream_specs: 'ipc://{rundir}/{ipc_prefix}zurl-in-stream',
      zurl_in_specs: 'ipc://{rundir}/{ipc_prefix}zurl-out',
    }
    return {
      global: { include: '{libdir}/internal.conf', rundir: runFolder, ipc_prefix: 'p-' },
      runner: {
        services: `condure,${isWithZurl ? 'zurl,' : ''}pushpin-proxy,pushpin-handler`,
        http_port: `127.0.0.1:${this.port}`,
        // Each reserves memory, also while it is not there.
        client_maxconn: 10_000,
      },
      proxy: {
        routesfile: join(this.#folder, 'routes'),
        sig_key: this.#sigKey,
        updates_check: 'off',
        ...(isWithZurl ? zurl : {}),
        ...proxy,
      },
      // As in the configuration that it comes with, but for the ports.
      handler: {
        push_in_http_addr: '127.0.0.1',
        push_in_http_port: this.#controlPort,
        stats_spec: 'ipc://{rundir}/{ipc_prefix}stats',
        command_spec: 'ipc://{rundir}/{ipc_prefix}command',
        message_rate: 2500,
        message_hwm: 25_000,
        message_wait: 5000,
        id_cache_ttl: 60,
        ...handler,
      },
    }
  }
}

/** Whether the cause may be that one of the ports which were free has been taken meanwhile. */
function mayStartElsewhere(error: unknown, { port }: PushpinOptions): boolean {
  const message = error instanceof Error ? error.message : ''
  // Of a control port that is taken it does not tell: what is published goes elsewhere.
  return message.startsWith('Still waiting') || (port === undefined && message.includes(portTaken))
}

/** Whether it sends requests through the program zurl. Later versions do it themselves. */
async function isWithZurl(program: string): Promise<boolean> {
  const { stdout } = await promisify(execFile)(program, ['--version'])
  return /\b1\.36\./.test(stdout)
}

function toIni(sections: Readonly<Record<string, PushpinSettings>>): string {
  return Object.entries(sections)
    .flatMap(([section, settings]) => [
      `[${section}]`,
      ...Object.entries(settings)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => `${name}=${value}`),
    ])
    .join('\n')
}
