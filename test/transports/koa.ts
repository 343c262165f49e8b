import Koa from 'koa'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'
import { inProcess } from './in-process.js'
import { earlierHeader, readPath, room } from './transport.js'

export const koaTransport = inProcess({
  name: 'Koa 3, `ctx.respond = false`',
  async serve(eventStream, routes) {
    const app = new Koa()
    // Koa then does not print the errors that tests provoke.
    app.silent = true
    app.use(async (ctx, next) => {
      ctx.set(...earlierHeader)
      await next()
    })
    app.use(async (ctx) => {
      const { route, room } = readPath(ctx.path)
      await eventStream.run(ctx.req, ctx.res, `room-${room}`, routes[route])
      ctx.respond = false
    })
    const { url, close } = await startServer(app.callback())
    return {
      request: (route, options) => connect(`${url}/${route}/${room}`, options),
      close,
    }
  },
})
