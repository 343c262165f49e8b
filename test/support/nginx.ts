import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { OwnProcess } from './own-process.js'
import { pathOf } from './services.js'
import { until } from './until.js'

export interface NginxOptions {
  /** The server that all requests go to: `http://127.0.0.1:3000`. */
  readonly origin: string
  /** Further lines of the location: `['proxy_buffering off;']`. By default all is as nginx has it. */
  readonly location?: readonly string[] | undefined
  /** Whether it keeps whatever an answer does not forbid to keep. */
  readonly caches?: boolean | undefined
}

const keepAll = 'proxy_cache all; proxy_cache_valid any 2m;'
const startTimeoutMs = 10_000
const maxStarts = 3

/** A real nginx on a port of 127.0.0.1 and in a folder that are its own. End it by `stop`. */
export class Nginx {
  readonly port: number
  readonly #folder: string
  readonly #options: NginxOptions
  readonly #token = randomUUID()
  #process: OwnProcess | undefined

  private constructor(options: NginxOptions, folder: string, port: number) {
    this.#options = options
    this.#folder = folder
    this.port = port
  }

  /** @returns Once it passes on requests. */
  static async start(options: NginxOptions): Promise<Nginx> {
    for (let starts = 1; ; starts++) {
      const folder = await mkdtemp(join(tmpdir(), 'nginx-'))
      const nginx = new Nginx(options, folder, await freePort())
      try {
        await nginx.#start()
        return nginx
      } catch (error) {
        await nginx.stop()
        if (starts === maxStarts || !isPortTaken(error)) throw error
      }
    }
  }

  /** Where clients connect, without a slash behind it. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Ends it and removes its folder. May be called twice. */
  async stop(): Promise<void> {
    await this.#process?.end()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #start(): Promise<void> {
    const config = join(this.#folder, 'nginx.conf')
    await writeFile(config, this.#config())
    // Without -e it opens the system's log before it has read where its own is.
    const args = ['-p', this.#folder, '-c', config, '-e', 'stderr']
    const running = await OwnProcess.start(pathOf('nginx'), args, this.#folder)
    this.#process = running
    await until(() => {
      if (running.hasExited) throw new Error(`nginx has ended:\n${running.output}`)
      return this.#answers()
    }, startTimeoutMs)
  }

  /** Another server may have taken the port just before. */
  async #answers(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/${this.#token}`)
      return (await response.text()) === this.#token
    } catch {
      return false
    }
  }

  #config(): string {
    const { origin, location = [], caches = false } = this.#options
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    return [
      // One process in the foreground, which is enough, and ends with its signal.
      'daemon off;',
      'master_process off;',
      'error_log stderr;',
      `pid ${this.#folder}/nginx.pid;`,
      'events {}',
      'http {',
      'access_log off;',
      ...(caches ? [`proxy_cache_path ${this.#folder}/cache keys_zone=all:1m;`, keepAll] : []),
      ...temporary.map((name) => `${name}_temp_path ${this.#folder}/${name};`),
      'server {',
      `listen 127.0.0.1:${this.port};`,
      `location = /${this.#token} { return 200 ${this.#token}; }`,
      `location / { proxy_pass ${origin}; ${location.join(' ')} }`,
      '}',
      '}',
    ].join('\n')
  }
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && error.message.includes('Address already in use')
}
