import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { connect } from '../support/sse-client.js'
import { behaviours } from './behaviours.js'
import {
  afterHeadTransport,
  compressionTransport,
  connectTransport,
  express4Transport,
  express5Transport,
  postTransport,
} from './express.js'
import { fastifyTransport } from './fastify.js'
import { h3Transport } from './h3.js'
import { honoTransport, webOnNodeTransport } from './hono.js'
import { http1BySecureTransport, http2CleartextTransport, http2SecureTransport } from './http2.js'
import { koaTransport } from './koa.js'
import { nestExpressTransport, nestFastifyTransport } from './nest.js'
import { nextTransports, startNext, stopNext } from './next.js'
import { nodeHttpTransport } from './node-http.js'
import { ResultTable, tableIn } from './table.js'
import type { Scene, Transport } from './transport.js'

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
  nestExpressTransport,
  nestFastifyTransport,
  h3Transport,
  honoTransport,
  webOnNodeTransport,
  ...nextTransports,
]

const table = new ResultTable(
  transports.map(({ name }) => name),
  behaviours.map(({ name }) => name),
)

describe.each(transports)('$name', (transport) => {
  let scene: Scene | undefined

  beforeAll(async () => transport.start?.(), 120_000)

  afterEach(async () => {
    await scene?.close()
    scene = undefined
  })

  afterAll(async () => transport.stop?.())

  test.each(behaviours)('$name', async ({ name, check }) => {
    await table.decide(transport.name, name, async () => {
      scene = await transport.openScene()
      await check(scene)
    })
  })
})

afterAll(stopNext)

test('an app route of Next.js serves a stream with one source, and who comes back goes on', async () => {
  const url = `${await startNext()}/answers/a`
  const first = await connect(url)
  await first.received(1)
  first.destroy()
  await fetch(url, { method: 'PUT' })
  const second = await connect(url, { lastEventId: first.lastEventId })
  await second.end()
  const third = await connect(url, { lastEventId: second.lastEventId })
  const unknown = await connect(`${url}b`, { lastEventId: first.lastEventId })
  await unknown.end()
  expect([first.data, second.data, third.status]).toEqual([['one'], ['two'], 204])
  expect(second.control.map(({ event }) => event)).toEqual(['stream-open', 'stream-end'])
  expect([unknown.status, unknown.text]).toEqual([404, expect.stringContaining('no stream')])
}, 120_000)

test('the table in README.md says what was found', () => {
  const found = table.toString()
  if (process.env.UPDATE_TABLE) writeFileSync(join(__dirname, 'table.md'), found)
  else expect(tableIn(readFileSync(join(__dirname, '../../README.md'), 'utf8'))).toBe(found)
})
