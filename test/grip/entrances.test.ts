import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { errorResponse, fetchHandler } from '../../src/fetch.js'
import {
  type EventStream,
  EventStreamError,
  type EventStreamHandler,
  type EventStreamOptions,
  type ResponseLike,
} from '../../src/index.js'
import { recoveryHandler, resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { signHs256 } from '../support/grip-signature.js'
import { acceptingPublisher } from '../support/played-proxy.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'

type Headers = Record<string, string>

interface Answer {
  readonly status: number
  readonly text: string
}

type Ask = (eventStream: EventStream, headers: Headers) => Promise<Answer>

/** Whatever is given a request for events, or for what became of a stream, and answers it. */
const entrances: Readonly<Record<string, Ask>> = {
  'EventStream()': byNode((eventStream) => eventStream('a')),
  'EventStream#route': byNode((eventStream) => eventStream.route('a')),
  'EventStream#run': byNode((eventStream) => async (req, res) => {
    await eventStream.run(req, res, 'a').catch(async (error) => answerWith(res, error))
  }),
  'EventStream#linkHandler': byNode((eventStream) => eventStream.linkHandler()),
  'EventStream#fetch': byWeb((eventStream, request) => eventStream.fetch(request, 'a')),
  'EventStreams#handler': byNode((eventStream) => eventStream.streams.handler('a', () => ['x'])),
  'EventStreams#fetch': byWeb((eventStream, request) =>
    eventStream.streams.fetch(request, 'a', () => ['x']),
  ),
  fetchHandler: byWeb((eventStream, request) => fetchHandler(eventStream, 'a')(request)),
  recoveryHandler: byNode((eventStream) => recoveryHandler(eventStream, { id: () => 'a' })),
  'resilience().recoveryHandler': byNode((eventStream) =>
    resilience(eventStream).recoveryHandler({ id: () => 'a' }),
  ),
}

/** These answer requests of operators, whose probes and browsers come past the proxy. No events are in them. */
const forOperators = ['healthHandler', 'metricsHandler', 'statusPage']

/** These answer no request. */
const others = [
  'EventStream#close',
  'EventStream#connections',
  'EventStream#count',
  'EventStream#createChannelWritable',
  'EventStream#getChannelPublisher',
  'EventStream#health',
  'EventStream#kick',
  'EventStream#metrics',
  'EventStream#publish',
  'EventStream#publishEvent',
  'EventStream#ready',
  'EventStreamError',
  'EventStreams#checkLog',
  'EventStreams#close',
  'EventStreams#count',
  'EventStreams#create',
  'EventStreams#kick',
  'EventStreams#known',
  'EventStreams#logged',
  'EventStreams#open',
  'EventStreams#place',
  'EventStreams#reached',
  'EventStreams#read',
  'EventStreams#start',
  'EventStreams#status',
  'EventStreams#stop',
  'EventStreams#tracked',
  'CompletionStore',
  'StreamGuardian',
  'StreamRegistry',
  'channelName',
  'createPostgresResumableStreamContext',
  'createResumableStreamContext',
  'errorResponse',
  'eventLogSuite',
  'getEventStreamSingleton',
  'memoryEventLog',
  'ownerOnly',
  'postgresEventLog',
  'prometheusMetrics',
  'purgePostgres',
  'redisEventLog',
  'registrySuite',
  'resilience',
  'resilience().sendStreamEvent',
  'setUpPostgres',
  'streamLogSuite',
]

/** What runs in browsers. */
const clientEntries = ['./client', './react']

describe('what the package exports', () => {
  test('is listed here, as an entrance that passes the gate, or as none', async () => {
    const listed = [...Object.keys(entrances), ...forOperators, ...others]
    expect((await exportedFunctions()).sort()).toEqual(listed.sort())
  })
})

describe.each(Object.entries(entrances))('%s', (_name, ask) => {
  const expired = { iss: 'pushpin', exp: 1_000_000_000 }
  const neverExpires = { iss: 'pushpin' }

  test.each<[string, string, EventStreamOptions?]>([
    ['of another key', signHs256('other')],
    ['that has expired', signHs256('changeme', expired)],
    ['that never expires', signHs256('changeme', neverExpires)],
    ['that is garbage', 'garbage'],
    ['of another key, where a proxy is required', signHs256('other'), { gripRequired: true }],
  ])('refuses a signature %s with 403', async (_what, signature, options = {}) => {
    const { status, text } = await askOnce(ask, { 'Grip-Sig': signature }, options)
    expect([status, text]).toEqual([403, expect.stringContaining('Grip-Sig')])
  })

  test('refuses a request that came past the proxy with 501, where a proxy is required', async () => {
    const { status, text } = await askOnce(ask, {}, { gripRequired: true })
    expect([status, text]).toEqual([501, expect.stringContaining('through a GRIP proxy')])
  })

  test.each<[string, Headers, EventStreamOptions?]>([
    ['that the proxy has signed', { 'Grip-Sig': signHs256('changeme') }, { gripRequired: true }],
    ['without a signature, where none is required', {}],
    ['with any signature, where there is no proxy', { 'Grip-Sig': 'x' }, { grip: null }],
  ])('lets a request pass %s', async (_what, headers, options = {}) => {
    const { status, text } = await askOnce(ask, headers, options)
    expect(status).not.toBe(501)
    expect(text).not.toContain('Grip-Sig')
  })
})

async function askOnce(ask: Ask, headers: Headers, options: EventStreamOptions) {
  const onError = () => undefined
  const { eventStream } = setUp({ grip: acceptingPublisher(), onError, ...options })
  return ask(eventStream, headers)
}

function byNode(handlerOf: (eventStream: EventStream) => EventStreamHandler): Ask {
  return async (eventStream, headers) => {
    const handler = handlerOf(eventStream)
    const { url } = await startServer((req, res) => void handler(req, res).catch(() => undefined))
    const client = await connect(url, { headers })
    if (client.status >= 400) await client.end()
    client.destroy()
    return client
  }
}

function byWeb(answer: (eventStream: EventStream, request: Request) => Promise<Response>): Ask {
  return async (eventStream, given) => {
    const headers = { Accept: 'text/event-stream', ...given }
    const request = new Request('http://test.example/', { headers })
    const response = await answer(eventStream, request).catch(errorResponse)
    const { status } = response
    if (status >= 400) return { status, text: await response.text() }
    await response.body?.cancel()
    return { status, text: '' }
  }
}

async function answerWith(res: ResponseLike, error: unknown): Promise<void> {
  if (!(error instanceof EventStreamError)) throw error
  res.statusCode = error.status
  ;(res as { end(text: string): unknown }).end(error.message)
}

/** Functions and classes of all entries of the package, and what may be called on the objects they make. */
async function exportedFunctions(): Promise<string[]> {
  const root = join(__dirname, '../..')
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const names = new Set<string>()
  for (const [entry, files] of Object.entries<{ default?: string }>(exports)) {
    if (files.default === undefined || clientEntries.includes(entry)) continue
    const file = files.default.replace('./dist', `${root}/src`).replace(/js$/, 'ts')
    for (const [name, value] of Object.entries(await import(file))) {
      if (typeof value === 'function') names.add(name)
    }
  }
  const { eventStream } = setUp()
  names.delete('EventStream')
  names.add('EventStream()')
  for (const name of methodsOf(eventStream, Function.prototype)) names.add(`EventStream#${name}`)
  for (const name of methodsOf(eventStream.streams, Object.prototype)) {
    names.add(`EventStreams#${name}`)
  }
  for (const [name, value] of Object.entries(resilience(eventStream))) {
    if (typeof value === 'function') names.add(`resilience().${name}`)
  }
  return [...names]
}

function methodsOf(object: object, end: object): string[] {
  const names: string[] = []
  for (let at = object; at !== end; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === 'function' && name !== 'constructor') names.push(name)
    }
  }
  return [...new Set(names)]
}
