import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { createClient } from 'redis'
import type { OpenStream } from '../../src/index.js'
import { ownerOnly, resilience } from '../../src/resilience.js'
import {
  createPostgresResumableStreamContext,
  createResumableStreamContext,
  type ResumableStreamContext,
} from '../../src/resumable.js'
import { setUp } from '../support/app.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Faucet } from '../support/faucet.js'
import { openLog, type StoreName, type StreamStore, startStore } from '../support/stream-stores.js'
import { until } from '../support/until.js'

describe('a stream and a channel of the same name, in memory,', () => neverMeet('memory'))
describeWithRedis('a stream and a channel of the same name, in Redis,', () => neverMeet('redis'))
describeWithPostgres('a stream and a channel of the same name, in Postgres,', () =>
  neverMeet('postgres'),
)

function neverMeet(name: StoreName | 'memory'): void {
  let store: StreamStore | undefined
  const closers: (() => Promise<void>)[] = []

  beforeAll(async () => {
    if (name !== 'memory') store = await startStore(name)
  })

  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })

  afterAll(() => store?.stop())

  /** An application with routes of both kinds, whose names are the client's choice. */
  async function serve() {
    const log = openLog(name, store?.url ?? '')
    const { app, eventStream, serve, errors } = setUp({ log, onError: () => undefined })
    closers.push(() => eventStream.close({ graceMs: 0 }).then(() => log.close()))
    const faucets = new Map<string, Faucet<string>>()
    const opened: OpenStream[] = []
    app.get('/events/:id', eventStream('{id}', { onOpen: (stream) => opened.push(stream) }))
    app.get('/kept/:id', eventStream('{id}', { startFrom: 'earliest' }))
    app.get(
      '/answers/:id',
      eventStream.streams.handler('{id}', (_req, { id }) => {
        const faucet = new Faucet<string>()
        faucets.set(id, faucet)
        return faucet
      }),
    )
    const following = { onOpen: (stream: OpenStream) => void opened.push(stream) }
    app.get('/following/:id', eventStream.streams.handler('{id}', undefined, following))
    const authorize = ownerOnly(eventStream, ({ headers }) => headers['x-user'] as string)
    app.get('/jobs/:id', eventStream.streams.handler('{id}', undefined, { authorize }))
    const get = await serve()
    const faucet = async (id: string) => {
      await until(() => faucets.has(id))
      return faucets.get(id) as Faucet<string>
    }
    const id = (text: string) => `${text}-${randomUUID().slice(0, 8)}`
    return { log, eventStream, get, faucet, errors, opened, id, ...resilience(eventStream) }
  }

  test('have events of their own, and the end of one is not that of the other', async () => {
    const { eventStream, get, faucet, id } = await serve()
    const news = id('news')
    const listener = await (await get(`/events/${news}`)).opened()
    const stranger = await get(`/answers/${news}?prompt=anything`)
    const source = await faucet(news)
    source.give('the text of a stranger')
    await stranger.received(1)
    await eventStream.publishEvent(news, { data: 'what is new' })
    await listener.received(1)
    source.end()
    await stranger.end()
    const { id: position } = await eventStream.publishEvent(news, { data: 'what is newer' })
    await listener.received(2)
    expect(listener.data).toEqual(['what is new', 'what is newer'])
    expect(listener.control.map(({ event }) => event)).toEqual(['stream-open'])
    expect(stranger.data).toEqual(['the text of a stranger'])
    const back = await get(`/events/${news}`, { lastEventId: position })
    expect([back.status, listener.ended]).toEqual([200, false])
    const all = await get(`/kept/${news}`)
    await all.received(2)
    expect(all.data).toEqual(['what is new', 'what is newer'])
  })

  test('do not take names from one another, whichever comes first', async () => {
    const { eventStream, get, faucet, registry, sendStreamEvent, id } = await serve()
    const [order, job, answer] = [id('order-1001'), id('job-8'), id('a')]
    await get(`/answers/${order}`)
    ;(await faucet(order)).end()
    await until(async () => (await eventStream.streams.status(order))?.state === 'completed')
    await eventStream.publishEvent(order, { data: 'paid' })
    await eventStream.publishEvent(job, { data: 'a channel' })
    expect(await registry.register({ streamId: job, userId: 'ann' })).toBe(true)
    await sendStreamEvent(job, 'done', 8, true)
    await eventStream.publishEvent(job, { data: 'still a channel' })
    await eventStream.publishEvent(answer, { data: 'a channel' })
    expect((await eventStream.streams.create(answer, ['text'])).isNew).toBe(true)
    const [kept, followed] = [await get(`/kept/${job}`), await get(`/following/${job}`)]
    await Promise.all([kept.received(2), followed.end()])
    expect(kept.data).toEqual(['a channel', 'still a channel'])
    expect(followed.data).toEqual([8])
  })

  test('are told apart by requests: a stream that is only a channel is unknown, and can be started', async () => {
    const { eventStream, get, faucet, errors, id } = await serve()
    const room = id('room')
    const { id: position } = await eventStream.publishEvent(room, { data: 1 })
    expect((await get(`/following/${room}`)).status).toBe(404)
    expect((await get(`/answers/${room}`, { lastEventId: position })).status).toBe(404)
    expect(errors).toMatchObject([{ code: 'ERR_STREAM_UNKNOWN' }, { code: 'ERR_STREAM_UNKNOWN' }])
    expect(await eventStream.streams.status(room)).toBeUndefined()
    const client = await get(`/answers/${room}`)
    ;(await faucet(room)).give('text')
    await client.received(1)
    expect(client.data).toEqual(['text'])
  })

  test('are not read by way of one another, past the rights of either', async () => {
    const { eventStream, get, registry, sendStreamEvent, id } = await serve()
    const hers = id('job')
    await registry.register({ streamId: hers, userId: 'ann' })
    const secret = await sendStreamEvent(hers, 'secret', 'for Ann')
    expect((await get(`/jobs/${hers}`, { headers: { 'x-user': 'bob' } })).status).toBe(403)
    const owner = await get(`/jobs/${hers}`, { headers: { 'x-user': 'ann' } })
    await owner.received(1)
    const early = await (await get(`/kept/${hers}`)).opened()
    const after = await (await get(`/events/${hers}`, { lastEventId: secret })).opened()
    await until(() => after.control.length === 2)
    await eventStream.publishEvent(hers, { data: 'for all' })
    await Promise.all([early.received(1), after.received(1)])
    expect([owner.data, early.data, after.data]).toEqual([['for Ann'], ['for all'], ['for all']])
    expect(after.control[1]?.event).toBe('stream-reset')
  })

  test('leave ids to jobs: a route with a source neither reads a job nor takes its place', async () => {
    const { eventStream, get, errors, registry, sendStreamEvent, id } = await serve()
    const [job, over] = [id('job-8'), id('job-9')]
    for (const streamId of [job, over]) await registry.register({ streamId, userId: 'ann' })
    const secret = await sendStreamEvent(job, 'secret', 'for Ann')
    await sendStreamEvent(over, 'secret', 'for Ann', true)
    const exists = { code: 'ERR_STREAM_EXISTS', status: 409 }
    for (const name of [job, over]) {
      const before = `0-${secret.split('-')[1]}`
      expect((await get(`/answers/${name}`)).status).toBe(409)
      expect((await get(`/answers/${name}`, { lastEventId: before })).status).toBe(409)
      for (const start of ['create', 'open'] as const) {
        const starting = eventStream.streams[start](name, ['text'])
        await expect(starting).rejects.toMatchObject(exists)
        await expect(starting).rejects.toThrow(`"${name}" is the id of a job`)
      }
      const request = () => new Request('http://x/')
      const fetching = eventStream.streams.fetch(request(), name, () => ['text'])
      await expect(fetching).rejects.toMatchObject(exists)
      const follower = await get(`/following/${name}`)
      await follower.received(1)
      expect(follower.data).toEqual(['for Ann'])
    }
    expect(errors).toMatchObject([exists, exists, exists, exists])
  })

  test('keep ids from jobs: whoever registers a job is told that a stream with a source has its id', async () => {
    const { get, faucet, registry, sendStreamEvent, id } = await serve()
    const [running, over] = [id('job-8'), id('job-9')]
    for (const name of [running, over]) await get(`/answers/${name}`)
    const [source, ended] = [await faucet(running), await faucet(over)]
    ended.give('text')
    ended.end()
    await (await get(`/following/${over}`)).end()
    for (const streamId of [running, over]) {
      const registering = registry.register({ streamId, userId: 'ann' })
      await expect(registering).rejects.toMatchObject({ code: 'ERR_STREAM_EXISTS' })
      await expect(registering).rejects.toThrow(`"${streamId}" is the id of a stream with a source`)
      expect(await registry.getStream(streamId)).toBeUndefined()
    }
    const sending = sendStreamEvent(running, 'secret', 'for Ann')
    await expect(sending).rejects.toMatchObject({ code: 'ERR_STREAM_PRODUCED' })
    source.end()
  })

  test('are both shown by the name that they were given', async () => {
    const { eventStream, get, faucet, opened, errors, id } = await serve()
    const a = id('a')
    const open = async () => await (await get(`/following/${a}`)).opened()
    await get(`/answers/${a}`)
    const source = await faucet(a)
    const follower = await open()
    await (await get(`/events/${a}`)).opened()
    expect(opened.map(({ channels, kind }) => [channels, kind])).toEqual([
      [[a], 'stream'],
      [[a], 'channels'],
    ])
    expect([eventStream.count(a), eventStream.streams.count(a)]).toEqual([1, 2])
    const lost = await get(`/following/${a}`, { lastEventId: '7-77' })
    await until(() => lost.control.length === 2)
    expect(JSON.parse(lost.control[1]?.data ?? '').channels).toEqual([a])
    await expect(eventStream.streams.create(a, [])).rejects.toThrow(`There is a stream "${a}"`)
    await get('/following/none')
    expect(String(errors[0])).toMatch('There is no stream "none"')
    source.end()
    await follower.end()
  })

  test('cannot be reached by the name that a stream has in the log', async () => {
    const { eventStream, get, faucet, errors, id } = await serve()
    const a = id('a')
    const reader = await (await get(`/answers/${a}`)).opened()
    for (const mark of ['%01', '%02', '%03']) {
      for (const route of ['events', 'kept', 'answers', 'following']) {
        expect((await get(`/${route}/${mark}${a}`)).status).toBe(400)
      }
    }
    expect(errors).toHaveLength(12)
    for (const error of errors) expect(error).toMatchObject({ code: 'ERR_CHANNEL' })
    const inner = `\u0002${a}`
    const refused = { code: 'ERR_CHANNEL' }
    await expect(eventStream.publishEvent(inner, { data: 1 })).rejects.toMatchObject(refused)
    await expect(eventStream.kick(inner)).rejects.toMatchObject(refused)
    await expect(eventStream.fetch(new Request('http://x/'), inner)).rejects.toMatchObject(refused)
    await expect(eventStream.streams.stop(inner)).rejects.toMatchObject(refused)
    // A cursor is only a position, whatever it names.
    const client = await get(`/events/${a}`, { lastEventId: `%02${a}~0-1*${a}~0-1` })
    await client.opened()
    ;(await faucet(a)).give('x')
    await reader.received(1)
    await eventStream.publishEvent(a, { data: 'own' })
    await client.received(1)
    expect(client.data).toEqual(['own'])
    ;(await faucet(a)).end()
  })

  test('are kicked one by one', async () => {
    const { eventStream, get, faucet, id } = await serve()
    const [a, b, c] = [id('a'), id('b'), id('c')]
    const pair = async (name: string) => {
      const reader = await (await get(`/answers/${name}`)).opened()
      return { reader, listener: await (await get(`/events/${name}`)).opened() }
    }
    const [kicked, other, named] = [await pair(a), await pair(b), await pair(c)]
    await eventStream.streams.kick(a)
    await kicked.reader.end()
    await eventStream.kick(b)
    await other.listener.end()
    await eventStream.kick(({ kind, channels }) => kind === 'stream' && channels[0] === c)
    await named.reader.end()
    await eventStream.publishEvent(a, { data: 1 })
    await eventStream.publishEvent(c, { data: 1 })
    ;(await faucet(b)).give('x')
    const stay = [kicked.listener, other.reader, named.listener]
    await Promise.all(stay.map((client) => client.received(1)))
    expect(stay.map(({ ended }) => ended)).toEqual([false, false, false])
    for (const name of [a, b, c]) (await faucet(name)).end()
  })

  if (name === 'memory') return

  /** A context of resumable-stream, in the same place as the event stream. */
  async function contextOf(keyPrefix: string): Promise<ResumableStreamContext> {
    const url = store?.url as string
    const options = { waitUntil: null, keyPrefix }
    const context =
      name === 'postgres'
        ? createPostgresResumableStreamContext({ ...options, pool: url })
        : createResumableStreamContext({ ...options, publisher: createClient({ url }) as never })
    closers.push(() => context.close())
    return context
  }

  test('are not those of a context of resumable-stream, in the same place', async () => {
    const { eventStream, get, id } = await serve()
    const context = await contextOf('headwater')
    const chat = id('chat')
    const inner = `headwater:${chat}`
    expect((await eventStream.streams.create(inner, ['of a stranger'])).isNew).toBe(true)
    await eventStream.publishEvent(inner, { data: 'of a channel' })
    const source = new Faucet<string>()
    const stream = await context.resumableStream(chat, () => ReadableStream.from(source) as never)
    source.give('of its user')
    const reader = (stream as ReadableStream<string>).getReader()
    expect((await reader.read()).value).toBe('of its user')
    const [listener, follower] = [await get(`/kept/${inner}`), await get(`/following/${inner}`)]
    await Promise.all([listener.received(1), follower.end()])
    expect([listener.data, follower.data]).toEqual([['of a channel'], ['of a stranger']])
    source.end()
    expect((await reader.read()).done).toBe(true)
  })

  test('of two contexts are two things, wherever the prefix ends', async () => {
    const { id } = await serve()
    const [app, chat] = [id('app'), id('chat')]
    const [one, other] = [await contextOf(app), await contextOf(`${app}:${chat}`)]
    const textOf = (text: string) => () => ReadableStream.from([text]) as ReadableStream<string>
    await one.createNewResumableStream(`${chat}:7`, textOf('one'))
    expect(await other.hasExistingStream('7')).toBeNull()
    await other.createNewResumableStream('7', textOf('other'))
  })
}
