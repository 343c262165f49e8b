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
