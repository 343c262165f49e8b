import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

/** What `pages/cases.js` asks for. Addresses with the same `n` are one case. */
export function caseServer(): RequestListener {
  const visits = new Map<string, number>()
  return (req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://a')
    const visit = `${pathname} ${searchParams.get('n')}`
    const count = (visits.get(visit) ?? 0) + (req.method === 'OPTIONS' ? 0 : 1)
    visits.set(visit, count)
    const route = routes[pathname]
    if (route) route({ req, res, count, param: (name) => searchParams.get(name) ?? undefined })
    else res.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>')
  }
}

interface Visit {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** How often the case was here, but for preflights. */
  readonly count: number
  param(name: string): string | undefined
}

const routes: Readonly<Record<string, (visit: Visit) => unknown>> = {
  '/message': ({ res, param }) => {
    res.writeHead(200, { 'Content-Type': param('mime') ?? 'text/event-stream' })
    res.end(`${param('message') ?? 'data:data'}${param('newline') ?? '\n\n'}`)
  },
  '/last-id': ({ req, res, param }) => {
    const id = req.headers['last-event-id']
    head(res)
    if (id === undefined) res.end(`id:${param('id')}\nretry:200\ndata:hello\n\n`)
    else res.end(`data:${Buffer.from(String(id), 'latin1')}\n\n`)
  },
  '/asked-with': ({ req, res, param }) =>
    head(res).end(`data: ${req.method} ${req.headers[param('name') ?? '']}\n\n`),
  '/status': ({ res, param }) => head(res, Number(param('status'))).end('data: data\n\n'),
  '/redirect': ({ req, res, param }) =>
    head(res, Number(param('status')), {
      ...allowing(req),
      Location: param('to') ?? '/message',
    }).end(),
  '/twice': ({ res, count }) => {
    if (count > 2) head(res, 204).end()
    else head(res).end(`retry: 200\ndata: ${count === 1 ? 'opened' : 'reconnected'}\n\n`)
  },
  '/later': ({ res, count, param }) => {
    if (count > 1) head(res).end('data: data\n\n')
    else head(res).end(`retry: 200\n${param('first') ? 'id: 2\ndata: ok\n\n' : '\n'}`)
  },
  '/cors': ({ req, res, count, param }) => {
    const allowed = param('origin')
    const headers =
      allowed === undefined ? allowing(req) : { 'Access-Control-Allow-Origin': allowed }
    head(res, 200, headers)
    res.end(param('status') && count === 1 ? 'retry: 200\n\n' : 'data: data\n\n')
  },
  '/cookie': ({ req, res, count, param }) => {
    const cookie = `a=${param('n')?.replace(/\W/g, '')}`
    const isFirst = count === 1
    const hasCookie = req.headers.cookie?.includes(cookie) === true
    head(res, 200, { ...allowing(req), ...(isFirst && { 'Set-Cookie': cookie }) })
    res.end(isFirst ? 'retry: 200\ndata: first\n\n' : `data: second ${hasCookie}\n\n`)
  },
  '/unsafe-id': ({ req, res, count, param }) => {
    const name = param('id') as keyof typeof ids
    if (req.method === 'OPTIONS') {
      preflights.add(String(param('n')))
      head(res, 204, allowing(req)).end()
    } else if (count === 1) {
      head(res, 200, allowing(req)).end(`id: ${ids[name]}\nretry: 200\ndata: sent\n\n`)
    } else {
      const isRight = req.headers['last-event-id'] === ids[name]
      const isAllowed = preflights.has(String(param('n'))) === (name !== 'safe')
      head(res, 200, allowing(req))
      res.end(`event: ${isRight && isAllowed ? 'success' : 'failure'}\ndata: data\n\n`)
    }
  },
  '/slow': ({ res }) => {
    setTimeout(() => head(res).end('retry: 1000\ndata: late\n\n'), 1000)
  },
  '/held': ({ res }) => {
    held.add(res)
    res.on('close', () => held.delete(res))
    head(res).write(':\n')
  },
  '/held-now': ({ res }) => res.end(String(held.size)),
}

const held = new Set<ServerResponse>()
const ids = { safe: 'a', long: 'a'.repeat(200), unsafe: 'a{b}' }
const preflights = new Set<string>()

function head(res: ServerResponse, status = 200, headers: object = {}): ServerResponse {
  return res.writeHead(status, { 'Content-Type': 'text/event-stream', ...headers })
}

function allowing({ headers }: IncomingMessage): object {
  return {
    'Access-Control-Allow-Origin': headers.origin ?? '*',
    'Access-Control-Allow-Credentials': 'true',
    'Access-Control-Allow-Headers': 'last-event-id',
  }
}
