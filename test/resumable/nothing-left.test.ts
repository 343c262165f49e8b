import { describe, expect, test } from '@jest/globals'
import { createContext } from '../../src/resumable/context.js'
import { resolveStreamsOptions } from '../../src/resumable/options.js'
import { setUp } from '../support/app.js'
import { Faucet } from '../support/faucet.js'
import { ownStreamLog } from '../support/own-stream-log.js'
import { until } from '../support/until.js'

describe('a reader of a stream', () => {
  test('leaves nothing behind once it has the end, whatever that is', async () => {
    const { log, counts } = ownStreamLog()
    const { eventStream } = setUp({ onError: () => undefined, log })
    const { eventStream: other } = setUp({ log })
    await (await eventStream.streams.create('whole', ['1', '2'])).ended
    const failing = async function* () {
      yield '1'
      throw new Error('out of words')
    }
    await (await eventStream.streams.create('failed', failing)).ended
    const whole: unknown[] = []
    for await (const { data } of await other.streams.read('whole')) whole.push(data)
    const reader = (await other.streams.read('failed')).getReader()
    await reader.read()
    await expect(reader.read()).rejects.toMatchObject({ code: 'ERR_STREAM_ENDED' })
    expect([whole, counts.followers]).toEqual([['1', '2'], 0])
    await log.close()
  })

  test('of text leaves nothing behind either', async () => {
    const { log, counts } = ownStreamLog()
    const host = { log, options: resolveStreamsOptions(), keyPrefix: 'text', waitUntil: null }
    const newContext = () => createContext({ ...host, serveEnded: true, onError: () => undefined })
    const source = new ReadableStream<string>({
      start(controller) {
        controller.enqueue('all of it')
        controller.close()
      },
    })
    const texts: string[] = []
    for await (const text of (await newContext().resumableStream('a', () => source)) ?? []) {
      texts.push(text)
    }
    for await (const text of (await newContext().resumeExistingStream('a')) ?? []) texts.push(text)
    expect([texts, counts.followers]).toEqual([['all of it', 'all of it'], 0])
    await log.close()
  })

  test('that is ahead of the log can leave while it is waited for, and gives its place back', async () => {
    const { log, counts } = ownStreamLog()
    const { eventStream: producing } = setUp({ log })
    const source = new Faucet<string>()
    await producing.streams.create('a', source)
    const { eventStream, app, serve } = setUp({ log, maxConnections: 1 })
    app.get('/a', eventStream.streams.handler('a'))
    const get = await serve()
    const before = counts.followers
    const leaving = new AbortController()
    const ahead = get('/a', { lastEventId: '3-7', signal: leaving.signal })
    await until(() => counts.followers > before)
    leaving.abort()
    await expect(ahead).rejects.toThrow()
    await until(() => counts.followers === before)
    const next = await get('/a')
    source.give('1')
    await next.received(1)
    source.end()
    await log.close()
  })

  test('that is ahead of the log is sent away when its process closes', async () => {
    const errors: unknown[] = []
    const { log, counts } = ownStreamLog()
    const { eventStream: producing } = setUp({ log })
    const source = new Faucet<string>()
    await producing.streams.create('a', source)
    const { eventStream, app, serve } = setUp({ log, onError: (error) => errors.push(error) })
    app.get('/a', eventStream.streams.handler('a'))
    const get = await serve()
    const before = counts.followers
    const ahead = get('/a', { lastEventId: '3-7' })
    await until(() => counts.followers > before)
    await eventStream.close()
    expect((await ahead).status).toBe(200)
    await until(() => counts.followers === before)
    expect(errors).toEqual([])
    source.end()
    await log.close()
  })

  test('that waits can leave, before anything comes', async () => {
    const { log, counts } = ownStreamLog()
    const { eventStream } = setUp({ log })
    const { eventStream: other } = setUp({ log })
    const source = new Faucet<string>()
    source.give('1')
    await eventStream.streams.create('a', source)
    const before = counts.followers
    const reader = (await other.streams.read('a')).getReader()
    await reader.read()
    const next = reader.read()
    await until(() => counts.followers > before)
    await reader.cancel()
    expect([await next, counts.followers]).toEqual([{ done: true, value: undefined }, before])
    await log.close()
  })
})
