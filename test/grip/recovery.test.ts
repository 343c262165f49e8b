import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import express from 'express'
import { memoryEventLog } from '../../src/index.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { connect as request } from '../support/sse-client.js'
import { until } from '../support/until.js'

const newName = () => randomUUID().slice(0, 8)

/** Appends as a process does that ends before it has told the proxy. */
async function appendUntold(log: ReturnType<typeof memoryEventLog>, channel: string, data: number) {
  await log.append(channel, [{ data: String(data) }])
}

describeWithPushpin('a client held by Pushpin, which was not told of an event,', () => {
  const grip = usePushpin()

  test('has it with the next one, once and in order', async () => {
    const log = memoryEventLog()
    const { eventStream, app, connect } = grip.setUp({ log })
    const channel = newName()
    app.get('/events', eventStream(channel))
    const client = await (await connect('/events')).opened()
    for (const n of [1, 2, 3]) await appendUntold(log, channel, n)
    await eventStream.publishEvent(channel, { data: 4 })
    await client.received(4)
    await eventStream.publishEvent(channel, { data: 5 })
    await client.received(5)
    expect(client.data).toEqual([1, 2, 3, 4, 5])
    expect(client.lastEventId).toMatch(/^5-/)
  })

  test('has it without a next one, when the proxy asks by itself', async () => {
    const log = memoryEventLog()
    const { eventStream, app, connect } = grip.setUp({ log, gripPollMs: 1000 })
    const channels = [newName(), newName()]
    app.get('/events', eventStream(channels))
    const client = await (await connect('/events')).opened()
    await appendUntold(log, channels[1] as string, 1)
    await client.received(1)
    await appendUntold(log, channels[0] as string, 2)
    await client.received(2)
    expect(client.data).toEqual([1, 2])
  })

  test('is told that it cannot have it, when the log has it no more', async () => {
    const log = memoryEventLog({ maxEvents: 2 })
    const { eventStream, app, connect } = grip.setUp({ log })
    const channel = newName()
    app.get('/events', eventStream(channel))
    const client = await (await connect('/events')).opened()
    for (const n of [1, 2, 3]) await appendUntold(log, channel, n)
    await eventStream.publishEvent(channel, { data: 4 })
    await until(() => client.control.length === 2)
    await eventStream.publishEvent(channel, { data: 5 })
    await client.received(1)
    expect(client.control[1]).toMatchObject({
      event: 'stream-reset',
      data: JSON.stringify({ channels: [channel], reason: 'trimmed' }),
    })
    expect(client.data).toEqual([5])
  })

  test('costs one request for all of a channel, at the same link', async () => {
    const log = memoryEventLog()
    const { eventStream, app, connect } = grip.setUp({ log })
    const channel = newName()
    app.get('/events', eventStream(channel))
    const clients = await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        connect(`/events?n=${n}`, { headers: { Cookie: `user=${n}` } }),
      ),
    )
    await Promise.all(clients.map((client) => client.opened()))
    await until(() => grip.requests.length >= 60)
    const before = grip.links.length
    await appendUntold(log, channel, 1)
    await eventStream.publishEvent(channel, { data: 2 })
    await Promise.all(clients.map((client) => client.received(2)))
    expect(clients.map(({ data }) => data)).toEqual(clients.map(() => [1, 2]))
    expect(grip.links.length - before).toBeLessThanOrEqual(6)
    expect(new Set(grip.links.map(({ url }) => url)).size).toBe(1)
  })

  test('does not wait for others, however many channels they listen to', async () => {
    const { eventStream, app, connect } = grip.setUp({ gripPollMs: 1000, gripLinkPath: '/links' })
    app.get('/links', eventStream.linkHandler())
    app.get('/events/:id', eventStream('{id}'))
    const channels = Array.from({ length: 300 }, newName)
    const clients: Awaited<ReturnType<typeof connect>>[] = []
    // Of more at once, Pushpin refuses some.
    for (let i = 0; i < channels.length; i += 50) {
      const names = channels.slice(i, i + 50)
      clients.push(...(await Promise.all(names.map((name) => connect(`/events/${name}`)))))
    }
    for (const round of [1, 2, 3]) {
      const before = grip.links.length
      await until(() => grip.links.length >= before + channels.length)
      await Promise.all(channels.map((name) => eventStream.publishEvent(name, { data: round })))
      await Promise.all(clients.map((client) => client.received(round)))
    }
    expect(clients.map(({ data }) => data)).toEqual(channels.map(() => [1, 2, 3]))
    expect(new Set(grip.links.map(({ url }) => url)).size).toBe(1)
  })

  test('has it though the application asks for a cookie, when links have a path of their own', async () => {
    const log = memoryEventLog()
    const { eventStream, app, connect } = grip.setUp({ log, gripLinkPath: '/links' })
    const channel = newName()
    app.get('/links', eventStream.linkHandler())
    app.use(({ headers }, res, next) => {
      if (headers.cookie === 'user=7') next()
      else res.status(401).end()
    })
    app.get('/events', eventStream(channel))
    const client = await connect('/events', { headers: { Cookie: 'user=7' } })
    await client.opened()
    await appendUntold(log, channel, 1)
    await eventStream.publishEvent(channel, { data: 2 })
    await client.received(2)
    const stranger = await connect('/events')
    expect([client.data, stranger.status]).toEqual([[1, 2], 401])
    const links = grip.links.filter(({ headers }) => `${headers['grip-last']}`.includes(channel))
    expect(links.map(({ url, headers }) => [url, headers.cookie])).toEqual(
      links.map(() => ['/links?grip-link=', undefined]),
    )
    expect(links).not.toEqual([])
  })

  test('has it where the stream is in a router that is mounted elsewhere', async () => {
    const log = memoryEventLog()
    const { eventStream, app, connect } = grip.setUp({ log })
    const channel = newName()
    const router = express.Router({ mergeParams: true })
    router.get('/:part', eventStream('{id}-{part}'))
    app.use('/rooms/:id', router)
    const client = await (await connect(`/rooms/${channel}/x%20%C3%BC`)).opened()
    await appendUntold(log, `${channel}-x ü`, 1)
    await eventStream.publishEvent(`${channel}-x ü`, { data: 2 })
    await client.received(2)
    expect(client.data).toEqual([1, 2])
  })
})

describeWithPushpin('a recovery link', () => {
  const grip = usePushpin()

  test('gives nothing to a client, whatever it sends', async () => {
    const log = memoryEventLog()
    const { eventStream, app, connect, direct } = grip.setUp({ log, gripPollMs: 1000 })
    const channel = newName()
    app.get('/events', eventStream(channel, { authorize: (req) => 'x-right' in req.headers }))
    const client = await connect('/events', { headers: { 'X-Right': 'yes' } })
    await client.opened()
    await until(() => grip.links.length > 0)
    const [{ url, headers }] = grip.links as [(typeof grip.links)[0]]
    const forged = { 'Grip-Last': String(headers['grip-last']) }
    await eventStream.publishEvent(channel, { data: 'secret' })
    const thieves = await Promise.all([
      connect(url),
      connect(url, { headers: forged }),
      direct(url, { headers: forged }),
      direct(url, { headers: { ...forged, 'Grip-Sig': 'x' } }),
    ])
    await Promise.all(thieves.map((thief) => thief.end()))
    expect(thieves.map(({ status }) => status)).toEqual([403, 403, 403, 403])
    expect(thieves.map(({ text }) => text).join()).not.toContain('secret')
  })

  test('of another process with another secret ends the stream, whose client goes on', async () => {
    const log = memoryEventLog()
    const before = grip.setUp({ log, gripSecret: 'one', gripPollMs: 1000 })
    const channel = newName()
    before.app.get('/events', before.eventStream(channel, { retryMs: 1 }))
    const client = await (await before.connect('/events')).opened()
    const after = grip.setUp({ log, gripSecret: 'two' })
    after.app.get('/events', after.eventStream(channel))
    await client.end()
    await after.eventStream.publishEvent(channel, { data: 1 })
    const again = await after.connect('/events', { lastEventId: client.lastEventId })
    await again.received(1)
    expect(again.data).toEqual([1])
    expect(after.errors).toMatchObject([
      { code: 'ERR_GRIP_LINK', message: expect.stringContaining('gripSecret') },
    ])
  })
})

describeWithPushpin('behind a Pushpin that takes a part of the path away', () => {
  const grip = usePushpin({ match: '*,path_beg=/api,path_rem=4' })

  test('links have it back', async () => {
    const log = memoryEventLog()
    const { eventStream, app, connect } = grip.setUp({ log, gripBasePath: '/api' })
    const channel = newName()
    app.get('/events', eventStream(channel))
    const client = await (await connect('/api/events')).opened()
    await appendUntold(log, channel, 1)
    await eventStream.publishEvent(channel, { data: 2 })
    await client.received(2)
    expect(client.data).toEqual([1, 2])
    expect(await request(`${grip.pushpin.url}/api/nothing`)).toMatchObject({ status: 404 })
  })
})
