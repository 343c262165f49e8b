import { getRequestListener } from '@hono/node-server'
import { expect, test } from '@jest/globals'
import { fetchHandler } from '../../src/fetch.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { until } from '../support/until.js'

describeWithPushpin('a Web request that came through Pushpin', () => {
  const grip = usePushpin()

  test('is answered by this process, passed on as it comes, and resumed', async () => {
    const { eventStream, app, connect, errors } = grip.setUp()
    app.get('/news', (req, res, next) => {
      getRequestListener(fetchHandler(eventStream, 'news'))(req, res).catch(next)
    })
    const client = await (await connect('/news')).opened()
    expect(eventStream.connections()).toMatchObject([{ channels: ['news'], state: 'live' }])
    await eventStream.publishEvent('news', { data: 1 })
    await client.received(1)
    client.destroy()
    await until(() => eventStream.connections().length === 0)
    await eventStream.publishEvent('news', { data: 2 })
    const back = await connect('/news', { lastEventId: client.lastEventId })
    await back.received(1)
    expect([client.data, back.data, grip.links, errors]).toEqual([[1], [2], [], []])
  })
})
