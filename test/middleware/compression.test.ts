import { describe, expect, test } from '@jest/globals'
import compression from 'compression'
import { setUp } from '../support/app.js'
import { until } from '../support/until.js'

describe('behind compression', () => {
  test('events arrive at once, uncompressed', async () => {
    const { eventStream, app, serve } = setUp()
    app.use(compression({ threshold: 0 }))
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events', { headers: { 'Accept-Encoding': 'gzip' } })
    await client.opened()
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    expect(client.headers['content-encoding']).toBeUndefined()
  })

  test('events arrive at once where the application lets them be compressed', async () => {
    const { eventStream, app, serve } = setUp()
    app.use(compression({ threshold: 0, filter: () => true }))
    app.use((_req, res, next) => {
      res.setHeader('Cache-Control', 'no-cache')
      next()
    })
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events', { headers: { 'Accept-Encoding': 'gzip' } })
    expect(client.headers['content-encoding']).toBe('gzip')
    // Compressed bytes come, and keep coming with each event, though nothing ends the response.
    const { length } = client.text
    await eventStream.publishEvent('a', { data: 1 })
    await until(() => client.text.length > length)
    expect(client.ended).toBe(false)
  })
})
