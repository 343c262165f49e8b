import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { getRequestListener, serve } from '@hono/node-server'
import { Hono } from 'hono'
import { fetchHandler } from '../../src/fetch.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { inProcess } from './in-process.js'
import { earlierHeader, entriesOf, readPath, room } from './transport.js'

export const honoTransport = inProcess({
  name: 'Hono 4, `@hono/node-server`',
  async serve(eventStream, routes) {
    const app = new Hono()
    app.use(async (c, next) => {
      c.res.headers.set(...earlierHeader)
      await next()
    })
    for (const [name, options] of entriesOf(routes)) {
      const handler = fetchHandler(eventStream, 'room-{room}', options)
      app.all(`/${name}/:room`, (c) => handler(c.req.raw, { params: c.req.param() }))
    }
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
    if (!server.listening) await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return {
      request: (route, options) => connect(`${url}/${route}/${room}`, options),
      async close() {
        const closed = once(server, 'close')
        server.close()
        if ('closeAllConnections' in server) server.closeAllConnections()
        await closed
      },
    }
  },
})

export const webOnNodeTransport = inProcess({
  name: '`node:http`, Web requests by `getRequestListener`',
  async serve(eventStream, routes) {
    const listener = getRequestListener((request) => {
      const { route, room } = readPath(new URL(request.url).pathname)
      return fetchHandler(eventStream, () => `room-${room}`, routes[route])(request)
    })
    const { url, close } = await startServer((req, res) => {
      res.setHeader(...earlierHeader)
      void listener(req, res)
    })
    return {
      request: (route, options) => connect(`${url}/${route}/${room}`, options),
      close,
    }
  },
})
