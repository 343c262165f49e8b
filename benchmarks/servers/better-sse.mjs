// As in the README of better-sse.

import { createServer } from 'node:http'
import { createChannel, createSession } from 'better-sse'
import express from 'express'

const channels = new Map()

function channelOf(id) {
  let channel = channels.get(id)
  if (channel === undefined) {
    channel = createChannel()
    channels.set(id, channel)
  }
  return channel
}

const app = express()
app.get('/c/:id', async (req, res) => {
  const session = await createSession(req, res)
  channelOf(req.params.id).register(session)
})

export const server = createServer(app)

export function publish(channel, data) {
  channelOf(String(channel)).broadcast(data, 'message')
}
