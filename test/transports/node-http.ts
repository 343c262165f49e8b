import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { earlierHeader, readPath, room, type Transport } from './transport.js'

export const nodeHttpTransport: Transport = {
  name: '`node:http`',
  async serve(eventStream, routes) {
    const { url, close } = await startServer((req, res) => {
      res.setHeader(...earlierHeader)
      const { route, room } = readPath(req.url)
      void eventStream(() => `room-${room}`, routes[route])(req, res)
    })
    return {
      request: (route, options) => connect(`${url}/${route}/${room}`, options),
      close,
    }
  },
}
