// As in the README of headwater, with its events in Redis.

import { createServer } from 'node:http'
import express from 'express'

const { EventStream } = await import(process.env.HEADWATER ?? '../../dist/index.js')
const eventStream = new EventStream({ redis: process.env.REDIS_URL })
await eventStream.ready()
const app = express()
app.get('/c/:id', eventStream('c{id}'))

export const server = createServer(app)

export function publish(channel, data) {
  return eventStream.publishEvent(`c${channel}`, { data })
}
