import { EventStreamError, quote } from '../core/errors.js'

/** How one and the same is asked by requests of each kind, for who has asked the wrong one. */
export interface Entrance {
  /** @returns The call with Node's request and response. */
  node(req: string, res: string): string
  /** @returns The call with a Web request, where there is one. */
  web?(request: string): string
}

export const entrances = {
  route: {
    node: (req, res) => `eventStream(channels)(${req}, ${res})`,
    web: (request) => `fetchHandler(eventStream, channels)(${request}), of headwater/fetch`,
  },
  run: {
    node: (req, res) => `eventStream.run(${req}, ${res}, channels)`,
    web: (request) => `eventStream.fetch(${request}, channels)`,
  },
  streams: {
    node: (req, res) => `eventStream.streams.handler(id, source)(${req}, ${res})`,
    web: (request) => `eventStream.streams.fetch(${request}, id, source)`,
  },
} as const satisfies Record<string, Required<Entrance>>

/** An entrance that only requests of Node have. */
export function nodeEntrance(name: string): Entrance {
  return { node: (req, res) => `${name}(${req}, ${res})` }
}

/** Where frameworks have Node's request and response in what they call handlers with, of which it is the first. */
const nodePlaces = [
  ['request.raw', 'reply.raw'],
  // Before the next one, as its event has these too, by names that are deprecated.
  ['event.node.req', 'event.node.res'],
  ['ctx.req', 'ctx.res'],
  ['request.raw.req', 'request.raw.res'],
] as const

/** Where frameworks have the Web request. */
const webPlaces = ['c.req.raw', 'event.req', 'context.request', 'event.web.request']

/** @throws EventStreamError `ERR_OPTION` unless it is called with Node's request and response. */
export function checkNodeCall(entrance: Entrance, req: unknown, res: unknown): void {
  const place = nodePlaces.find(
    ([ofReq, ofRes]) => isNodeRequest(at(req, ofReq)) || isNodeResponse(at(res, ofRes)),
  )
  if (place === undefined && isNodeResponse(res) && !isWebRequest(req)) return
  throw new EventStreamError(
    'ERR_OPTION',
    `${entrance.node('req', 'res')} needs the request and response of Node, got ${quote(req)} and ${quote(res)}.` +
      (rightCall(entrance, place, req) ?? usualCalls(entrance)),
  )
}

/** @throws EventStreamError `ERR_OPTION` unless it is called with a Web request. */
export function checkWebCall(entrance: Required<Entrance>, request: unknown): void {
  if (isWebRequest(request)) return
  const place = nodePlaces.find(([ofReq]) => isNodeRequest(at(request, ofReq)))
  const node = isNodeRequest(request) ? (['req', 'res'] as const) : place
  const hint = rightCall(entrance, node, request) ?? ''
  throw new EventStreamError(
    'ERR_OPTION',
    `The request is ${quote(request)}; give a Web Request, such as c.req.raw of Hono.${hint}`,
  )
}

/** @returns How to call it with what was given, where that is known. */
function rightCall(
  { node, web }: Entrance,
  nodePlace: readonly [string, string] | undefined,
  given: unknown,
): string | undefined {
  if (nodePlace !== undefined) return ` Call ${node(...nodePlace)}.`
  const isWeb = (place: string) => isWebRequest(at(given, place))
  const webPlace = ['request', ...webPlaces].find(isWeb)
  return webPlace && web && ` Call ${web(webPlace)}.`
}

function usualCalls({ web }: Entrance): string {
  const own = ' Fastify has them as request.raw and reply.raw, Koa as ctx.req and ctx.res.'
  if (web === undefined) return ` It answers only those of Node.${own}`
  return `${own} For Web requests, call ${web('request')}.`
}

/** What is at a place of what was given, whatever that is called. */
function at(given: unknown, place: string): unknown {
  const [, ...names] = place.split('.')
  return names.reduce((value: unknown, name) => Object(value)[name], given)
}

/** Not by their class, as tests inject others. */
function isNodeRequest(value: unknown): boolean {
  const { headers, method, resume } = Object(value)
  return typeof headers === 'object' && typeof method === 'string' && typeof resume === 'function'
}

export function isNodeResponse(value: unknown): boolean {
  return typeof Object(value).setHeader === 'function'
}

/** Not by its class, of which servers have their own. */
function isWebRequest(value: unknown): boolean {
  const { method, url, headers } = Object(value)
  return method !== undefined && url !== undefined && Symbol.iterator in Object(headers)
}
