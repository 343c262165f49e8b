import { afterAll, beforeAll } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { resilience } from '../../src/resilience.js'
import type { StreamsOptions } from '../../src/resumable/options.js'
import { setUp } from './app.js'
import { Faucet } from './faucet.js'
import { startServer } from './server.js'
import { spawnTypeScript } from './spawn-typescript.js'
import { type ClientOptions, connect, type SseClient } from './sse-client.js'
import { openLog, type StoreName, type StreamStore, startStore } from './stream-stores.js'
import { until } from './until.js'

/** Runs in a process of its own: its sources count up, every 10 ms. */
const program = `
  import { createServer } from 'node:http'
  import { EventStream } from '../../src/index.js'
  import { openLog } from './stream-stores.js'
  const [, name, url, options] = process.argv
  const streams = JSON.parse(options)
  const eventStream = new EventStream({ log: openLog(name, url), streams, onError: () => undefined })
  async function* numbers() {
    for (let n = 1; n <= 300; n++) {
      yield String(n)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const handler = eventStream.streams.handler(({ url }) => url.slice(1), numbers)
  const server = createServer((req, res) => handler(req, res))
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
`

/** Processes that share a store, for the tests of the block that calls this. */
export function withReplicas(name: StoreName | 'memory') {
  let store: StreamStore | undefined
  const logs: StreamLog[] = []
  const children: ReturnType<typeof spawnTypeScript>[] = []
  let streamCount = 0

  beforeAll(async () => {
    if (name !== 'memory') store = await startStore(name)
  })

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL')
    for (const log of logs) await log.close()
    await store?.stop()
  })

  return {
    empty: () => store?.empty(),

    /** Two processes, as far as the store can tell: the first one is asked first, and so produces. */
    async replicas(streams: StreamsOptions = {}) {
      const shared = name === 'memory' ? memoryEventLog() : undefined
      const faucet = new Faucet<unknown>()
      const join = async () => {
        const log = shared ?? openLog(name, store?.url ?? '')
        logs.push(log)
        const { app, eventStream } = setUp({ log, streams, onError: () => undefined })
        const source = () => faucet as Faucet<string>
        const track = { type: 'answer' }
        app.get('/answers/:id', eventStream.streams.handler('{id}', source, { track }))
        app.get('/following/:id', eventStream.streams.handler('{id}'))
        const { completions, recoveryHandler } = resilience(eventStream)
        app.get('/recover/:streamId', recoveryHandler({ authorize: () => true }))
        const { url } = await startServer(app)
        return { eventStream, completions, url }
      }
      const id = `a-${++streamCount}`
      const [producing, other] = [await join(), await join()]
      const ask = (replica: typeof other, options: ClientOptions = {}, path = 'answers') =>
        connect(`${replica.url}/${path}/${id}`, options)
      return { id, faucet, producing, other, ask }
    },

    /** One that is a process of its own. */
    async spawn(streams: StreamsOptions = {}) {
      const child = spawnTypeScript(program, name, store?.url ?? '', JSON.stringify(streams))
      children.push(child)
      let port = ''
      child.stdout.on('data', (text) => {
        port += text
      })
      await until(() => port.endsWith('\n'), 20_000)
      return { child, url: `http://127.0.0.1:${port.trim()}` }
    },
  }
}

/** How often a client was told that it has missed something. */
export function resetsOf({ control }: SseClient): number {
  return control.filter(({ event }) => event === 'stream-reset').length
}
