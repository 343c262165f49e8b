// As in the README of resumable-stream, with ioredis.

import { createServer } from 'node:http'
import express from 'express'
import { createResumableStreamContext } from 'resumable-stream/ioredis'
import { Latencies, tokens } from '../lib/tokens.mjs'

const perSecond = 100
const context = createResumableStreamContext({ waitUntil: () => undefined })
const create = (id, seconds) =>
  context.createNewResumableStream(id, () => ReadableStream.from(tokens({ perSecond, seconds })))

const app = express()
app.get('/c/:id', async (req, res) => {
  const stream = await create(`${process.env.STREAM_PREFIX}${req.params.id}`, 600)
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
  for await (const token of stream) res.write(`data: ${JSON.stringify(token)}\n\n`)
  res.end()
})

export const server = createServer(app)

/** What it gives comes several tokens in one, where somebody reads late. */
async function readAll(stream, latencies) {
  for await (const text of stream) {
    for (const [token] of text.matchAll(/@\d{16}/g)) latencies?.got(token)
  }
}

export const calls = {
  /** Starts streams, and reads them: what nobody reads would stay in memory. */
  async start({ ids, seconds }) {
    for (const id of ids) void readAll(await create(id, seconds))
  },

  /** Reads streams of its own. */
  async readOwn({ ids, seconds, warmUpMs }) {
    const latencies = new Latencies(warmUpMs)
    await Promise.all(ids.map(async (id) => readAll(await create(id, seconds), latencies)))
    return latencies.quantiles()
  },

  /** Reads streams of another process. */
  async follow({ ids, warmUpMs }) {
    const latencies = new Latencies(warmUpMs)
    const follow = async (id) => readAll(await context.resumeExistingStream(id), latencies)
    await Promise.all(ids.map(follow))
    return latencies.quantiles()
  },
}
