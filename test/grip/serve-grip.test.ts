import { randomUUID } from 'node:crypto'
import type { GripInstruct } from '@fanoutio/grip'
import { type IResponseGrip, ServeGrip } from '@fanoutio/serve-grip'
import { expect, test } from '@jest/globals'
import type { RequestHandler } from 'express'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { signHs256 } from '../support/grip-signature.js'
import { gripHeadersOf } from '../support/played-proxy.js'
import { until } from '../support/until.js'

const unique = () => randomUUID().slice(0, 8)

describeWithPushpin('in an application that uses serve-grip', () => {
  const grip = usePushpin()

  /** Its middleware before our routes, as its documentation has it. */
  function setUp() {
    const { app, ...rest } = grip.setUp({ gripPollMs: 1000 })
    const serveGrip = new ServeGrip({ grip: grip.pushpin.gripUrl, prefix: 'theirs-' })
    app.use(serveGrip as unknown as RequestHandler)
    app.get(
      '/events/:ids',
      rest.eventStream((req) => String(Object(req.params).ids).split(',')),
    )
    app.get('/theirs/:id', (req, res) => {
      const { grip } = res as unknown as { readonly grip: IResponseGrip }
      const instruct: GripInstruct = grip.startInstruct()
      instruct.addChannel(req.params.id)
      instruct.setHoldStream()
      res.type('text/event-stream').send('event: theirs\ndata: 0\n\n')
    })
    return { app, serveGrip, ...rest }
  }

  test('a stream opens, gets what is published, and resumes', async () => {
    const { eventStream, connect } = setUp()
    const channel = unique()
    const client = await (await connect(`/events/${channel}`)).opened()
    for (const data of [1, 2]) await eventStream.publishEvent(channel, { data })
    await client.received(2)
    client.destroy()
    await eventStream.publishEvent(channel, { data: 3 })
    const { lastEventId } = client
    const next = await connect(`/events/${channel}`, { lastEventId })
    await next.opened()
    await eventStream.publishEvent(channel, { data: 4 })
    await next.received(2)
    expect([client.data, next.data]).toEqual([
      [1, 2],
      [3, 4],
    ])
  })

  test('several channels do too, and a link is answered', async () => {
    const { eventStream, connect } = setUp()
    const [a, b] = [`a-${unique()}`, `b-${unique()}`]
    const client = await (await connect(`/events/${a},${b}`)).opened()
    await eventStream.publishEvent(a, { data: '50%' })
    await eventStream.publishEvent(b, { data: 2 })
    await client.received(2)
    await until(() => grip.links.length > 0)
    await eventStream.publishEvent(a, { data: 3 })
    await client.received(3)
    expect([client.data, client.ended]).toEqual([['50%', 2, 3], false])
    const next = await connect(`/events/${a},${b}`, { lastEventId: client.events[0]?.id })
    await next.received(2)
    expect(next.data).toEqual([3, 2])
  })

  test('a forged signature, which serve-grip takes, is refused by our routes', async () => {
    const { direct } = setUp()
    for (const signature of ['garbage', signHs256('wrong')]) {
      const headers = { 'Grip-Sig': signature }
      const theirs = await direct('/theirs/a', { headers })
      expect([theirs.status, theirs.headers['grip-channel']]).toEqual([200, 'theirs-a'])
      const ours = await direct('/events/a', { headers })
      expect([ours.status, gripHeadersOf(ours)]).toEqual([403, []])
    }
  })

  test('its own routes and channels work beside ours, of the same name', async () => {
    const { eventStream, serveGrip, connect, errors } = setUp()
    const channel = unique()
    const [theirs, ours] = await Promise.all([
      connect(`/theirs/${channel}`),
      connect(`/events/${channel}`),
    ])
    await Promise.all([theirs.received(1), ours.opened()])
    const publisher = serveGrip.getPublisher()
    // What the origin has answered comes before what is published does.
    await until(async () => {
      await publisher.publishHttpStream(channel, ': held\n')
      return theirs.text.includes(': held')
    })
    await publisher.publishHttpStream(channel, 'event: theirs\ndata: 1\n\n')
    await eventStream.publishEvent(channel, { event: 'ours', data: 2 })
    await Promise.all([theirs.received(2), ours.received(1)])
    const text = ({ events }: typeof ours) => events.map(({ event, data }) => `${event} ${data}`)
    expect([text(theirs), text(ours), errors]).toEqual([['theirs 0', 'theirs 1'], ['ours 2'], []])
  })

  test('clients that have not come through the proxy are served directly', async () => {
    const { eventStream, direct } = setUp()
    const client = await (await direct('/events/a')).opened()
    await eventStream.publishEvent('a', { data: 1 })
    await client.received(1)
    expect([client.data, gripHeadersOf(client)]).toEqual([[1], []])
  })
})
