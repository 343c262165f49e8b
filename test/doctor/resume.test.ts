import { request } from 'node:http'
import { expect, test } from '@jest/globals'
import { EventStream } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { bad, begin, look } from './look.js'

/** A proxy that takes away what it is told to, in front of a server with an event stream. */
async function startBehindProxy(takes: { readonly header?: boolean; readonly query?: boolean }) {
  const { app, eventStream } = setUp()
  app.get('/events', eventStream('a'))
  const server = await startServer(app)
  const proxy = await startServer((req, res) => {
    const headers = { ...req.headers }
    if (takes.header) delete headers['last-event-id']
    const path = takes.query ? (req.url as string).replace(/\?.*/, '') : req.url
    const passed = request(`${server.url}${path}`, { headers, agent: false }, (response) => {
      res.writeHead(response.statusCode as number, response.headers).flushHeaders()
      response.pipe(res)
    })
    res.on('close', () => passed.destroy())
    passed.on('error', () => res.destroy())
    passed.end()
  })
  return `${proxy.url}/events`
}

test('tells of a proxy that takes Last-Event-ID away, also when nothing is published', async () => {
  const findings = await look(await startBehindProxy({ header: true }), { seconds: 2 })
  expect(bad(findings)).toEqual({ 'last-event-id': 'problem' })
  expect(findings.resume?.level).toBe('ok')
})

test('tells of a proxy that takes the query away', async () => {
  const findings = await look(await startBehindProxy({ query: true }), { seconds: 2 })
  expect(bad(findings)).toEqual({ 'lasteventid=': 'warning' })
})

test('tells of a proxy that takes both away', async () => {
  const findings = await look(await startBehindProxy({ header: true, query: true }), { seconds: 2 })
  expect(bad(findings)).toEqual({ 'last-event-id': 'problem', 'lasteventid=': 'warning' })
  expect(findings.resume).toBeUndefined()
})

test('tells of processes that have a log each', async () => {
  const processes = [new EventStream(), new EventStream()]
  const handlers = processes.map((eventStream) => eventStream('a'))
  const { url } = await startServer((req, res) => {
    // The first request goes to one of them, and whoever comes back to the other.
    const isBack = req.headers['last-event-id'] !== undefined
    void handlers[isBack ? 1 : 0]?.(req, res)
  })
  expect((await look(url, { seconds: 2 })).resume).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/another process, with a log of its own/),
  })
  for (const eventStream of processes) await eventStream.close({ graceMs: 0 })
})

test('says what can be known of the ids of another server', async () => {
  const { url } = await startServer((_req, res) => void begin(res))
  expect((await look(url)).ids?.what).toMatch(/cannot be seen from outside/)
})

test('tells of events without ids', async () => {
  const { url } = await startServer((_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.write('data: 1\n\n')
  })
  expect((await look(url)).ids).toMatchObject({
    level: 'warning',
    what: expect.stringMatching(/have no id/),
  })
})
