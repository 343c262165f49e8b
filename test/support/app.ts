import { afterEach } from '@jest/globals'
import express from 'express'
import { EventStream, type EventStreamOptions } from '../../src/index.js'
import { startServer } from './server.js'
import { type ClientOptions, connect } from './sse-client.js'

const streams: EventStream[] = []

/** An Express app with an event stream, which both end with the test. */
export function setUp(options: EventStreamOptions = {}) {
  const eventStream = new EventStream(options)
  streams.push(eventStream)
  const app = express()
  // Express then does not print the errors that tests provoke.
  app.set('env', 'test')
  /** What went to `next`. */
  const errors: unknown[] = []
  const serve = async () => {
    app.use((error: unknown, _req: unknown, _res: unknown, next: (error: unknown) => void) => {
      errors.push(error)
      next(error)
    })
    const { url } = await startServer(app)
    return (path: string, client?: ClientOptions) => connect(`${url}${path}`, client)
  }
  return { eventStream, app, errors, serve }
}

afterEach(async () => {
  for (const eventStream of streams.splice(0)) await eventStream.close({ graceMs: 0 })
})
