import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { Faucet } from '../support/faucet.js'
import { usePushpin } from '../support/grip.js'
import { until } from '../support/until.js'

describeWithPushpin('a stream with one source, behind Pushpin,', () => {
  const grip = usePushpin()

  const begin = async () => {
    const { eventStream, app, connect, errors } = grip.setUp()
    app.get('/events/:id', eventStream('{id}', { startFrom: 'earliest' }))
    const answers = eventStream.streams.handler('{id}', (_req, { id }) => {
      const source = new Faucet<string>()
      sources.set(id, source)
      return source
    })
    const sources = new Map<string, Faucet<string>>()
    app.get('/answers/:id', answers)
    return { eventStream, connect, errors, sources, id: randomUUID().slice(0, 8) }
  }

  test('reaches clients that are held, whose streams end with it', async () => {
    const { eventStream, connect, errors, id } = await begin()
    const source = new Faucet<string>()
    const client = await (await connect(`/events/${id}`)).opened()
    await eventStream.streams.create(id, source)
    source.give('a', 'b')
    await client.received(2)
    source.give('c')
    source.end()
    await until(() => client.control.some(({ event }) => event === 'stream-end'))
    await client.end()
    expect(client.data).toEqual(['a', 'b', 'c'])
    const back = await connect(`/events/${id}`, { lastEventId: client.lastEventId })
    expect(back.status).toBe(204)
    const late = await connect(`/events/${id}`)
    await late.end()
    expect(late.data).toEqual(['a', 'b', 'c'])
    expect(errors).toEqual([])
  })

  test('is passed on as it comes to whoever asked for it, and resumed', async () => {
    const { connect, sources, id } = await begin()
    const client = await connect(`/answers/${id}`)
    sources.get(id)?.give('a', 'b')
    const [{ id: position } = { id: '' }] = await client.received(2)
    client.destroy()
    const back = await connect(`/answers/${id}`, { lastEventId: position })
    sources.get(id)?.give('c')
    sources.get(id)?.end()
    await back.end()
    expect(back.data).toEqual(['b', 'c'])
    expect((await connect(`/answers/${id}`, { lastEventId: back.lastEventId })).status).toBe(204)
  })
})
