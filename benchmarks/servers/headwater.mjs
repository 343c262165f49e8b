// As in the README of headwater: ids, log, keep-alive and limits at their defaults.

import { createServer } from 'node:http'
import express from 'express'

const { EventStream } = await import(process.env.HEADWATER ?? '../../dist/index.js')
const eventStream = new EventStream()
const app = express()
app.get('/c/:id', eventStream('c{id}'))

export const server = createServer(app)

export function publish(channel, data) {
  return eventStream.publishEvent(`c${channel}`, { data })
}
