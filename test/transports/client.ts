import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import type { ClientHttp2Session } from 'node:http2'
import { request as requestSecurely } from 'node:https'
import { type ClientOptions, SseClient } from '../support/sse-client.js'

function headersOf({ headers = {}, lastEventId }: ClientOptions): Record<string, string> {
  const cursor = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId }
  return { Accept: 'text/event-stream', ...cursor, ...headers }
}

/** Sends a request with a body, over an agent's connections, or to a server of one's own CA. */
export function send(
  url: string,
  options: ClientOptions,
  { body, ...own }: RequestOptions & { readonly body?: string; readonly ca?: string },
): Promise<SseClient & { readonly reusedSocket: boolean }> {
  const { method = 'GET', paused = false } = options
  const open = url.startsWith('https:') ? requestSecurely : request
  return new Promise((resolve, reject) => {
    const req = open(url, { method, headers: headersOf(options), ...own })
    req.on('response', (res) => {
      resolve(Object.assign(new SseClient(res, paused), { reusedSocket: req.reusedSocket }))
    })
    req.on('error', reject)
    req.end(body)
  })
}

/** Sends a request as one of the streams of an HTTP/2 session. */
export function sendOverHttp2(
  session: ClientHttp2Session,
  path: string,
  options: ClientOptions = {},
): Promise<SseClient> {
  const { method = 'GET', paused = false } = options
  return new Promise((resolve, reject) => {
    const stream = session.request({ ...headersOf(options), ':method': method, ':path': path })
    stream.on('response', (headers) => {
      const res = Object.assign(stream, { headers, statusCode: headers[':status'] })
      resolve(new SseClient(res as unknown as IncomingMessage, paused))
    })
    stream.on('error', reject)
    stream.end()
  })
}
