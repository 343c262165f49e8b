import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { afterEach, describe, expect, test } from '@jest/globals'
import { Hono } from 'hono'
import { EventStream } from '../../src/index.js'
import { Faucet } from '../support/faucet.js'
import { connect } from '../support/sse-client.js'
import { until } from '../support/until.js'

const closers: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** A Hono app on a real port, that serves one stream per id. */
async function setUp() {
  const eventStream = new EventStream()
  const sources = new Map<string, Faucet<string>>()
  const app = new Hono()
  app.get('/answers/:id', (c) =>
    eventStream.streams.fetch(c.req.raw, c.req.param('id'), ({ id }) => {
      const source = new Faucet<string>()
      sources.set(id, source)
      return source
    }),
  )
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  closers.push(async () => {
    await eventStream.close({ graceMs: 0 })
    server.close()
  })
  if (!server.listening) await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const get = (path: string, options?: Parameters<typeof connect>[1]) =>
    connect(`http://127.0.0.1:${port}${path}`, options)
  return { eventStream, sources, get }
}

describe('streams served by Hono', () => {
  test('are received as they come, and gone on with', async () => {
    const { get, sources } = await setUp()
    const client = await get('/answers/a')
    sources.get('a')?.give('1', '2')
    const [{ id } = { id: '' }] = await client.received(2)
    client.destroy()
    const back = await get('/answers/a', { lastEventId: id })
    sources.get('a')?.give('3')
    await back.received(2)
    sources.get('a')?.end()
    await back.end()
    expect(back.data).toEqual(['2', '3'])
    expect((await get('/answers/a', { lastEventId: back.lastEventId })).status).toBe(204)
  })

  test('leave nothing of a client that has gone, and bound what one costs that does not read', async () => {
    const { get, sources, eventStream } = await setUp()
    const gone = await get('/answers/a')
    gone.destroy()
    await until(() => eventStream.connections().length === 0)
    const slow = await get('/answers/a', { paused: true })
    const source = sources.get('a') as Faucet<string>
    for (let n = 0; n < 200; n++) source.give('x'.repeat(100_000))
    source.end()
    await until(() => eventStream.connections()[0]?.state === 'behind')
    expect(eventStream.connections()[0]?.queuedBytes).toBeLessThan(2_000_000)
    slow.resume()
    await slow.end()
    expect(slow.data).toHaveLength(200)
  })
})
