// As in the README of @fanoutio/eventstream, with a GRIP proxy.

import { createServer } from 'node:http'
import { EventStream } from '@fanoutio/eventstream'
import express from 'express'

const eventStream = new EventStream({ grip: process.env.GRIP_URL })
const app = express()
app.get('/c/:id', eventStream('{id}'))

export const server = createServer(app)

export function publish(channel, data) {
  return eventStream.publishEvent(String(channel), { event: 'message', data })
}
