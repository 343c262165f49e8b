import { Readable } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import { type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { Faucet } from '../support/faucet.js'
import { ownStreamLog } from '../support/own-stream-log.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

/** An app that serves one stream per id, of a faucet each. */
async function serveAnswers(options: EventStreamOptions = {}) {
  const { app, eventStream, serve, errors } = setUp({ onError: () => undefined, ...options })
  const faucets = new Map<string, Faucet<unknown>>()
  const signals: AbortSignal[] = []
  const handler = eventStream.streams.handler('{id}', (_req, { id, signal }) => {
    signals.push(signal)
    const faucet = new Faucet<never>()
    faucets.set(id, faucet)
    return faucet
  })
  app.get('/answers/:id', handler)
  app.post('/answers/:id', handler)
  app.get('/following/:id', eventStream.streams.handler('{id}'))
  const faucet = async (id: string) => {
    await until(() => faucets.has(id))
    return faucets.get(id) as Faucet<unknown>
  }
  return { get: await serve(), faucet, faucets, signals, eventStream, errors }
}

describe('a handler of streams', () => {
  test('starts the source for the first request, and every other one follows from the beginning', async () => {
    const { get, faucet, faucets } = await serveAnswers()
    const first = await get('/answers/a')
    const source = await faucet('a')
    source.give('Once ', 'upon ')
    await first.received(2)
    const second = await get('/answers/a')
    source.give('a time.')
    source.end()
    await Promise.all([first.end(), second.end()])
    for (const client of [first, second]) {
      expect(client.data).toEqual(['Once ', 'upon ', 'a time.'])
      expect(client.control.map(({ event }) => event)).toEqual(['stream-open', 'stream-end'])
      expect(client.control[1]?.data).toBe('{"state":"completed"}')
      expect(client.events.map(({ id }) => id)).toEqual(first.events.map(({ id }) => id))
    }
    expect(faucets.size).toBe(1)
  })

  test('goes on where a client was that comes back, though its first reader has left', async () => {
    const { get, faucet, signals } = await serveAnswers()
    const first = await get('/answers/a')
    const source = await faucet('a')
    source.give('1', '2')
    const [{ id } = { id: '' }] = await first.received(2)
    first.destroy()
    source.give('3')
    const back = await get('/answers/a', { lastEventId: id })
    source.give('4')
    source.end()
    await back.end()
    expect(back.data).toEqual(['2', '3', '4'])
    expect(signals[0]?.aborted).toBe(false)
  })

  test('replays a stream that has ended, and answers 204 to whoever has all of it', async () => {
    const { get, faucet, faucets } = await serveAnswers()
    const first = await get('/answers/a')
    const source = await faucet('a')
    source.give('x')
    source.end()
    await first.end()
    const late = await get('/answers/a')
    await late.end()
    expect([late.data, late.control.at(-1)?.event]).toEqual([['x'], 'stream-end'])
    const again = await get('/answers/a', { lastEventId: late.lastEventId })
    expect(again.status).toBe(204)
    const following = await get('/following/a', { lastEventId: late.lastEventId })
    expect(following.status).toBe(204)
    expect(faucets.size).toBe(1)
  })

  test.each([
    ['of other channels', 'b~1-5*c~3-4', 'invalid'],
    ['of the end of a shorter stream', '1-0', 'unknown'],
    ['of the end of one as long as this is by now', '2-0', 'unknown'],
  ])(
    'tells whoever comes with the position %s that it is none of this one',
    async (_of, lastEventId, reason) => {
      const { get, faucet } = await serveAnswers()
      const first = await get('/answers/a')
      const source = await faucet('a')
      source.give('1', '2')
      await first.received(2)
      const during = await get('/answers/a', { lastEventId })
      await during.opened()
      source.end()
      await Promise.all([first.end(), during.end()])
      const after = await get('/following/a', { lastEventId })
      await after.end()
      for (const client of [during, after]) {
        const resets = client.control.filter(({ event }) => event === 'stream-reset')
        expect(resets.map(({ data }) => data)).toEqual([
          JSON.stringify({ channels: ['a'], reason }),
        ])
      }
    },
  )

  test('creates and streams in one response to a POST', async () => {
    const { get, faucet } = await serveAnswers()
    const client = await get('/answers/p', { method: 'POST' })
    const source = await faucet('p')
    source.give('x')
    source.end()
    await client.end()
    expect(client.data).toEqual(['x'])
  })

  test('sends strings, bytes and events', async () => {
    const { get, faucet } = await serveAnswers()
    const client = await get('/answers/a')
    const source = await faucet('a')
    source.give('line\nbreak', new Uint8Array([0, 255, 10]), { event: 'tool', data: { n: 1 } }, '')
    source.end()
    await client.end()
    const [text, tool, empty] = client.events
    expect([text?.data, tool?.event, tool?.data, empty?.data]).toEqual([
      '"line\\nbreak"',
      'tool',
      '{"n":1}',
      '""',
    ])
    expect(client.control.find(({ event }) => event === 'stream-bytes')?.data).toBe('"AP8K"')
  })

  test('ends as failed when its source throws, before or after its first chunk, or gives what is none', async () => {
    const reported: unknown[] = []
    const { get, faucet } = await serveAnswers({ onError: (error) => reported.push(error) })
    const none = await get('/answers/none')
    ;(await faucet('none')).give(17)
    await none.end()
    expect([none.control.at(-1)?.data, reported.splice(0)]).toMatchObject([
      '{"state":"failed"}',
      [
        {
          code: 'ERR_STREAM_SOURCE',
          message: expect.stringMatching(/^The source of the stream "none" failed: /),
          cause: { code: 'ERR_EVENT' },
        },
      ],
    ])
    for (const [id, chunks] of [
      ['before', []],
      ['after', ['x']],
    ] as const) {
      const client = await get(`/answers/${id}`)
      const source = await faucet(id)
      source.give(...chunks)
      source.fail(new Error(`no more: ${id}`))
      await client.end()
      expect(client.data).toEqual(chunks)
      expect(client.control.at(-1)?.data).toBe('{"state":"failed"}')
    }
    expect(reported).toMatchObject(
      ['before', 'after'].map((id) => ({
        code: 'ERR_STREAM_SOURCE',
        message: `The source of the stream "${id}" failed: no more: ${id}`,
        cause: new Error(`no more: ${id}`),
      })),
    )
  })

  test('answers each thing that is wrong in its own way', async () => {
    const { get, errors, faucet } = await serveAnswers()
    expect((await get('/following/none')).status).toBe(404)
    expect((await get('/following/none', { method: 'HEAD' })).status).toBe(404)
    expect((await get('/answers/none', { method: 'HEAD' })).status).toBe(200)
    expect((await get('/answers/none', { lastEventId: '3-17' })).status).toBe(404)
    expect(errors).toMatchObject([
      { code: 'ERR_STREAM_UNKNOWN' },
      { code: 'ERR_STREAM_UNKNOWN' },
      { code: 'ERR_STREAM_UNKNOWN' },
    ])
    await get('/answers/a')
    const source = await faucet('a')
    source.give('x')
    const past = await get('/answers/a', { lastEventId: '99-1' })
    await until(() => past.control.length === 2)
    expect(past.control[1]).toMatchObject({ event: 'stream-reset' })
    source.end()
  })

  test('refuses at once what can never work', async () => {
    const { streams } = setUp().eventStream
    expect(() => streams.handler('{id}', 'text' as never)).toThrow(/source of a stream is "text"/)
    const late = { startFrom: 'now' } as object
    expect(() => streams.handler('{id}', undefined, late)).toThrow(/have no option "startFrom"/)
    const asked = streams.fetch(new Request('http://x/'), 'a', () => ['1'], late)
    await expect(asked).rejects.toMatchObject({ code: 'ERR_OPTION' })
    const log = wrapLog(memoryEventLog(), {})
    expect(() => setUp({ log }).eventStream.streams.handler('{id}')).toThrow(/keeps no streams/)
    expect(() => setUp({ streams: { leaseMs: 1 } })).toThrow(/leaseMs is 1/)
    expect(() => setUp({ streams: { flushms: 1 } as object })).toThrow(/no option "flushms"/)
  })

  test('is stopped by anybody: its source is told, and its readers', async () => {
    const { get, faucet, signals, eventStream } = await serveAnswers()
    const client = await get('/answers/a')
    const source = await faucet('a')
    source.give('x')
    await client.received(1)
    const status = await eventStream.streams.stop('a', 'enough')
    expect(status).toMatchObject({ state: 'aborted', reason: 'enough' })
    await client.end()
    expect(client.control.at(-1)?.data).toBe('{"state":"aborted","reason":"enough"}')
    expect(signals[0]?.aborted).toBe(true)
    await until(() => source.isReturned)
    expect(await eventStream.streams.stop('a', 'again')).toEqual(status)
    expect(await eventStream.streams.stop('none')).toBeUndefined()
  })

  test('lets who only follows begin with the first chunk, though the log has none yet', async () => {
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { log } = ownStreamLog((inner) => ({
      produce: async (...args) => {
        await held
        return inner.produce(...args)
      },
    }))
    const { eventStream, app, serve } = setUp({ log })
    app.get('/following/:id', eventStream.streams.handler('{id}'))
    const get = await serve()
    const source = new Faucet<string>()
    await eventStream.streams.create('a', source)
    source.give('1', '2')
    await until(() => source.pulls === 3)
    const client = await get('/following/a')
    source.give('3')
    await client.received(1)
    release()
    source.end()
    await client.end()
    expect(client.data).toEqual(['1', '2', '3'])
    await log.close()
  })

  test('answers a Web request in the same manner', async () => {
    const { eventStream } = setUp()
    const request = (init: RequestInit = {}) => new Request('http://x/answers/a', init)
    const source = Readable.from(['Once ', 'upon'])
    const response = await eventStream.streams.fetch(request(), 'a', () => source)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const text = await response.text()
    expect(text).toMatch(/data: "Once "\n.*data: "upon"\n.*event: stream-end\n/s)
    const last = [...text.matchAll(/^id: (\S+)$/gm)].at(-1)?.[1] as string
    const again = request({ headers: { 'Last-Event-ID': last } })
    expect((await eventStream.streams.fetch(again, 'a')).status).toBe(204)
    await expect(eventStream.streams.fetch(request(), 'none')).rejects.toMatchObject({
      status: 404,
    })
    await expect(eventStream.streams.fetch(request({ method: 'PUT' }), 'a')).rejects.toMatchObject({
      status: 405,
    })
  })

  test('sends a Web request away while there is no place for it, and gives its place back', async () => {
    const { eventStream } = setUp({ maxConnections: 1 })
    const ask = () => eventStream.streams.fetch(new Request('http://x/'), 'a', () => source)
    const source = new Faucet<string>()
    const first = await ask()
    expect(await (await ask()).text()).toMatch(/^retry: \d+\n$/)
    await first.body?.cancel()
    const third = await ask()
    await eventStream.streams.kick('a')
    expect(await third.text()).toMatch(/event: stream-open\n.*retry: \d+\n$/s)
    source.end()
  })

  test('pauses for a Web reader that does not read, and leaves with it', async () => {
    const { eventStream } = setUp()
    const source = new Faucet<string>()
    const response = await eventStream.streams.fetch(new Request('http://x/'), 'a', () => source)
    for (let i = 0; i < 40; i++) source.give('x'.repeat(50_000))
    await until(
      async () => (await eventStream.streams.status('a'))?.lastEventId.startsWith('40-') === true,
    )
    const [connection] = eventStream.connections()
    expect(connection?.queuedBytes).toBeLessThan(2_000_000)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    let bytes = 0
    while (bytes < 40 * 50_000) bytes += (await reader.read()).value?.byteLength ?? 0
    await reader.cancel()
    expect(eventStream.connections()).toHaveLength(0)
    source.end()
  })
})
