// What people write by hand: a loop that gives the reader what comes. Nobody else gets it.

import { createServer } from 'node:http'
import express from 'express'
import { Latencies, tokens } from '../lib/tokens.mjs'

const perSecond = 100
const app = express()
app.get('/c/:id', async (_req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
  for await (const token of tokens({ perSecond, seconds: 600 })) {
    res.write(`data: ${JSON.stringify(token)}\n\n`)
  }
  res.end()
})

export const server = createServer(app)

export const calls = {
  /** Reads streams of its own. */
  async readOwn({ ids, seconds, warmUpMs }) {
    const latencies = new Latencies(warmUpMs)
    const read = async () => {
      for await (const token of tokens({ perSecond, seconds })) latencies.got(token)
    }
    await Promise.all(ids.map(read))
    return latencies.quantiles()
  },
}
