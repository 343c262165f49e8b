import { Agent } from 'node:http'
import compression from 'compression'
import connectApp from 'connect'
import express from 'express'
import express4 from 'express-4'
import type { RequestLike } from '../../src/index.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { send } from './client.js'
import { inProcess } from './in-process.js'
import { entriesOf, type Routes, room, setEarlierHeader, type Transport } from './transport.js'

/** An app with one route for each. */
function routed(
  make: typeof express,
  use: readonly express.RequestHandler[],
  routes: Routes,
  handlerOf: (options: Routes['events']) => readonly express.RequestHandler[],
  path = '/:room',
): express.Express {
  const app = make()
  // Express then does not print the errors that tests provoke.
  app.set('env', 'test')
  app.use(setEarlierHeader, ...use)
  for (const [name, options] of entriesOf(routes)) app.all(`/${name}${path}`, ...handlerOf(options))
  return app
}

function expressTransport(
  name: string,
  make: typeof express,
  ...use: readonly express.RequestHandler[]
): Transport {
  return inProcess({
    name,
    async serve(eventStream, routes) {
      const app = routed(make, use, routes, (options) => [eventStream('room-{room}', options)])
      const { url, close } = await startServer(app)
      return {
        request: (route, options) =>
          connect(`${url}/${route}/${room}`, {
            ...options,
            headers: { 'Accept-Encoding': 'gzip', ...options?.headers },
          }),
        close,
      }
    },
  })
}

export const express5Transport = expressTransport('Express 5', express)
export const express4Transport = expressTransport('Express 4', express4)
export const compressionTransport = expressTransport(
  'Express 5 behind `compression()`',
  express,
  compression({ threshold: 0 }),
)

export const postTransport = inProcess({
  name: 'Express 5, `POST` after `express.json()`',
  async serve(eventStream, routes) {
    const byBody = (req: RequestLike & { readonly body?: { readonly room?: string } }) =>
      `room-${req.body?.room}`
    const app = routed(
      express,
      [express.json()],
      routes,
      (options) => [eventStream(byBody, options)],
      '',
    )
    const { url, close } = await startServer(app)
    return {
      request(route, { method = 'POST', headers, ...options } = {}) {
        const body = JSON.stringify({ room })
        const ofBody = {
          'Content-Type': 'application/json',
          // Node's client does not tell the length of a DELETE by itself.
          'Content-Length': String(body.length),
        }
        const all = { ...options, method, headers: { ...ofBody, ...headers } }
        return send(`${url}/${route}`, all, { body })
      },
      close,
    }
  },
})

export const afterHeadTransport = inProcess({
  name: 'Express 5, on the connection of a `HEAD` before',
  async serve(eventStream, routes) {
    const app = routed(express, [], routes, (options) => [eventStream('room-{room}', options)])
    const { url, close } = await startServer(app)
    return {
      async request(route, options = {}) {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        const head = await send(`${url}/events/${room}`, { method: 'HEAD' }, { agent })
        await head.end()
        const client = await send(`${url}/${route}/${room}`, options, { agent })
        if (!client.reusedSocket) throw new Error('HEAD has cost the client its connection.')
        return client
      },
      close,
    }
  },
})

export const connectTransport = inProcess({
  name: 'Connect',
  async serve(eventStream, routes) {
    const app = connectApp()
    app.use(setEarlierHeader)
    for (const [name, options] of entriesOf(routes)) {
      // Connect takes the path it was mounted at off the URL, and has no route parameters.
      const byPath = (req: RequestLike) => `room-${req.url?.slice(1)}`
      app.use(`/${name}`, eventStream(byPath, options))
    }
    const { url, close } = await startServer(app)
    return {
      request: (route, options) => connect(`${url}/${route}/${room}`, options),
      close,
    }
  },
})
