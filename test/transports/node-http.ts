import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { inProcess } from './in-process.js'
import { earlierHeader, readPath, room } from './transport.js'

export const nodeHttpTransport = inProcess({
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
})
