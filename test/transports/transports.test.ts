import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
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
import { http1BySecureTransport, http2CleartextTransport, http2SecureTransport } from './http2.js'
import { koaTransport } from './koa.js'
import { nextBuiltTransport, nextDevelopmentTransport } from './next.js'
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
  nextBuiltTransport,
  nextDevelopmentTransport,
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

test('the table in README.md says what was found', () => {
  const found = table.toString()
  if (process.env.UPDATE_TABLE) writeFileSync(join(__dirname, 'table.md'), found)
  else expect(tableIn(readFileSync(join(__dirname, '../../README.md'), 'utf8'))).toBe(found)
})
