// Tries an event stream beside middleware of other packages, and writes what it finds into docs/middleware.md.
//
//   npm run compatibility -- [--only morgan]
//
// It fails when what is found is not what the page says.

import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import express from 'express'
import { EventStream } from '../dist/index.js'
import { behaviours } from './behaviours.mjs'
import { middleware } from './middleware.mjs'

const { values } = parseArgs({ options: { only: { type: 'string' } } })
const keepAliveMs = 50
const page = new URL('../docs/middleware.md', import.meta.url)
const marks = /(?<=<!-- middleware -->\n).*(?=<!-- \/middleware -->)/s

/** What express-timeout-handler and others print belongs to them. */
process.on('warning', () => undefined)

async function tryOne(make, check) {
  const errors = []
  const eventStream = new EventStream({
    redis: false,
    keepAliveMs,
    stallTimeoutMs: 400,
    onError: (error) => errors.push(error),
  })
  const app = express()
  let closed = 0
  app.use(make())
  const onClose = () => {
    closed += 1
  }
  app.all('/events', eventStream('a', { onClose }))
  app.get('/forbidden', eventStream('a', { authorize: () => false }))
  app.use((error, _req, res, _next) => res.status(error.status ?? 500).send(error.message))
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = `http://127.0.0.1:${server.address().port}`
  try {
    await check({
      url: `${address}/events`,
      forbidden: `${address}/forbidden`,
      keepAliveMs,
      server,
      publish: (data) => eventStream.publishEvent('a', { data }),
      closed: () => closed,
      count: () => eventStream.connections().length,
      close: () => eventStream.close({ graceMs: 1000 }),
    })
  } finally {
    await eventStream.close({ graceMs: 0 })
    server.closeAllConnections()
    server.close()
  }
  if (errors.length > 0) throw errors[0]
}

const columns = Object.keys(behaviours)
const rows = []
for (const [name, make] of Object.entries(middleware)) {
  if (values.only !== undefined && values.only !== name) continue
  const cells = []
  for (const check of Object.values(behaviours)) {
    cells.push(
      await tryOne(make, check).then(
        () => '✓',
        (error) => error.message.split('\n')[0],
      ),
    )
  }
  console.error(`${name}: ${cells.join(' | ')}`)
  rows.push([name, ...cells])
}
const lines = [['', ...columns], ['---', ...columns.map(() => ':-:')], ...rows]
const table = lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
if (values.only === undefined) {
  const text = readFileSync(page, 'utf8')
  const found = text.replace(marks, () => `\n${table}\n`)
  writeFileSync(page, found)
  if (found !== text) process.exitCode = 1
}
// Some packages have timers of their own.
process.exit()
