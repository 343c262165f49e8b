import { createApp, createRouter, defineEventHandler, setResponseHeader, toNodeListener } from 'h3'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { inProcess } from './in-process.js'
import { earlierHeader, entriesOf, room } from './transport.js'

export const h3Transport = inProcess({
  name: 'h3 1 (Nitro, Nuxt), `event.node`',
  async serve(eventStream, routes) {
    const router = createRouter()
    for (const [name, options] of entriesOf(routes)) {
      router.use(
        `/${name}/:room`,
        defineEventHandler(async (event) => {
          setResponseHeader(event, ...earlierHeader)
          const { req, res } = event.node
          await eventStream.run(req, res, `room-${event.context.params?.room}`, options)
          // h3 then answers nothing of its own.
          event._handled = true
        }),
      )
    }
    const app = createApp({
      onError(error) {
        // h3 then does not print the errors that tests provoke.
        error.unhandled = false
      },
    }).use(router)
    const { url, close } = await startServer(toNodeListener(app))
    return {
      request: (route, options) => connect(`${url}/${route}/${room}`, options),
      close,
    }
  },
})
