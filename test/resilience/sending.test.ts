import { describe, expect, test } from '@jest/globals'
import { type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import { resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { Faucet } from '../support/faucet.js'

/** Two processes, as far as that is possible in one. */
function setUpTwo(options: EventStreamOptions = {}) {
  const log = memoryEventLog()
  const [one, other] = [1, 2].map(() => setUp({ log, onError: () => undefined, ...options }))
  return {
    ...(one as ReturnType<typeof setUp>),
    ...resilience((one as ReturnType<typeof setUp>).eventStream),
    other: resilience((other as ReturnType<typeof setUp>).eventStream),
    log,
  }
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('sendStreamEvent', () => {
  test('reaches followers, and ends the stream with the last event', async () => {
    const { registry, sendStreamEvent, completions, app, eventStream, serve } = setUpTwo()
    app.get('/jobs/:id', eventStream.streams.handler('{id}'))
    const get = await serve()
    await registry.register({ streamId: 'job', streamType: 'export' })
    const client = await (await get('/jobs/job')).opened()
    await sendStreamEvent('job', 'progress', { percent: 50 })
    const last = await sendStreamEvent('job', 'done', { url: '/7.csv' }, true)
    await client.end()
    expect(client.events.map(({ event, data }) => [event, JSON.parse(data)])).toEqual([
      ['progress', { percent: 50 }],
      ['done', { url: '/7.csv' }],
    ])
    expect(client.events[1]?.id).toBe(last)
    expect(client.control.at(-1)?.data).toBe('{"state":"completed","event":"done"}')
    expect((await registry.getStream('job'))?.state).toBe('completed')
    expect(await completions.getCompletion('job')).toEqual({
      streamId: 'job',
      state: 'completed',
      result: { url: '/7.csv' },
      reason: undefined,
      lastEventId: client.control.at(-1)?.id,
    })
  })

  test('keeps the order in which it was called, awaited or not', async () => {
    const { registry, sendStreamEvent, completions } = setUpTwo()
    await registry.register({ streamId: 'job' })
    const sent = range(600).map((n) => sendStreamEvent('job', 'n', n, n === 599))
    const ids = await Promise.all(sent)
    const { events, isComplete, lastEventId } = await completions.getEvents('job')
    expect(events.map(({ data }) => data)).toEqual(range(600))
    expect(events.map(({ id }) => id)).toEqual(ids)
    expect(isComplete).toBe(true)
    expect(await completions.getEvents('job', { after: lastEventId })).toMatchObject({
      events: [],
      isComplete: true,
      isReset: false,
    })
  })

  test('may come from several processes at once, each in its own order', async () => {
    const { registry, sendStreamEvent, completions, other } = setUpTwo()
    await registry.register({ streamId: 'job' })
    const work = async (send: typeof sendStreamEvent, name: string) => {
      for (const n of range(50)) await send('job', name, n)
    }
    await Promise.all([work(sendStreamEvent, 'a'), work(other.sendStreamEvent, 'b')])
    const { events } = await completions.getEvents('job')
    expect(events).toHaveLength(100)
    for (const name of ['a', 'b']) {
      const own = events.filter(({ event }) => event === name)
      expect(own.map(({ data }) => data)).toEqual(range(50))
    }
  })

  test.each([
    ['done', true, 'completed'],
    ['error', true, 'failed'],
    ['failed', true, 'failed'],
    ['error', 'completed', 'completed'],
    ['stopped', 'aborted', 'aborted'],
  ] as const)('of %s with %s as the last one makes the stream %s', async (name, last, state) => {
    const { registry, sendStreamEvent } = setUpTwo()
    await registry.register({ streamId: 'job' })
    await sendStreamEvent('job', name, null, last)
    expect((await registry.getStream('job'))?.state).toBe(state)
  })

  test('is refused for what is unknown, has ended, or has a source of its own', async () => {
    const { registry, sendStreamEvent, eventStream, other } = setUpTwo()
    await expect(sendStreamEvent('job', 'n')).rejects.toMatchObject({ code: 'ERR_STREAM_UNKNOWN' })
    await registry.register({ streamId: 'job' })
    await sendStreamEvent('job', 'n', 1)
    await other.sendStreamEvent('job', 'done', 2, true)
    await expect(sendStreamEvent('job', 'n', 3)).rejects.toMatchObject({ code: 'ERR_STREAM_ENDED' })
    await expect(other.sendStreamEvent('job', 'n')).rejects.toMatchObject({
      code: 'ERR_STREAM_ENDED',
    })
    const source = new Faucet<string>()
    await eventStream.streams.create('answer', source)
    await expect(sendStreamEvent('answer', 'n')).rejects.toMatchObject({
      code: 'ERR_STREAM_PRODUCED',
    })
    await eventStream.publishEvent('news', { data: 1 })
    await expect(sendStreamEvent('news', 'n')).rejects.toMatchObject({ code: 'ERR_STREAM_UNKNOWN' })
    source.end()
  })

  test('refuses what cannot be sent, and goes on with the next', async () => {
    const { registry, sendStreamEvent, completions } = setUpTwo({ maxEventBytes: 100 })
    await registry.register({ streamId: 'job' })
    await expect(sendStreamEvent('job', 'a\nb')).rejects.toMatchObject({ code: 'ERR_FIELD' })
    await expect(sendStreamEvent('job', 'stream-end')).rejects.toMatchObject({ code: 'ERR_EVENT' })
    await expect(sendStreamEvent('job', 'n', 1n)).rejects.toMatchObject({ code: 'ERR_DATA' })
    await expect(sendStreamEvent('job', 'n', 1, 'over' as never)).rejects.toMatchObject({
      code: 'ERR_OPTION',
    })
    await expect(sendStreamEvent('job', 'n', 'x'.repeat(100))).rejects.toMatchObject({
      code: 'ERR_EVENT_TOO_LARGE',
    })
    const keyed = { data: 1, idempotencyKey: 'k' }
    await expect(completions.storeEvent('job', keyed)).rejects.toMatchObject({ code: 'ERR_EVENT' })
    await sendStreamEvent('job', 'n', 1)
    expect((await completions.getEvents('job')).events).toHaveLength(1)
  })
})

describe('the completion store', () => {
  test('ends a stream with a result, which followers have as well', async () => {
    const { registry, completions, other, app, eventStream, serve } = setUpTwo()
    app.get('/jobs/:id', eventStream.streams.handler('{id}'))
    const get = await serve()
    await registry.register({ streamId: 'job' })
    const client = await (await get('/jobs/job')).opened()
    expect(await completions.getCompletion('job')).toBeUndefined()
    const result = { rows: 7 }
    expect(await other.completions.storeCompletion('job', { result, reason: 'all' })).toBe(true)
    expect(await completions.storeCompletion('job', { state: 'failed' })).toBe(false)
    await client.end()
    const ending = { state: 'completed', reason: 'all', result }
    expect(JSON.parse(client.control.at(-1)?.data ?? '')).toEqual(ending)
    expect(await completions.getCompletion('job')).toMatchObject(ending)
  })

  test('has not ended what ended before with the same words', async () => {
    const { eventStream, completions } = setUpTwo()
    const { ended } = await eventStream.streams.create('answer', ['Once'])
    await ended
    expect(await completions.storeCompletion('answer')).toBe(false)
  })

  test('tells the one whose end it is, though another one that came too late is faster', async () => {
    const { registry, completions, other, log } = setUpTwo()
    await registry.register({ streamId: 'job' })
    const endStream = log.endStream.bind(log)
    const end = log.registry.end.bind(log.registry)
    let pass: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      pass = resolve
    })
    log.endStream = async (...args) => {
      log.endStream = (...first) => endStream(...first).finally(pass)
      await held
      return endStream(...args)
    }
    const late = other.completions.storeCompletion('job', { result: 2 })
    log.registry.end = async (...args) => {
      log.registry.end = end
      await late
      return end(...args)
    }
    expect(await completions.storeCompletion('job', { result: 1 })).toBe(true)
    expect(await late).toBe(false)
    expect((await completions.getCompletion('job'))?.result).toBe(1)
    expect(await registry.getActiveCount()).toBe(0)
  })

  test('ends a stream whose source runs elsewhere', async () => {
    const { eventStream, other } = setUpTwo()
    const source = new Faucet<string>()
    const stream = await eventStream.streams.create('answer', source)
    source.give('Once')
    await other.completions.storeCompletion('answer', { result: 42 })
    await stream.ended
    expect((await eventStream.streams.status('answer'))?.state).toBe('completed')
  })

  test('stores events, and gives those after a position', async () => {
    const { registry, completions } = setUpTwo()
    await registry.register({ streamId: 'job' })
    const first = await completions.storeEvent('job', { event: 'n', data: 1 })
    await completions.storeEvent('job', { event: 'n', data: 2 })
    await completions.storeEvent('job', { data: 3 })
    const { events, isComplete } = await completions.getEvents('job', { after: first, limit: 1 })
    expect(events.map(({ event, data }) => [event, data])).toEqual([['n', 2]])
    expect(isComplete).toBe(false)
    expect((await completions.getEvents('job', { after: '99-5' })).isReset).toBe(true)
  })

  test('forgets a stream that has ended, and no other', async () => {
    const { registry, completions, eventStream } = setUpTwo()
    await registry.register({ streamId: 'job' })
    expect(await completions.deleteCompletion('job')).toBe(false)
    await completions.storeCompletion('job')
    expect(await completions.deleteCompletion('job')).toBe(true)
    expect(await completions.deleteCompletion('job')).toBe(false)
    expect(await completions.getCompletion('job')).toBeUndefined()
    expect(await eventStream.streams.status('job')).toBeUndefined()
    expect(await registry.register({ streamId: 'job' })).toBe(true)
  })

  test.each([
    ['a state alone', 'failed'],
    ['nothing', null],
    ['another name', { status: 'failed' }],
    ['a reason that is no text', { reason: new Error('no text') }],
  ])('refuses %s as an end, and the stream goes on', async (_name, completion) => {
    const { registry, completions } = setUpTwo()
    await registry.register({ streamId: 'job' })
    const stored = completions.storeCompletion('job', completion as never)
    await expect(stored).rejects.toMatchObject({ code: 'ERR_OPTION' })
    expect(await registry.heartbeat('job')).toBe(true)
  })

  test.each([{ after: 5 }, { limit: 0 }, { from: '1-1' }, null])(
    'refuses %j as a place to begin',
    async (options) => {
      const { registry, completions, eventStream } = setUpTwo()
      await registry.register({ streamId: 'job' })
      for (const read of [
        completions.getEvents('job', options as never),
        eventStream.streams.read('job', options as never),
      ]) {
        await expect(read).rejects.toMatchObject({ code: 'ERR_OPTION' })
      }
    },
  )

  test('refuses what is unknown, and what cannot be kept', async () => {
    const { registry, completions } = setUpTwo()
    await expect(completions.storeCompletion('job')).rejects.toMatchObject({
      code: 'ERR_STREAM_UNKNOWN',
    })
    await expect(completions.getEvents('job')).rejects.toMatchObject({ code: 'ERR_STREAM_UNKNOWN' })
    await registry.register({ streamId: 'job' })
    const bad = [{ result: 1n }, { reason: 1n }, { state: 'expired' }, { state: 'active' }]
    for (const completion of bad) {
      await expect(completions.storeCompletion('job', completion as never)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_(?:DATA|OPTION)$/),
      })
    }
    expect((await registry.getStream('job'))?.state).toBe('active')
  })
})
