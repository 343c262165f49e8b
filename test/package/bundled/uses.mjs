// What the tests of bundlers build and run: it uses what needs optional packages, and tells what came of each.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { EventStream } from 'headwater'
import { metricsHandler } from 'headwater/observe'
import { postgresEventLog } from 'headwater/postgres'
import {
  createPostgresResumableStreamContext,
  createResumableStreamContext,
} from 'headwater/resumable'

const { REDIS_URL, POSTGRES_URL } = process.env
const event = { event: 'message', data: 'hello' }
const waitUntil = null

async function serve(handler) {
  const server = createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${server.address().port}` }
}

/** Publishes an event, and reads it as a client does. */
async function deliver(options) {
  const eventStream = new EventStream(options)
  try {
    await eventStream.ready()
    const { server, url } = await serve(eventStream('room'))
    const { body } = await fetch(url)
    await eventStream.publishEvent('room', event)
    let text = ''
    for await (const part of body.pipeThrough(new TextDecoderStream())) {
      text += part
      if (text.includes('data: "hello"')) break
    }
    server.closeAllConnections()
    server.close()
    return eventStream.health().log.kind
  } finally {
    await eventStream.close({ graceMs: 0 })
  }
}

/** Reads a stream from its beginning to its end. */
async function resume(context) {
  const source = new ReadableStream({
    start(controller) {
      controller.enqueue('hello')
      controller.close()
    },
  })
  let text = ''
  for await (const part of await context.resumableStream(randomUUID(), () => source)) text += part
  return text
}

async function publishToProxy() {
  const { server, url } = await serve((_req, res) => res.end())
  const eventStream = new EventStream({ grip: `${url}/?iss=proxy&key=changeme` })
  const asked = once(server, 'request')
  await eventStream.publishEvent('room', event)
  const [{ url: path }] = await asked
  await eventStream.close()
  server.closeAllConnections()
  server.close()
  return path
}

async function scrape() {
  const { server, url } = await serve(metricsHandler(new EventStream()))
  const response = await fetch(url)
  server.close()
  return response.ok ? 'metrics' : response.status
}

export async function outcomes() {
  const uses = {
    memory: () => deliver({}),
    redis: () => deliver({ redis: REDIS_URL }),
    postgres: () => deliver({ log: postgresEventLog({ pool: POSTGRES_URL }) }),
    redisContext: () => resume(createResumableStreamContext({ waitUntil })),
    volatileContext: () => resume(createResumableStreamContext({ waitUntil, durable: false })),
    postgresContext: () =>
      resume(createPostgresResumableStreamContext({ waitUntil, pool: POSTGRES_URL })),
    proxy: publishToProxy,
    prometheus: scrape,
  }
  const outcomes = {}
  for (const [name, use] of Object.entries(uses)) {
    outcomes[name] = await use().catch(({ message }) => message)
  }
  return outcomes
}
