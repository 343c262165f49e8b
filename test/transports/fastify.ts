import fastify from 'fastify'
import { connect } from '../support/sse-client.js'
import { inProcess } from './in-process.js'
import { earlierHeader, entriesOf, room } from './transport.js'

export const fastifyTransport = inProcess({
  name: 'Fastify 5, `reply.hijack()`',
  async serve(eventStream, routes) {
    const app = fastify({ forceCloseConnections: true })
    app.addHook('onRequest', async (_request, reply) => {
      reply.header(...earlierHeader)
    })
    for (const [name, options] of entriesOf(routes)) {
      app.all<{ Params: { room: string } }>(`/${name}/:room`, async (request, reply) => {
        // Fastify keeps headers to itself until it answers, and here it is not Fastify that does.
        for (const [header, value] of Object.entries(reply.getHeaders())) {
          if (value !== undefined) reply.raw.setHeader(header, value)
        }
        const channel = `room-${request.params.room}`
        await eventStream.run(request.raw, reply.raw, channel, options)
        // Not before it is open: an error is still Fastify's to answer.
        reply.hijack()
      })
    }
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return {
      request: (route, options) => connect(`${url}/${route}/${room}`, options),
      close: () => app.close(),
    }
  },
})
