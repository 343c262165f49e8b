import { Publisher } from '@fanoutio/grip'
import type { EventStreamOptions } from '../../src/index.js'
import { setUp } from './app.js'
import { signHs256 } from './grip-signature.js'
import type { ClientOptions, SseClient } from './sse-client.js'

/** The key of the proxy that a test plays. */
const proxyKey = 'changeme'

/** A configuration with this key, whose proxy accepts all that is published. */
export function acceptingPublisher(key = proxyKey): Publisher {
  const config = { control_uri: 'http://proxy.invalid/', control_iss: 'pushpin', key }
  return new Publisher(config, { fetch: async () => new Response('Published\n') })
}

/** What Pushpin adds to the headers of a client. */
export const proxyHeaders = () => ({
  'Grip-Sig': signHs256(proxyKey),
  'Grip-Feature':
    'status, session, link:next, filter:skip-self, filter:require-sub, filter:build-id',
})

/** An app behind a proxy that the test itself plays. */
export function setUpBehindProxy(options: EventStreamOptions = {}) {
  /** What went to `onError`. */
  const told: unknown[] = []
  const onError = (error: unknown) => void told.push(error)
  const { serve, ...app } = setUp({ grip: acceptingPublisher(), onError, ...options })
  return {
    ...app,
    told,
    serve: async () => {
      const request = await serve()
      return {
        /** As a client that has not come through the proxy. */
        direct: request,
        /** As the proxy passes on the request of a client. */
        open: (path: string, { headers, ...rest }: ClientOptions = {}) =>
          whole(request(path, { ...rest, headers: { ...proxyHeaders(), ...headers } })),
        /** As the proxy asks for what its clients missed. */
        follow: (link: string, last: string | undefined, headers: Record<string, string> = {}) =>
          whole(
            request(link, {
              headers: {
                ...proxyHeaders(),
                Accept: '*/*',
                ...(last === undefined ? {} : { 'Grip-Last': last }),
                ...headers,
              },
            }),
          ),
      }
    },
  }
}

/** The same with a route `/events/:channels`, whose parameter has names with commas between them. */
export async function serveChannels(options: EventStreamOptions = {}) {
  const { app, serve, ...rest } = setUpBehindProxy(options)
  const channels = rest.eventStream((req) => String(Object(req.params).channels).split(','))
  app.all('/events/:channels', channels)
  app.get('/events', channels)
  if (options.gripLinkPath !== undefined) {
    app.get(options.gripLinkPath, rest.eventStream.linkHandler())
  }
  return { ...rest, ...(await serve()) }
}

async function whole(request: Promise<SseClient>): Promise<SseClient> {
  const response = await request
  await response.end()
  return response
}

/** The URL of the link, as it is in `Grip-Link`. */
export function linkOf({ headers }: SseClient): string {
  return /^<([^>]*)>; rel=next; timeout=\d+$/.exec(String(headers['grip-link']))?.[1] ?? ''
}

/** The names of the channels in `Grip-Channel`, with where their clients are: `events-a; last-id=0-7`. */
export function lastOf({ headers }: SseClient): string {
  return [...String(headers['grip-channel']).matchAll(/([^\s,]+); prev-id=([^;,]+)/g)]
    .map(([, name, id]) => `${name}; last-id=${id}`)
    .join(', ')
}

/** The proof of its channels, where that is one of them. */
export function proofOf({ headers }: SseClient): string {
  return /-~; prev-id=([^;,]+)/.exec(String(headers['grip-channel']))?.[1] ?? ''
}

/** Headers that are for the proxy, by name. */
export function gripHeadersOf({ headers }: SseClient): string[] {
  return Object.keys(headers).filter((name) => name.startsWith('grip-'))
}
