import type { ServerResponse } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import type { RouteOptions } from '../../src/index.js'
import type { ClientOptions, SseClient } from '../support/sse-client.js'
import type { Control } from './control.js'

/** The routes that every transport serves, under their names, to whatever kind of requests it has. */
export interface Routes {
  readonly events: RouteOptions<unknown>
  readonly forbidden: RouteOptions<unknown>
  readonly failing: RouteOptions<unknown>
}

export type RouteName = keyof Routes

export const routes: Routes = {
  events: {},
  forbidden: { authorize: () => false },
  failing: {
    authorize() {
      // As http-errors makes them: some frameworks read the one, some the other.
      throw Object.assign(new Error('teapot'), { status: 418, statusCode: 418 })
    },
  },
}

/** All clients listen to `room-7`, and each transport takes the 7 from the request. */
export const room = '7'

/** What a behaviour is looked for in: clients, and an event stream that nobody had before. */
export interface Scene extends Control {
  /** Sends a request to a route, as clients of this transport do, and resolves with its head. */
  request(route: RouteName, options?: ClientOptions): Promise<SseClient>
}

/** A way to get requests to an event stream: one row of the table. */
export interface Transport {
  readonly name: string
  /** Gets ready for scenes. */
  start?(): Promise<void>
  /** Serves the routes to every method, with {@link earlierHeader} set as applications would. */
  openScene(): Promise<Scene>
  /** Leaves nothing of `start` behind, however far that came. */
  stop?(): Promise<void>
}

export const earlierHeader = ['Access-Control-Allow-Origin', 'https://app.example'] as const

/** Middleware of Express and Connect. */
export function setEarlierHeader(_req: unknown, res: ServerResponse, next: () => void): void {
  res.setHeader(...earlierHeader)
  next()
}

/** Reads `/events/7`, for transports that have no router. */
export function readPath(path = ''): { readonly route: RouteName; readonly room: string } {
  const [, route = '', room = ''] = path.split('/')
  return { route: route as RouteName, room }
}

/** Pairs of a name and options. */
export function entriesOf(routes: Routes): [RouteName, RouteOptions<unknown>][] {
  return Object.entries(routes) as [RouteName, RouteOptions<unknown>][]
}

/** Listens at a free port. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
