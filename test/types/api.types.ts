// Checked by the compiler, not run: what users of the API may write, and what they may not.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { Publisher } from '@fanoutio/grip'
import { expectTypeOf } from 'expect-type'
import type { Express, Request, RequestHandler } from 'express'
import { Cluster, Redis } from 'ioredis'
import { Registry } from 'prom-client'
import { createClient, createCluster } from 'redis'
import {
  type ChannelPublisher,
  type ChannelWritable,
  EventStream,
  type EventStreamHandler,
  type GripPublisherSpec,
  getEventStreamSingleton,
  type Health,
  type IAddressedEvent,
  type IChannelsBuilder,
  type IEventStreamConfig,
  type IServerSentEvent,
  type OpenStream,
} from '../../src/index.js'
import {
  healthHandler,
  type Metrics,
  metricsHandler,
  type ObservedMessages,
  prometheusMetrics,
  statusPage,
} from '../../src/observe.js'
import { redisEventLog } from '../../src/redis.js'
import {
  CompletionStore,
  resilience,
  StreamGuardian,
  StreamRegistry,
} from '../../src/resilience.js'
import { createResumableStreamContext } from '../../src/resumable.js'
import { createResumableStreamContext as createGeneric } from '../../src/resumable-generic.js'

declare const app: Express
declare const req: IncomingMessage
declare const res: ServerResponse
const eventStream = new EventStream()

// Called like a function, with every form of channels, with and without options.
expectTypeOf(eventStream('a')).toExtend<EventStreamHandler>()
expectTypeOf(eventStream('a', 'b')).toExtend<RequestHandler>()
expectTypeOf(eventStream(['a', 'b'])).toExtend<RequestHandler>()
expectTypeOf(eventStream('a', { startFrom: { last: 3 } })).toExtend<RequestHandler>()
expectTypeOf(eventStream(() => 'a')).toExtend<RequestHandler>()
expectTypeOf(eventStream.route('a')).toExtend<RequestHandler>()
app.get('/a', eventStream('a'))
app.get(
  '/c',
  eventStream((request: Request) => [`room-${request.params.id}`]),
)
app.get(
  '/d',
  eventStream(async (request: Request) => request.ip ?? 'nobody', {
    authorize: (request, channel) => {
      expectTypeOf(request).toEqualTypeOf<Request>()
      expectTypeOf(channel).toEqualTypeOf<string>()
      return request.secure
    },
    onClose: (stream) => expectTypeOf(stream.signal).toEqualTypeOf<AbortSignal>(),
  }),
)

// Without `next`, as Next.js pages call it.
expectTypeOf(eventStream('a')(req, res)).toEqualTypeOf<Promise<void>>()
expectTypeOf(eventStream.run(req, res, 'a')).toEqualTypeOf<Promise<OpenStream | undefined>>()

// As a listener of Node's own servers, and with HTTP/2's requests.
declare const http2Request: Http2ServerRequest
declare const http2Response: Http2ServerResponse
createServer(eventStream('a'))
createHttp2Server(eventStream('a'))
expectTypeOf(eventStream.run(http2Request, http2Response, 'a')).resolves.toExtend<
  OpenStream | undefined
>()
createHttp2Server(eventStream((request: Http2ServerRequest) => request.authority))

// Any kind of request of the application's own.
new EventStream({ connectionKey: (request: Request) => request.ip })
new EventStream({ connectionKey: (request: IncomingMessage) => request.socket.remoteAddress })
new EventStream({ connectionKey: (request) => request.headers.cookie })

// In Redis: a URL, or any client of the two packages.
new EventStream({ redis: 'redis://127.0.0.1' })
new EventStream({ redis: new Redis() })
new EventStream({ redis: new Cluster([]) })
new EventStream({ redis: createClient() })
new EventStream({ redis: createCluster({ rootNodes: [] }) })
new EventStream({ log: redisEventLog({ redis: new Redis(), waitReplicas: 1 }) })
expectTypeOf(eventStream.ready()).resolves.toEqualTypeOf<Health>()
expectTypeOf(eventStream.health().log.kind).toEqualTypeOf<string>()
new EventStream({ redis: false })
new EventStream({ redis: process.env.REDIS_URL })
expectTypeOf(eventStream.health()).toEqualTypeOf<Health>()

// Publishing.
expectTypeOf(eventStream.publishEvent('a', { event: 'x', data: { n: 1 } })).resolves.toExtend<{
  readonly id: string
}>()
expectTypeOf(
  eventStream.publishEvent('a', { raw: 'text', idempotencyKey: 'k' }),
).resolves.toExtend<{
  readonly id: string
}>()
expectTypeOf(eventStream.getChannelPublisher('a')).toEqualTypeOf<ChannelPublisher>()
expectTypeOf(eventStream.createChannelWritable('a')).toEqualTypeOf<ChannelWritable>()
expectTypeOf(getEventStreamSingleton()).toEqualTypeOf<EventStream>()
expectTypeOf(getEventStreamSingleton({ keepAlive: 'event' }, 'other')).toEqualTypeOf<EventStream>()

// What users of @fanoutio/eventstream have in their code.
const config: IEventStreamConfig = { grip: null, gripPrefix: 'events-' }
const event: IServerSentEvent = { event: 'message', data: { any: 'object' } }
const addressed: IAddressedEvent = { channel: 'a', event }
const builder: IChannelsBuilder = (request) => [request.url ?? '']
const grip: GripPublisherSpec = null
new EventStream(config)
new EventStream(null)
new EventStream({ grip })
void eventStream.publishEvent(addressed.channel, addressed.event)
app.get('/e', eventStream(builder))

// Mistakes that the compiler finds.
// @ts-expect-error: no such option
new EventStream({ keepalive: 1 })
// @ts-expect-error: a channel is text
eventStream(7)
// @ts-expect-error: no such start
eventStream('a', { startFrom: 'then' })
// @ts-expect-error: what may listen is true or false
eventStream('a', { authorize: () => 'yes' })
// @ts-expect-error: an event is an object
void eventStream.publishEvent('a', 'text')
// @ts-expect-error: no such key
void eventStream.publishEvent('a', { text: 'hi' })
// @ts-expect-error: no such key
void eventStream.publishEvent('a', { type: 'message', data: 1 })
// @ts-expect-error: a list is no event
void eventStream.publishEvent('a', [{ data: 1 }])
// @ts-expect-error: a date is no event
void eventStream.publishEvent('a', new Date())
// @ts-expect-error: bytes are no event
void eventStream.publishEvent('a', Buffer.from('hi'))
// @ts-expect-error: a promise is no event
void eventStream.publishEvent('a', Promise.resolve({ data: 1 }))

// Proxies: whatever `@fanoutio/eventstream` took, and its `Publisher`.
new EventStream({ grip: 'http://127.0.0.1:5561/', gripPrefix: 'x-', gripRequired: true })
new EventStream({ grip: { control_uri: 'http://127.0.0.1:5561/', control_iss: 'a', key: 'b' } })
new EventStream({ grip: ['http://127.0.0.1:5561/', { control_uri: 'http://127.0.0.1:5561/' }] })
new EventStream({ grip: new Publisher('http://127.0.0.1:5561/', { prefix: 'x-' }) })
// @ts-expect-error
new EventStream({ grip: 7 })
app.get('/links', eventStream.linkHandler())
expectTypeOf(eventStream.kick('a')).toEqualTypeOf<Promise<void>>()
await eventStream.kick(({ channels }) => channels.includes('a'))
await eventStream.kick((stream) => stream.transport !== 'grip' && stream.openedAt < new Date())
await eventStream.kick(({ kind, channels }) => kind === 'stream' && channels[0] === 'a')
expectTypeOf<OpenStream['kind']>().toEqualTypeOf<'channels' | 'stream'>()

// Streams: any source, a handler for any framework, and what is read of them.
const { streams } = eventStream
expectTypeOf(
  streams.handler('{id}', async function* (req: Request, { signal }) {
    yield `${req.path} ${signal.aborted}`
  }),
).toExtend<RequestHandler>()
expectTypeOf(streams.handler('{id}')).toExtend<RequestHandler>()
expectTypeOf(streams.kick('a')).toEqualTypeOf<Promise<void>>()
expectTypeOf(streams.count('a')).toEqualTypeOf<number>()
void streams.create('a', ['text', new Uint8Array(1), { event: 'tool', data: { n: 1 } }])
void streams.create('a', ({ signal }) => new ReadableStream<string>({ start: () => void signal }))
// @ts-expect-error Numbers are no chunks.
void streams.create('a', [1])
// @ts-expect-error: nor are objects with other keys
void streams.create('a', [{ type: 'data-weather', id: '1', data: {} }])
// @ts-expect-error: a stream's chunk is appended once anyway
void streams.create('a', [{ data: 1, idempotencyKey: 'k' }])
for await (const { id, data } of await streams.read('a', { after: '1-2' })) {
  expectTypeOf(id).toEqualTypeOf<string>()
  expectTypeOf(data).toEqualTypeOf<unknown>()
}

// What is given to the contexts of `resumable-stream`.
const after = (promise: Promise<unknown>) => void promise
createResumableStreamContext({
  waitUntil: after,
  publisher: createClient(),
  subscriber: createClient(),
})
createResumableStreamContext({ waitUntil: null, publisher: new Redis(), subscriber: new Redis() })
const context = createGeneric({
  waitUntil: null,
  publisher: {
    connect: async () => undefined,
    publish: async (_channel: string, _message: string) => 1,
    set: async (_key: string, _value: string, _options?: { EX?: number }) => 'OK' as const,
    get: async (_key: string) => null,
    incr: async (_key: string) => 1,
  },
  subscriber: {
    connect: async () => undefined,
    subscribe: async (_channel: string, _callback: (message: string) => void) => undefined,
    unsubscribe: async (_channel: string) => undefined,
  },
})
expectTypeOf(
  await context.resumableStream('a', () => new ReadableStream<string>()),
).toEqualTypeOf<ReadableStream<string> | null>()

// How an event stream is observed.
expectTypeOf(eventStream.metrics()).toEqualTypeOf<Metrics>()
app.get('/healthz', healthHandler(eventStream, { details: false }))
app.use('/status', statusPage(eventStream))
app.get('/metrics', metricsHandler(eventStream, { register: new Registry() }))
createServer(statusPage(eventStream))
createHttp2Server(healthHandler(eventStream))
expectTypeOf(await prometheusMetrics(eventStream)).toHaveProperty('contentType')
expectTypeOf<ObservedMessages['headwater:publish']['latencyMs']>().toEqualTypeOf<number>()
// @ts-expect-error: no such option
statusPage(eventStream, { everyMs: 1 })

// Who streams what, and how it ended.
app.get('/tracked', eventStream('a', { track: { type: 'page', user: ({ ip }: Request) => ip } }))
app.get(
  '/mine',
  eventStream('a', { track: { type: ({ method = 'GET' }) => method, user: 5, metadata: [] } }),
)
// @ts-expect-error: it has a type
eventStream('a', { track: { user: 'ann' } })
void streams.create('a', ['text'], { track: { type: 'chat', user: 'ann' } })
const parts = resilience(eventStream, {
  checkJobCompletion: async ({ streamId }) =>
    streamId === 'a' ? { state: 'completed', result: { rows: 1 } } : undefined,
})
// @ts-expect-error: no such state
resilience(eventStream, { checkJobCompletion: () => ({ state: 'done' }) })
expectTypeOf(parts.registry).toEqualTypeOf<StreamRegistry>()
expectTypeOf(new StreamGuardian(eventStream).start()).toEqualTypeOf<void>()
expectTypeOf(parts.sendStreamEvent('a', 'done', {}, true)).toEqualTypeOf<Promise<string>>()
parts.guardian.on('orphaned', ({ userId }) =>
  expectTypeOf(userId).toEqualTypeOf<string | undefined>(),
)
expectTypeOf(await new CompletionStore(eventStream).getCompletion('a')).toExtend<
  { readonly result: unknown } | undefined
>()
const recovery = parts.recoveryHandler({ user: ({ ip }: Request) => ip })
expectTypeOf(recovery).toExtend<RequestHandler>()
app.get('/streams/:streamId/recover', recovery)
// @ts-expect-error: an event stream is needed
new StreamRegistry({})
