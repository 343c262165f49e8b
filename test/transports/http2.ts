import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import type { EventStream } from '../../src/index.js'
import { certificate } from './certificate.js'
import { send, sendOverHttp2 } from './client.js'
import { inProcess } from './in-process.js'
import {
  earlierHeader,
  listen,
  type RouteName,
  type Routes,
  readPath,
  room,
  type Transport,
} from './transport.js'

export type Http2Listener = (req: Http2ServerRequest, res: Http2ServerResponse) => void

/** Serves the routes by the compatibility API. */
export function http2Listener(eventStream: EventStream, routes: Routes): Http2Listener {
  return (req, res) => {
    res.setHeader(...earlierHeader)
    const { route, room } = readPath(req.url)
    const handler = eventStream(() => `room-${room}`, routes[route])
    void handler(req, res)
  }
}

/** Listens, and cuts every session at the end, which `close` of the server does not. */
export async function startHttp2(server: Http2Server | Http2SecureServer) {
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  const port = await listen(server)
  return {
    authority: `127.0.0.1:${port}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const session of sessions) session.destroy()
      await closed
    },
  }
}

function http2Transport(
  name: string,
  scheme: 'http' | 'https',
  make: (listener: Http2Listener) => Http2Server | Http2SecureServer,
): Transport {
  return inProcess({
    name,
    async serve(eventStream, routes) {
      const { authority, close } = await startHttp2(make(http2Listener(eventStream, routes)))
      let session: ClientHttp2Session | undefined
      return {
        request(route, options) {
          // All clients share a session, as the tabs of a browser do.
          session ??= connect(`${scheme}://${authority}`, { ca: certificate.cert })
          return sendOverHttp2(session, `/${route}/${room}`, options)
        },
        async close() {
          session?.destroy()
          await close()
        },
      }
    },
  })
}

export const http2CleartextTransport = http2Transport(
  '`node:http2`, cleartext',
  'http',
  (listener) => createServer(listener),
)

const secureServer = (listener: Http2Listener) =>
  createSecureServer({ ...certificate, allowHTTP1: true }, listener)

export const http2SecureTransport = http2Transport('`node:http2`, TLS', 'https', secureServer)

export const http1BySecureTransport = inProcess({
  name: '`node:http2`, TLS, `allowHTTP1`: an HTTP/1.1 client',
  async serve(eventStream, routes) {
    const server = secureServer(http2Listener(eventStream, routes)) as Http2SecureServer
    const { authority, close } = await startHttp2(server)
    const clients = new Set<{ destroy(): void }>()
    return {
      async request(route: RouteName, options = {}) {
        const url = `https://${authority}/${route}/${room}`
        const client = await send(url, options, { ca: certificate.cert })
        clients.add(client)
        return client
      },
      async close() {
        for (const client of clients) client.destroy()
        await close()
      },
    }
  },
})
