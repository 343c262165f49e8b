import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import express, { type ErrorRequestHandler } from 'express'
import { EventStream, type OpenStream } from 'headwater'
import { measureLoad } from './load.js'
import { jsonBody, RequestError, readIdempotencyKey, readMessage, readText } from './message.js'
import { assets, page, securityHeaders } from './site.js'

const eventStream = new EventStream()
const app = express()

app.disable('x-powered-by')
app.use(securityHeaders)
app.use('/assets', assets)

for (const name of ['room', 'page']) {
  app.param(name, (_req, _res, next, id: string) => {
    if (/^[A-Za-z0-9-]{1,40}$/.test(id)) next()
    else next(new RequestError(400, `The ${name} takes 1 to 40 letters, digits and hyphens.`))
  })
}

// Live chart: a source is piped into a channel, and whoever comes gets the last minute first.

const stopping = new AbortController()
const measuring = pipeline(
  Readable.from(measureLoad()),
  eventStream.createChannelWritable('load'),
  { signal: stopping.signal },
)

app.get('/events/load', eventStream('load', { startFrom: { last: 120 } }))

// Chat: what is posted to a room is published on its channel.

app.get('/', (_req, res) => res.redirect('/rooms/lobby'))
app.get('/rooms/:room', page)
app.get('/rooms/:room/events', eventStream('room-{room}', { startFrom: { last: 50 } }))

app.post('/rooms/:room/messages', ...jsonBody, async (req, res) => {
  const { id } = await eventStream.publishEvent(`room-${req.params.room}`, {
    event: 'message',
    data: { ...readMessage(req), at: Date.now() },
    idempotencyKey: readIdempotencyKey(req),
  })
  res.status(201).json({ id })
})

// Proof: a page has its connection cut, and is sent events while it is away.

const proofEvents = 20
const socketOf = new WeakMap<OpenStream, Socket>()

// One stream for all that a page shows, since HTTP/1.1 leaves a browser six connections per host,
// and every tab needs its own.
app.get(
  '/rooms/:room/pages/:page/events',
  eventStream('load', 'room-{room}', 'proof-{page}', {
    startFrom: { last: 120 },
    retryMs: 1500,
    onOpen: (stream, req) => socketOf.set(stream, req.socket),
  }),
)

app.post('/proof/:page', ...jsonBody, async (req, res) => {
  const run = readText(req.body, 'run', 40)
  const channel = `proof-${req.params.page}`
  const streams = eventStream.connections().filter(({ channels }) => channels.includes(channel))
  for (const stream of streams) socketOf.get(stream)?.resetAndDestroy()
  await Promise.all(streams.map(({ signal }) => once(signal, 'abort')))
  for (let n = 1; n <= proofEvents; n++) {
    await eventStream.publishEvent(channel, { event: 'proof', data: { run, n } })
  }
  res.json({ published: proofEvents, listening: eventStream.count(channel) })
})

const answerError: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) return next(error)
  const { status = 500, message, headers = {} } = error
  if (status >= 500) console.error(error)
  res.status(status).set(headers)
  res.json({ error: status < 500 ? message : 'The server could not do this.' })
}
app.use(answerError)

const port = Number(process.env.PORT || 3000)
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`PORT is ${process.env.PORT}. Give a number from 0 to 65535: PORT=3000`)
  process.exit(1)
}
const server = app.listen(port, (error) => {
  if (error !== undefined) {
    const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    console.error(
      inUse ? `Port ${port} is in use. Choose another one: PORT=${port + 1}` : error.message,
    )
    process.exit(1)
  }
  const address = server.address()
  console.log(`http://localhost:${typeof address === 'object' ? address?.port : address}`)
})

async function shutDown(): Promise<void> {
  stopping.abort()
  server.close()
  await eventStream.close()
  server.closeIdleConnections()
}

process.once('SIGINT', shutDown).once('SIGTERM', shutDown)

try {
  await measuring
} catch (error) {
  if (!stopping.signal.aborted) throw error
}
