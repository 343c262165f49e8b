import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { EventStreamError, type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { Faucet } from '../support/faucet.js'
import { usePushpin } from '../support/grip.js'
import { ownStreamLog } from '../support/own-stream-log.js'
import { until } from '../support/until.js'

describeWithPushpin('a stream with one source, behind Pushpin,', () => {
  const grip = usePushpin()

  const begin = async (options: EventStreamOptions = {}) => {
    const { eventStream, app, connect, errors } = grip.setUp(options)
    app.get('/events/:id', eventStream('{id}', { startFrom: 'earliest' }))
    app.get('/following/:id', eventStream.streams.handler('{id}'))
    const answers = eventStream.streams.handler('{id}', (_req, { id }) => {
      const source = new Faucet<string>()
      sources.set(id, source)
      return source
    })
    const sources = new Map<string, Faucet<string>>()
    app.get('/answers/:id', answers)
    app.post('/answers/:id', answers)
    return { eventStream, connect, errors, sources, id: randomUUID().slice(0, 8) }
  }

  test('reaches clients that follow it and are held, whose connections end with it', async () => {
    const { eventStream, connect, errors, id } = await begin()
    const source = new Faucet<string>()
    expect((await connect(`/following/${id}`)).status).toBe(404)
    await eventStream.streams.create(id, source)
    source.give('a')
    const client = await connect(`/following/${id}`)
    await client.received(1)
    expect(eventStream.connections()).toEqual([])
    source.give('b', 'c')
    await client.received(3)
    source.end()
    await until(() => client.control.some(({ event }) => event === 'stream-end'))
    await client.end()
    expect(client.data).toEqual(['a', 'b', 'c'])
    const back = await connect(`/following/${id}`, { lastEventId: client.lastEventId })
    expect(back.status).toBe(204)
    const late = await connect(`/following/${id}`)
    await late.end()
    expect(late.data).toEqual(['a', 'b', 'c'])
    expect(errors).toEqual([])
  })

  test('reaches whoever asked for it, who is held and comes back to where he was', async () => {
    const { eventStream, connect, sources, errors, id } = await begin()
    const client = await (await connect(`/answers/${id}`)).opened()
    expect(eventStream.connections()).toEqual([])
    sources.get(id)?.give('a', 'b')
    const [{ id: position } = { id: '' }] = await client.received(2)
    client.destroy()
    sources.get(id)?.give('c')
    const back = await connect(`/answers/${id}`, { lastEventId: position })
    await back.received(2)
    sources.get(id)?.give('d')
    sources.get(id)?.end()
    await back.end()
    expect(back.data).toEqual(['b', 'c', 'd'])
    expect((await connect(`/answers/${id}`, { lastEventId: back.lastEventId })).status).toBe(204)
    expect(errors).toEqual([])
  })

  test('is passed on as it comes to who creates it by a POST, as links come by GET', async () => {
    const { eventStream, connect, sources, errors, id } = await begin()
    const client = await (await connect(`/answers/${id}`, { method: 'POST' })).opened()
    expect(eventStream.connections()).toHaveLength(1)
    sources.get(id)?.give('a')
    sources.get(id)?.end()
    await client.end()
    expect([client.data, errors, grip.links]).toEqual([['a'], [], []])
  })

  test('goes on for who was passed what the log had not got yet, here or in another process', async () => {
    const log = memoryEventLog()
    const streams = { flushMs: 1000 }
    const { connect, sources, errors, id } = await begin({ log, streams })
    const creator = await (await connect(`/answers/${id}`, { method: 'POST' })).opened()
    sources.get(id)?.give('a')
    await creator.received(1)
    await sleep(50)
    sources.get(id)?.give('b')
    await creator.received(2)
    creator.destroy()
    const { lastEventId } = creator
    const here = connect(`/following/${id}`, { lastEventId })
    await sleep(200)
    const other = await begin({ log, streams })
    const there = other.connect(`/following/${id}`, { lastEventId })
    await sleep(200)
    sources.get(id)?.give('c')
    sources.get(id)?.end()
    for (const client of await Promise.all([here, there])) {
      await client.end()
      expect(client.data).toEqual(['c'])
      expect(client.control.map(({ event }) => event)).toEqual(['stream-open', 'stream-end'])
    }
    expect([...errors, ...other.errors]).toEqual([])
    await log.close()
  })

  test.each(['1718000000000-0', '1718000000000-7', '2-0', '0-0'])(
    'tells who comes with the position %s that it is none of this one',
    async (lastEventId) => {
      const { connect, sources, id } = await begin()
      const client = await (await connect(`/answers/${id}`)).opened()
      sources.get(id)?.give('a', 'b')
      await client.received(2)
      const lost = await connect(`/following/${id}`, { lastEventId })
      await until(() => lost.control.some(({ event }) => event === 'stream-reset'))
      expect(lost.status).toBe(200)
      sources.get(id)?.end()
      await Promise.all([client.end(), lost.end()])
      const late = await connect(`/following/${id}`, { lastEventId })
      await late.end()
      expect(late.control.map(({ event }) => event)).toEqual([
        'stream-open',
        'stream-reset',
        'stream-end',
      ])
      const back = await connect(`/following/${id}`, { lastEventId: late.lastEventId })
      expect(back.status).toBe(204)
    },
  )

  test('is passed on while only this process has it, as the log was away when it began', async () => {
    const away = new EventStreamError('ERR_LOG_UNAVAILABLE', 'away')
    const { log } = ownStreamLog(() => ({ claim: async () => Promise.reject(away) }))
    const { eventStream, connect, sources, errors, id } = await begin({ log })
    const client = await (await connect(`/answers/${id}`)).opened()
    sources.get(id)?.give('a')
    await client.received(1)
    expect(eventStream.connections()).toHaveLength(1)
    const second = await connect(`/answers/${id}`)
    sources.get(id)?.end()
    await Promise.all([client.end(), second.end()])
    expect([client.data, second.data, sources.size]).toEqual([['a'], ['a'], 1])
    expect([client, second].map(({ control }) => control.map(({ event }) => event))).toEqual([
      ['stream-open', 'stream-end'],
      ['stream-open', 'stream-end'],
    ])
    expect(errors).toEqual([away])
    await eventStream.close({ graceMs: 0 })
    await log.close()
  })

  test('and a channel of the same name never meet', async () => {
    const { eventStream, connect, sources, errors, id } = await begin()
    const listener = await (await connect(`/events/${id}`)).opened()
    const reader = await (await connect(`/answers/${id}`)).opened()
    sources.get(id)?.give('of the stream')
    await eventStream.publishEvent(id, { data: 'of the channel' })
    await Promise.all([listener.received(1), reader.received(1)])
    await eventStream.streams.kick(id)
    await reader.end()
    const again = await (await connect(`/following/${id}`)).received(1)
    sources.get(id)?.end()
    await until(async () => (await eventStream.streams.status(id))?.state === 'completed')
    await eventStream.publishEvent(id, { data: 'still open' })
    await listener.received(2)
    expect(listener.data).toEqual(['of the channel', 'still open'])
    expect(listener.control.map(({ event }) => event)).toEqual(['stream-open'])
    expect([listener.ended, reader.data, again.map(({ data }) => data)]).toEqual([
      false,
      ['of the stream'],
      ['"of the stream"'],
    ])
    await eventStream.kick(({ kind, channels }) => kind === 'channels' && channels[0] === id)
    await listener.end()
    expect(errors).toEqual([])
  })
})
