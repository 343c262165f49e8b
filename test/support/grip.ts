import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll } from '@jest/globals'
import express from 'express'
import { EventStream, type EventStreamOptions } from '../../src/index.js'
import { Pushpin, type PushpinOptions } from './pushpin.js'
import { type ClientOptions, connect, type SseClient } from './sse-client.js'

/** A request as it came to the origin. */
export interface OriginRequest {
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

export interface UsePushpinOptions extends Omit<PushpinOptions, 'origin'> {
  /** What requests it takes: the condition of a line in its routes file. By default all. */
  readonly match?: string | undefined
}

/** One Pushpin for all tests of a block, in front of the app of the test that runs. */
export function usePushpin({ match = '*', ...options }: UsePushpinOptions = {}) {
  const notFound: RequestListener = (_req, res) => res.writeHead(404).end()
  const streams: EventStream[] = []
  const requests: OriginRequest[] = []
  const clients: SseClient[] = []
  let listener = notFound
  let origin: Server
  let pushpin: Pushpin

  beforeAll(async () => {
    origin = createServer((req, res) => {
      requests.push({ url: req.url ?? '', headers: req.headers })
      listener(req, res)
    })
    await once(origin.listen(0, '127.0.0.1'), 'listening')
    const { port } = origin.address() as AddressInfo
    const routes = [...(options.routes ?? []), `${match} 127.0.0.1:${port}`]
    pushpin = await Pushpin.start({ ...options, routes })
  })

  afterEach(async () => {
    // Or the proxy would ask the next test for what they missed.
    for (const client of clients.splice(0)) client.destroy()
    for (const eventStream of streams.splice(0)) await eventStream.close({ graceMs: 0 })
    listener = notFound
    requests.splice(0)
  })

  afterAll(async () => {
    await pushpin?.stop()
    origin.close()
    origin.closeAllConnections()
  })

  async function open(url: string, options?: ClientOptions): Promise<SseClient> {
    const client = await connect(url, options)
    clients.push(client)
    return client
  }

  return {
    get pushpin(): Pushpin {
      return pushpin
    },
    /** Requests of this test that came to the origin. */
    requests,
    /** Those by which the proxy asks for what was missed. */
    get links(): readonly OriginRequest[] {
      return requests.filter(({ url }) => url.includes('grip-link='))
    },
    /** An app with an event stream behind the proxy, until the end of the test. */
    setUp(given: EventStreamOptions = {}) {
      const errors: unknown[] = []
      const onError = (error: unknown) => void errors.push(error)
      const eventStream = new EventStream({ grip: pushpin.gripUrl, onError, ...given })
      streams.push(eventStream)
      const app = express().set('env', 'test')
      listener = app
      const { port } = origin.address() as AddressInfo
      return {
        eventStream,
        app,
        /** What went to `onError`. */
        errors,
        connect: (path: string, client?: ClientOptions) => open(pushpin.url + path, client),
        direct: (path: string, client?: ClientOptions) =>
          open(`http://127.0.0.1:${port}${path}`, client),
      }
    },
  }
}
