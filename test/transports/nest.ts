import 'reflect-metadata'
import { All, Controller, type INestApplication, Module, Req, Res } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import type { EventStream, RequestLike, ResponseLike } from '../../src/index.js'
import { connect } from '../support/sse-client.js'
import { inProcess } from './in-process.js'
import { earlierHeader, entriesOf, type RouteName, type Routes, room } from './transport.js'

type Run = (eventStream: EventStream, routes: Routes) => (name: RouteName) => Handle
type Handle = (req: never, res: never) => Promise<void>

/** What decorators make of a controller with one method for each route. */
function moduleOf(handleOf: (name: RouteName) => Handle, routes: Routes): new () => object {
  class EventsController {}
  Controller()(EventsController)
  const methods = EventsController.prototype as unknown as Record<string, Handle>
  for (const [name] of entriesOf(routes)) {
    methods[name] = handleOf(name)
    Req()(methods, name, 0)
    Res()(methods, name, 1)
    const descriptor = Object.getOwnPropertyDescriptor(methods, name) as PropertyDescriptor
    All(`/${name}/:room`)(methods, name, descriptor)
  }
  class EventsModule {}
  Module({ controllers: [EventsController] })(EventsModule)
  return EventsModule
}

function nestTransport(
  name: string,
  runOf: Run,
  create: (module: new () => object) => Promise<INestApplication>,
) {
  return inProcess({
    name,
    async serve(eventStream, routes) {
      const app = await create(moduleOf(runOf(eventStream, routes), routes))
      await app.listen(0, '127.0.0.1')
      const url = await app.getUrl()
      return {
        request: (route, options) => connect(`${url}/${route}/${room}`, options),
        close: () => app.close(),
      }
    },
  })
}

const quiet = { logger: false, forceCloseConnections: true } as const

export const nestExpressTransport = nestTransport(
  'NestJS 11 on Express, `@Res()`',
  (eventStream, routes) =>
    (name) =>
    async (
      req: RequestLike & { params: { room: string } },
      res: ResponseLike & { set(...header: readonly string[]): void },
    ) => {
      res.set(...earlierHeader)
      await eventStream.run(req, res, `room-${req.params.room}`, routes[name])
    },
  (module) => NestFactory.create(module, quiet),
)

interface FastifyRequest {
  readonly raw: RequestLike
  readonly params: { readonly room: string }
}

interface FastifyReply {
  readonly raw: ResponseLike & { setHeader(...header: readonly string[]): void }
  hijack(): void
}

export const nestFastifyTransport = nestTransport(
  'NestJS 11 on Fastify, `@Res()`',
  (eventStream, routes) => (name) => async (req: FastifyRequest, reply: FastifyReply) => {
    reply.raw.setHeader(...earlierHeader)
    await eventStream.run(req.raw, reply.raw, `room-${req.params.room}`, routes[name])
    reply.hijack()
  },
  (module) => NestFactory.create(module, new FastifyAdapter(), quiet),
)
