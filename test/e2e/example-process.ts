import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OwnProcess } from '../support/own-process.js'
import { pathOf, type Service } from '../support/services.js'
import { until } from '../support/until.js'

const scripts = join(__dirname, '../../examples/express/dist')

const variables = { pushpin: 'PUSHPIN_PATH', 'redis-server': 'REDIS_SERVER_PATH' } as const

export interface ExampleOptions {
  /** What it starts beside its servers, if anything. */
  readonly needs?: Extract<Service, keyof typeof variables>
  /** By default it has none, or one of its own. */
  readonly redisUrl?: string
  /** What its environment has beside that of this process. */
  readonly env?: Readonly<Record<string, string>>
}

/** The Express example with all that one of its scripts starts: `npm run start:cluster`, for one. */
export class ExampleProcess {
  readonly #folder: string
  readonly #process: OwnProcess

  private constructor(folder: string, process: OwnProcess) {
    this.#folder = folder
    this.#process = process
  }

  /** @returns Once it has said where the page is, or has ended. */
  static async start(
    script: string,
    { needs, redisUrl = '', env = {} }: ExampleOptions = {},
  ): Promise<ExampleProcess> {
    // A short path, as there are Unix sockets in there.
    const folder = await mkdtemp(join(tmpdir(), 'e-'))
    const programs = needs === undefined ? {} : { [variables[needs]]: pathOf(needs) }
    const all = { PORT: '0', TMPDIR: folder, REDIS_URL: redisUrl, ...programs, ...env }
    const settings = Object.entries(all).map(([name, value]) => `${name}=${value}`)
    const args = [...settings, process.execPath, join(scripts, script)]
    const started = new ExampleProcess(folder, await OwnProcess.start('env', args, folder))
    await until(
      () => started.#process.hasExited || started.#process.output.includes('http'),
      20_000,
    )
    return started
  }

  get url(): string {
    const url = /^http:\S+/m.exec(this.#process.output)?.[0]
    if (url === undefined) throw new Error(`No page is served:\n${this.#process.output}`)
    return url
  }

  /** Of the server that has a name, since its last start. */
  pidOf(name: string): number {
    const all = [...this.#process.output.matchAll(new RegExp(`^${name} is pid (\\d+)$`, 'gm'))]
    return Number(all.at(-1)?.[1])
  }

  /** Of what was started by a program that it has started. */
  get notedPids(): readonly number[] {
    return this.#files
      .filter((name) => name.endsWith('.pid'))
      .map((name) => Number.parseInt(readFileSync(join(this.#folder, name), 'utf8'), 10))
  }

  /** Folders that it has made, and not removed yet. */
  get temporaryFolders(): readonly string[] {
    return this.#files.filter((name) => /^headwater-[^/]*$/.test(name))
  }

  get #files(): readonly string[] {
    return readdirSync(this.#folder, { recursive: true, encoding: 'utf8' })
  }

  /** Posts to a room until it is answered by a server, as the page does. */
  async post(room: string, text: string): Promise<void> {
    const request = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() },
      body: JSON.stringify({ name: 'Ann', text }),
    }
    await until(async () => {
      const response = await fetch(`${this.url}/rooms/${room}/messages`, request).catch(() => null)
      if (response === null || response.status === 502) return false
      if (response.status !== 201) throw new Error(await response.text())
      return true
    })
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#process.signal(signal)
    await until(() => this.#process.hasExited)
  }

  async stop(): Promise<void> {
    await this.#process.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Texts for messages in an order. */
export function count(n: number): string[] {
  return Array.from({ length: n }, (_, i) => `message ${i + 1}`)
}
