// As in the README of headwater, with a GRIP proxy; its events are in Redis where there is one.

import { createServer } from 'node:http'
import express from 'express'

const { EventStream } = await import(process.env.HEADWATER ?? '../../dist/index.js')
const { GRIP_URL, REDIS_URL, MAX_CHANNELS } = process.env
const eventStream = new EventStream({
  grip: GRIP_URL,
  gripLinkPath: '/links',
  redis: REDIS_URL,
  maxChannelsPerConnection: MAX_CHANNELS && Number(MAX_CHANNELS),
})
await eventStream.ready()
const app = express()
app.get('/links', eventStream.linkHandler())
app.get('/c/:id', eventStream('c{id}'))

/** Requests by which the proxy asks for what its clients have not got. */
export const counts = { links: 0 }

export const server = createServer((req, res) => {
  if (req.headers['grip-last'] !== undefined) counts.links += 1
  app(req, res)
})

export function publish(channel, data) {
  return eventStream.publishEvent(`c${channel}`, { data })
}
