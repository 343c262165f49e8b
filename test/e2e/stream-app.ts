import type { Socket } from 'node:net'
import express, { type Express } from 'express'
import {
  type ChannelSource,
  EventStream,
  type EventStreamOptions,
  type RouteOptions,
} from '../../src/index.js'

/** An application with a blank page at `/`, and an event stream at `/events`. */
export interface StreamApp {
  readonly app: Express
  readonly eventStream: EventStream
  /** The socket of each stream opened so far, the newest last. */
  readonly sockets: readonly Socket[]
}

/** Clients come back soon, unless `route` says otherwise. */
export function streamApp(
  channels: ChannelSource,
  options: EventStreamOptions = {},
  route: RouteOptions = {},
): StreamApp {
  const sockets: Socket[] = []
  const eventStream = new EventStream(options)
  const app = express()
  app.get('/', (_req, res) => {
    res.send('<!doctype html>')
  })
  app.get(
    '/events',
    eventStream(channels, { retryMs: 50, onOpen: (_, req) => sockets.push(req.socket), ...route }),
  )
  return { app, eventStream, sockets }
}
