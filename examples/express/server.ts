import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import express, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express'
import { channelName, EventStream, EventStreamError, memoryEventLog } from 'headwater'
import { healthHandler, statusPage } from 'headwater/observe'
import { redisEventLog } from 'headwater/redis'
import { ownerOnly, resilience } from 'headwater/resilience'
import { writeAnswer } from './answer.js'
import { createCuts } from './cuts.js'
import { deaths, ExportWorker, resultOf } from './export-worker.js'
import { openJobs } from './jobs.js'
import { listen } from './listen.js'
import { measureLoad } from './load.js'
import { jsonBody, RequestError, readIdempotencyKey, readMessage, readText } from './message.js'
import { askPage, assets, exportPage, isProxied, page, securityHeaders } from './site.js'
import { signIn, userOf } from './user.js'

// With events in Redis, any number of processes can serve the same page: see cluster.ts, which also
// gives each of them a name. Who comes through a GRIP proxy is held by the proxy: see pushpin.ts.
const { REDIS_URL, GRIP_URL, PROCESS_NAME } = process.env
const log = REDIS_URL ? redisEventLog({ redis: REDIS_URL }) : memoryEventLog()
const eventStream = new EventStream({
  log,
  grip: GRIP_URL || undefined,
  gripLinkPath: '/grip-links',
  // Short, for people who wait for a death to be noticed. The defaults are 30 s, 15 s and 2 min.
  gripPollMs: 5000,
  registry: { heartbeatMs: 1000, orphanAfterMs: 20_000 },
})
const app = express()

try {
  await eventStream.ready()
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}

app.disable('x-powered-by')
app.use(securityHeaders)
app.use('/assets', assets)

// Where the proxy asks for what its clients missed: none of the paths of visitors, which may stop answering.
app.get('/grip-links', eventStream.linkHandler())

for (const name of ['room', 'page', 'answer', 'job']) {
  app.param(name, (_req, _res, next, id: string) => {
    if (/^[A-Za-z0-9-]{1,40}$/.test(id)) next()
    else next(new RequestError(400, `The ${name} takes 1 to 40 letters, digits and hyphens.`))
  })
}

// Live chart: a source is piped into a channel, and whoever comes gets the last minute first.

const stopping = new AbortController()

async function publishLoad(): Promise<void> {
  const { signal } = stopping
  while (!signal.aborted) {
    try {
      const samples = Readable.from(measureLoad(PROCESS_NAME))
      await pipeline(samples, eventStream.createChannelWritable('load'), { signal })
    } catch (error) {
      // While Redis is away there are no samples; the event stream tells of it.
      const isAway = error instanceof EventStreamError && error.code === 'ERR_LOG_UNAVAILABLE'
      if (!isAway && !signal.aborted) throw error
    }
  }
}

app.get('/events/load', eventStream('load', { startFrom: { last: 120 } }))

// Chat: what is posted to a room is published on its channel.

app.get('/', (_req, res) => res.redirect('/rooms/lobby'))
app.get('/rooms/:room', page)
app.get('/rooms/:room/events', eventStream('room-{room}', { startFrom: { last: 50 } }))

app.post('/rooms/:room/messages', ...jsonBody, async (req: Request<{ room: string }>, res) => {
  const published = eventStream.publishEvent(channelName('room-{room}', req.params), {
    event: 'message',
    data: { ...readMessage(req), at: Date.now(), by: PROCESS_NAME },
    idempotencyKey: readIdempotencyKey(req),
  })
  const { id } = await published.catch(ifStored)
  res.status(201).json({ id })
})

/** An event is safe once it is in the log: who comes through a proxy that is away has it later. */
function ifStored(error: unknown) {
  const [first] = (error instanceof EventStreamError && error.published) || []
  if (first === undefined) throw error
  return first
}

// Answers: each is a stream of its own, which is written once, whoever reads it, and how often.

const followAnswer = eventStream.streams.handler('answer-{answer}')
const askForAnswer = eventStream.streams.handler('answer-{answer}', (req: Request, { signal }) =>
  writeAnswer(readText(req.query, 'question', 200), signal),
)

app.get('/ask', askPage)
app.get('/answers/:answer', (req, res, next) => {
  if (req.query.question === undefined) return followAnswer(req, res, next)
  readText(req.query, 'question', 200)
  return askForAnswer(req, res, next)
})

app.post('/answers/:answer/stop', ...jsonBody, async (req: Request<{ answer: string }>, res) => {
  const status = await eventStream.streams.stop(channelName('answer-{answer}', req.params))
  if (status === undefined) throw new RequestError(404, 'There is no such answer.')
  res.json({ state: status.state })
})

// Exports: jobs whose events a worker sends. Of one that has gone silent the guardian finds out what came of it.

const jobs = await openJobs(REDIS_URL)
const { registry, guardian, sendStreamEvent, recoveryHandler } = resilience(eventStream, {
  // As short as the above: the defaults are 30 s.
  intervalMs: 1000,
  thresholdMs: 3000,
  async checkJobCompletion({ streamId }) {
    const csv = await jobs.get(streamId, 'csv')
    if (csv === undefined) return undefined
    return { state: 'completed', result: resultOf(csv), reason: 'found by the guardian' }
  },
})
const worker = new ExportWorker(jobs, sendStreamEvent, PROCESS_NAME)

/** The recovery endpoint has the same rule built in. */
const isOwner = ownerOnly(eventStream, userOf)

const ownJob: RequestHandler<{ job: string }> = async (req, _res, next) => {
  if (!(await isOwner(req, channelName('job-{job}', req.params)))) {
    throw new RequestError(403, 'There is no such export of yours.')
  }
  next()
}

app.get('/export', signIn, exportPage)

app.post('/jobs', ...jsonBody, async (req, res) => {
  // Whoever knows an id may append, so clients do not choose it.
  const id = randomUUID()
  const streamId = `job-${id}`
  await registry.register({ streamId, streamType: 'export', userId: userOf(req) })
  worker.start(streamId)
  res.status(201).json({ id })
})

app.get('/jobs', async (req, res) => {
  const streams = await registry.getUserStreams(userOf(req))
  const own = streams.filter(({ streamType }) => streamType === 'export').slice(0, 20)
  res.json(
    own.map(({ streamId, startedAt, state }) => ({
      id: streamId.slice('job-'.length),
      startedAt,
      state,
    })),
  )
})

const followed = eventStream.streams.handler('job-{job}', undefined, { authorize: isOwner })
app.get('/jobs/:job/events', followed)
app.get('/jobs/:job/recover', recoveryHandler({ id: 'job-{job}', user: userOf }))

app.get('/jobs/:job/export.csv', ownJob, async (req, res) => {
  const csv = await jobs.get(channelName('job-{job}', req.params), 'csv')
  if (csv === undefined) throw new RequestError(404, 'This export has no file.')
  res.attachment('export.csv').send(csv)
})

app.post('/jobs/:job/death', ...jsonBody, ownJob, async (req, res) => {
  const when = deaths.find((death) => death === Object(req.body).when)
  if (when === undefined) throw new RequestError(400, `when takes one of: ${deaths.join(', ')}.`)
  // Whichever process its worker is in, that looks here.
  await jobs.set(channelName('job-{job}', req.params), 'death', when)
  res.json({})
})

// For operators. This page has no secrets, and its visitors no names: yours goes behind a guard of your own, as
// in app.use('/status', requireAdmin, statusPage(eventStream)).

app.use('/status', statusPage(eventStream))
app.get('/healthz', healthHandler(eventStream, { details: false }))

// Proof: a page has its connection cut, and asks for events once it is away.

const proofEvents = 20
const cuts = await createCuts(log, eventStream)

// One stream for all that a page shows, since HTTP/1.1 leaves a browser six connections per host,
// and every tab needs its own.
app.get(
  '/rooms/:room/pages/:page/events',
  eventStream('load', 'room-{room}', 'page-{page}', {
    startFrom: { last: 120 },
    retryMs: 1500,
    onOpen(stream, { socket, params }: Request<{ page: string }>) {
      cuts.opened(stream, socket)
      if (PROCESS_NAME !== undefined)
        tellWhoServes(channelName('page-{page}', params)).catch(console.error)
    },
  }),
)

/** The name of this process, where there are several, for the page that it serves from now on. */
async function tellWhoServes(channel: string): Promise<void> {
  const data = { by: PROCESS_NAME, pid: process.pid }
  await eventStream.publishEvent(channel, { event: 'served', data })
}

app.post('/proof/:page/cut', ...jsonBody, async (req: Request<{ page: string }>, res) => {
  const channel = channelName('page-{page}', req.params)
  // The proxy has the connection, and ends the stream. Without one, there is a socket here to reset.
  if (isProxied(req)) await eventStream.kick(channel)
  else if (!(await cuts.cut(channel))) {
    throw new RequestError(409, 'The page has no connection to cut.')
  }
  res.json({})
})

app.post('/proof/:page/events', ...jsonBody, async (req: Request<{ page: string }>, res) => {
  const run = readText(req.body, 'run', 40)
  const channel = channelName('page-{page}', req.params)
  for (let n = 1; n <= proofEvents; n++) {
    await eventStream.publishEvent(channel, { event: 'proof', data: { run, n } })
  }
  res.json({ published: proofEvents })
})

const answerError: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) return next(error)
  const { status = 500, message, headers = {} } = error
  if (status >= 500) console.error(error)
  res.status(status).set(headers)
  res.json({ error: status < 500 ? message : 'The server could not do this.' })
}
app.use(answerError)

guardian.start()

const server = createServer(app)
// cluster.ts or pushpin.ts, if that has started this process, stands between it and visitors.
const isBehind = process.channel !== undefined
const port = await listen(server, isBehind ? '127.0.0.1' : undefined)
console.log(`http://localhost:${port}`)
// This process ends with the one that it tells.
process.send?.(port)
process.channel?.unref()

const lastAnswersMs = 1000

async function shutDown(): Promise<void> {
  stopping.abort()
  server.close()
  await worker.stop()
  await guardian.stop()
  await eventStream.close()
  await log.close()
  jobs.close()
  server.closeIdleConnections()
  // A proxy keeps those open for more requests that were answered just now.
  setTimeout(() => server.closeAllConnections(), lastAnswersMs).unref()
}

process.once('SIGINT', shutDown).once('SIGTERM', shutDown).once('disconnect', shutDown)

await publishLoad()
