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

function nextTransport(
  name: string,
  serve: (folder: string) => NextProcess | Promise<NextProcess>,
): Transport {
  let folder: string | undefined
  let server: NextProcess | undefined
  let url: string
  let scenes = 0

  const transport: Transport = {
    name,
    async start() {
      folder = await copyNextApp(app)
      server = await serve(folder)
      url = `http://127.0.0.1:${await server.port()}/api`
      // In development Next.js compiles a route when it is first asked for.
      const { request, look, close } = await transport.openScene()
      await (await request('events', { method: 'HEAD' })).end()
      await look()
      await close()
    },
    async openScene() {
      const scene = `scene=${++scenes}`
      return {
        ...remoteControl(`${url}/control?${scene}`),
        request: (route, options) =>
          connect(`${url}/${route}/${room}?${scene}`, {
            ...options,
            headers: { 'Accept-Encoding': 'gzip', ...options?.headers },
          }),
      }
    },
    async stop() {
      await server?.end('SIGKILL')
      if (folder !== undefined) await rm(folder, { recursive: true, force: true })
    },
  }
  return transport
}

export const nextBuiltTransport = nextTransport(
  'Next.js 16 pages API route, built',
  async (folder) => {
    await buildNextApp(folder)
    return startNextApp(folder)
  },
)

export const nextDevelopmentTransport = nextTransport(
  'Next.js 16 pages API route, in development',
  developNextApp,
)
