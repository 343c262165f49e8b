import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  buildNextApp,
  copyNextApp,
  developNextApp,
  type NextProcess,
  startNextApp,
} from '../support/next-process.js'
import { connect } from '../support/sse-client.js'
import type { Control } from './control.js'
import { room, type Transport } from './transport.js'

const app = join(__dirname, 'next-app')

/** Calls `pages/api/control.ts` of the application. */
function remoteControl(url: string): Control {
  async function call<Answer>(method: string, body?: object): Promise<Answer> {
    const response = await fetch(url, {
      method,
      headers: { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
    return (await response.json()) as Answer
  }
  return {
    publish: (from, to, isBig) => call('POST', { from, to, isBig }),
    look: () => call('GET'),
    close: () => call('DELETE'),
  }
}

/** The application in a process of its own, for all transports that it is served by. */
class NextServer {
  readonly #serve: (folder: string) => NextProcess | Promise<NextProcess>
  #folder: string | undefined
  #process: NextProcess | undefined
  #started: Promise<string> | undefined

  /** @param serve - Makes the process, of a copy of the application. */
  constructor(serve: (folder: string) => NextProcess | Promise<NextProcess>) {
    this.#serve = serve
  }

  /** @returns Its URL, from whoever was the first to ask. */
  start(): Promise<string> {
    this.#started ??= this.#start()
    return this.#started
  }

  /** Leaves nothing behind, however far the start came. */
  async stop(): Promise<void> {
    await this.#process?.end('SIGKILL')
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
  }

  async #start(): Promise<string> {
    this.#folder = await copyNextApp(app)
    this.#process = await this.#serve(this.#folder)
    return `http://127.0.0.1:${await this.#process.port()}`
  }
}

const built = new NextServer(async (folder) => {
  await buildNextApp(folder)
  return startNextApp(folder)
})
const inDevelopment = new NextServer(developNextApp)
let scenes = 0

/** @param path - Of its routes in the application. */
function nextTransport(name: string, server: NextServer, path: string): Transport {
  const transport: Transport = {
    name,
    async start() {
      await server.start()
      // In development Next.js compiles a route when it is first asked for.
      const { request, look, close } = await transport.openScene()
      await (await request('events', { method: 'HEAD' })).end()
      await look()
      await close()
    },
    async openScene() {
      const url = await server.start()
      const scene = `scene=${++scenes}`
      return {
        ...remoteControl(`${url}/api/control?${scene}`),
        request: (route, options) =>
          connect(`${url}${path}/${route}/${room}?${scene}`, {
            ...options,
            headers: { 'Accept-Encoding': 'gzip', ...options?.headers },
          }),
      }
    },
  }
  return transport
}

export const nextTransports: readonly Transport[] = [
  nextTransport('Next.js 16 pages API route, built', built, '/api'),
  nextTransport('Next.js 16 pages API route, in development', inDevelopment, '/api'),
  nextTransport('Next.js 16 app route, built', built, '/web'),
  nextTransport('Next.js 16 app route, in development', inDevelopment, '/web'),
]

/** The application, for what else it serves. */
export function startNext(): Promise<string> {
  return built.start()
}

export async function stopNext(): Promise<void> {
  await Promise.all([built.stop(), inDevelopment.stop()])
}
