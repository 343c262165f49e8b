import { afterEach, describe, expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { createContext, type ResumableStreamContext } from '../../src/resumable/context.js'
import { resolveStreamsOptions } from '../../src/resumable/options.js'
import { Faucet } from '../support/faucet.js'
import { until } from '../support/until.js'

const contexts: ResumableStreamContext[] = []

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
})

function contextOf(log: StreamLog, own: { serveEnded?: boolean } = {}) {
  const errors: unknown[] = []
  const kept: Promise<unknown>[] = []
  const context = createContext({
    log,
    options: resolveStreamsOptions(),
    waitUntil: (promise) => void kept.push(promise),
    serveEnded: own.serveEnded ?? false,
    onError: (error) => errors.push(error),
  })
  contexts.push(context)
  return { context, errors, kept }
}

/** A source as users give it, and the faucet it comes from. */
function sourceOf() {
  const faucet = new Faucet<string>()
  const made = { count: 0 }
  const iterator = faucet[Symbol.asyncIterator]()
  const makeStream = () => {
    made.count += 1
    return new ReadableStream<string>({
      async pull(controller) {
        const { done, value } = await iterator.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    })
  }
  return { faucet, makeStream, made }
}

async function textOf(stream: ReadableStream<string> | null | undefined): Promise<string> {
  let text = ''
  for await (const chunk of stream as ReadableStream<string>) text += chunk
  return text
}

describe('a context of resumable streams', () => {
  test('starts one source of all who ask first, and gives all of it to each', async () => {
    const { context, kept } = contextOf(memoryEventLog())
    const { faucet, makeStream, made } = sourceOf()
    const streams = await Promise.all([1, 2, 3].map(() => context.resumableStream('a', makeStream)))
    expect(made.count).toBe(1)
    faucet.give('one ', 'two')
    faucet.end()
    expect(await Promise.all(streams.map(textOf))).toEqual(['one two', 'one two', 'one two'])
    expect(kept).toHaveLength(1)
    await kept[0]
  })

  test('gives what is there already as a first read, and then chunk by chunk', async () => {
    const { context } = contextOf(memoryEventLog())
    const { faucet, makeStream } = sourceOf()
    const original = (await context.createNewResumableStream('a', makeStream))?.getReader()
    faucet.give('1', '2', '3')
    for (const chunk of ['1', '2', '3']) expect((await original?.read())?.value).toBe(chunk)
    const follower = (await context.resumeExistingStream('a', 1))?.getReader()
    const first = await follower?.read()
    faucet.give('4', '5')
    const rest = [await follower?.read(), await follower?.read()]
    faucet.end()
    expect([first, ...rest, await follower?.read()]).toEqual([
      { done: false, value: '23' },
      { done: false, value: '4' },
      { done: false, value: '5' },
      { done: true, value: undefined },
    ])
  })

  test('tells unknown, running and ended streams apart, and has the end before any reader', async () => {
    const { context } = contextOf(memoryEventLog())
    const { faucet, makeStream, made } = sourceOf()
    expect(await context.hasExistingStream('a')).toBeNull()
    expect(await context.resumeExistingStream('a')).toBeUndefined()
    const original = await context.resumableStream('a', makeStream)
    expect(await context.hasExistingStream('a')).toBe(true)
    faucet.give('x')
    faucet.end()
    expect(await textOf(original)).toBe('x')
    expect(await context.hasExistingStream('a')).toBe('DONE')
    expect(await context.resumeExistingStream('a')).toBeNull()
    expect(await context.resumableStream('a', makeStream)).toBeNull()
    await expect(context.createNewResumableStream('a', makeStream)).rejects.toMatchObject({
      code: 'ERR_STREAM_EXISTS',
    })
    expect(made.count).toBe(1)
  })

  test('serves a stream that has ended where it is told to', async () => {
    const { context } = contextOf(memoryEventLog(), { serveEnded: true })
    const { faucet, makeStream } = sourceOf()
    const original = await context.resumableStream('a', makeStream)
    faucet.give('a😀', 'b')
    faucet.end()
    expect(await textOf(original)).toBe('a😀b')
    expect(await textOf(await context.resumeExistingStream('a', 3))).toBe('b')
    expect(await textOf(await context.resumableStream('a', makeStream, 1))).toBe('😀b')
    expect(await textOf(await context.resumeExistingStream('a', 99))).toBe('')
  })

  test('fails a read, and ends no process, when its source fails', async () => {
    const { context, errors } = contextOf(memoryEventLog())
    const { faucet, makeStream } = sourceOf()
    const original = await context.resumableStream('a', makeStream)
    const follower = await context.resumeExistingStream('a')
    faucet.give('x')
    faucet.fail(new Error('the model is gone'))
    const failed = { code: 'ERR_STREAM_ENDED', message: expect.stringContaining('failed') }
    await expect(textOf(original)).rejects.toMatchObject(failed)
    await expect(textOf(follower)).rejects.toMatchObject(failed)
    expect(await context.hasExistingStream('a')).toBe('DONE')
    expect(errors).toEqual([new Error('the model is gone')])
  })

  test('throws what makeStream throws, and the id is not poisoned by it', async () => {
    const { context } = contextOf(memoryEventLog())
    const broken = () => {
      throw new Error('no stream')
    }
    await expect(context.resumableStream('a', broken)).rejects.toThrow('no stream')
    expect(await context.hasExistingStream('a')).toBe('DONE')
    expect(await context.resumeExistingStream('a')).toBeNull()
  })

  test('runs a source on whose readers have left, and cancels one that is stopped', async () => {
    const { context } = contextOf(memoryEventLog(), { serveEnded: true })
    const { faucet, makeStream } = sourceOf()
    const original = await context.resumableStream('a', makeStream)
    await original?.cancel()
    faucet.give('still ', 'running')
    await until(async () => faucet.pulls >= 3)
    const follower = await context.resumeExistingStream('a')
    await context.stopStream('a')
    expect(await textOf(follower)).toBe('still running')
    expect(await context.hasExistingStream('a')).toBe('DONE')
  })

  test('keeps text to the letter, whatever is in it', async () => {
    const { context } = contextOf(memoryEventLog(), { serveEnded: true })
    const { faucet, makeStream } = sourceOf()
    const chunks = ['\u0000', '', '😀', '\ud83d', '\ude00', '{"state":"completed"}', 'DONE', '\r\n']
    await context.resumableStream('a', makeStream)
    faucet.give(...chunks)
    faucet.end()
    await until(async () => (await context.hasExistingStream('a')) === 'DONE')
    expect(await textOf(await context.resumeExistingStream('a'))).toBe(chunks.join(''))
  })

  test('takes ids of any length and content, each for itself', async () => {
    const { context } = contextOf(memoryEventLog())
    const ids = ['x'.repeat(1024), `${'x'.repeat(1023)}y`, '\u0000', '', 'é', '\ud800', '\ud801']
    for (const id of ids) {
      const { faucet, makeStream } = sourceOf()
      const stream = await context.createNewResumableStream(id, makeStream)
      faucet.give(id)
      faucet.end()
      expect(await textOf(stream)).toBe(id)
    }
  })

  test('refuses to skip what is no number of characters', async () => {
    const { context } = contextOf(memoryEventLog())
    await expect(context.resumeExistingStream('a', -1)).rejects.toThrow(/skipCharacters is -1/)
    await expect(context.resumeExistingStream('a', Number.NaN)).rejects.toThrow(/skipCharacters/)
  })
})
