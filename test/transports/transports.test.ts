import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { EventStream, memoryEventLog } from '../../src/index.js'
import { countFollowers } from '../support/wrap-log.js'
import { behaviours, maxQueueBytes, routes, type Scene } from './behaviours.js'
import {
  afterHeadTransport,
  compressionTransport,
  connectTransport,
  express4Transport,
  express5Transport,
  postTransport,
} from './express.js'
import { fastifyTransport } from './fastify.js'
import { http1BySecureTransport, http2CleartextTransport, http2SecureTransport } from './http2.js'
import { koaTransport } from './koa.js'
import { nodeHttpTransport } from './node-http.js'
import { ResultTable, tableIn } from './table.js'
import type { Transport } from './transport.js'

const transports: readonly Transport[] = [
  express5Transport,
  compressionTransport,
  postTransport,
  afterHeadTransport,
  express4Transport,
  connectTransport,
  nodeHttpTransport,
  http2CleartextTransport,
  http2SecureTransport,
  http1BySecureTransport,
  fastifyTransport,
  koaTransport,
]

const table = new ResultTable(
  transports.map(({ name }) => name),
  behaviours.map(({ name }) => name),
)

const closers: (() => Promise<void>)[] = []

async function setScene(transport: Transport): Promise<Scene> {
  const inner = memoryEventLog({ maxEvents: 10_000, maxBytes: 100_000_000 })
  const { log, counts } = countFollowers(inner)
  const eventStream = new EventStream({ log, maxQueueBytes })
  const served = await transport.serve(eventStream, routes)
  closers.push(async () => {
    await eventStream.close({ graceMs: 0 })
    await served.close()
    await inner.close()
  })
  return { ...served, eventStream, counts }
}

afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

describe.each(transports)('$name', (transport) => {
  test.each(behaviours)('$name', async ({ name, check }) => {
    await table.decide(transport.name, name, async () => check(await setScene(transport)))
  })
})

test('the table in README.md says what was found', () => {
  const found = table.toString()
  if (process.env.UPDATE_TABLE) writeFileSync(join(__dirname, 'table.md'), found)
  else expect(tableIn(readFileSync(join(__dirname, '../../README.md'), 'utf8'))).toBe(found)
})
