import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { memoryEventLog } from '../../src/index.js'
import { createContext } from '../../src/resumable/context.js'
import { resolveStreamsOptions } from '../../src/resumable/options.js'
import {
  type CreateResumableStreamContextOptions,
  createPostgresResumableStreamContext,
  createResumableStreamContext,
  type ResumableStreamContext,
} from '../../src/resumable.js'
import { createResumableStreamContext as createGeneric } from '../../src/resumable-generic.js'
import { createResumableStreamContext as createIoredis } from '../../src/resumable-ioredis.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Faucet } from '../support/faucet.js'
import { type StoreName, type StreamStore, startStore } from '../support/stream-stores.js'
import { until } from '../support/until.js'
import { plainClients } from './generic/plain-clients.js'

type Options = Pick<
  CreateResumableStreamContextOptions,
  'keyPrefix' | 'waitUntil' | 'serveEnded' | 'onError'
>

/** A context, as one more process has it. */
type Make = (options: Options) => ResumableStreamContext | Promise<ResumableStreamContext>

const closers: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

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

function contextSuite(make: Make, { isShared = true } = {}): void {
  const contextOf = async (own: { serveEnded?: boolean; keyPrefix?: string } = {}) => {
    const errors: unknown[] = []
    const kept: Promise<unknown>[] = []
    const context = await make({
      waitUntil: (promise) => void kept.push(promise),
      onError: (error) => errors.push(error),
      keyPrefix: randomUUID(),
      ...own,
    })
    closers.push(() => context.close())
    return { context, errors, kept }
  }

  test('starts one source of all who ask first, and gives all of it to each', async () => {
    const a = randomUUID()
    const { context, kept } = await contextOf()
    const { faucet, makeStream, made } = sourceOf()
    const streams = await Promise.all([1, 2, 3].map(() => context.resumableStream(a, makeStream)))
    expect(made.count).toBe(1)
    faucet.give('one ', 'two')
    faucet.end()
    expect(await Promise.all(streams.map(textOf))).toEqual(['one two', 'one two', 'one two'])
    expect(kept).toHaveLength(1)
    await kept[0]
  })

  const testShared = isShared ? test : () => undefined
  testShared('is followed and stopped by another process', async () => {
    const keyPrefix = randomUUID()
    const [{ context: one, errors }, { context: other }] = [
      await contextOf({ keyPrefix }),
      await contextOf({ keyPrefix }),
    ]
    const { faucet, makeStream, made } = sourceOf()
    const original = await one.resumableStream('a', makeStream)
    faucet.give('a😀', 'b')
    const first = original?.getReader()
    expect((await first?.read())?.value).toBe('a😀')
    await until(async () => (await other.hasExistingStream('a')) === true)
    const follower = (await other.resumableStream('a', makeStream, 1))?.getReader()
    let text = (await follower?.read())?.value ?? ''
    expect(text).toMatch(/^😀/)
    faucet.give('c')
    await other.stopStream('a')
    for (;;) {
      const { done, value } = (await follower?.read()) ?? {}
      if (done) break
      text += value
    }
    expect('😀bc'.startsWith(text)).toBe(true)
    expect([await one.hasExistingStream('a'), made.count, errors]).toEqual(['DONE', 1, []])
  })

  test('gives what is there already as a first read, and then chunk by chunk', async () => {
    const a = randomUUID()
    const { context } = await contextOf()
    const { faucet, makeStream } = sourceOf()
    const original = (await context.createNewResumableStream(a, makeStream))?.getReader()
    faucet.give('1', '2', '3')
    for (const chunk of ['1', '2', '3']) expect((await original?.read())?.value).toBe(chunk)
    const follower = (await context.resumeExistingStream(a, 1))?.getReader()
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
    const a = randomUUID()
    const { context } = await contextOf()
    const { faucet, makeStream, made } = sourceOf()
    expect(await context.hasExistingStream(a)).toBeNull()
    expect(await context.resumeExistingStream(a)).toBeUndefined()
    const original = await context.resumableStream(a, makeStream)
    expect(await context.hasExistingStream(a)).toBe(true)
    faucet.give('x')
    faucet.end()
    expect(await textOf(original)).toBe('x')
    expect(await context.hasExistingStream(a)).toBe('DONE')
    expect(await context.resumeExistingStream(a)).toBeNull()
    expect(await context.resumableStream(a, makeStream)).toBeNull()
    await expect(context.createNewResumableStream(a, makeStream)).rejects.toMatchObject({
      code: 'ERR_STREAM_EXISTS',
    })
    expect(made.count).toBe(1)
  })

  test('serves a stream that has ended where it is told to', async () => {
    const a = randomUUID()
    const { context } = await contextOf({ serveEnded: true })
    const { faucet, makeStream } = sourceOf()
    const original = await context.resumableStream(a, makeStream)
    faucet.give('a😀', 'b')
    faucet.end()
    expect(await textOf(original)).toBe('a😀b')
    expect(await textOf(await context.resumeExistingStream(a, 3))).toBe('b')
    expect(await textOf(await context.resumableStream(a, makeStream, 1))).toBe('😀b')
    expect(await textOf(await context.resumeExistingStream(a, 99))).toBe('')
  })

  test('fails a read, and ends no process, when its source fails', async () => {
    const a = randomUUID()
    const { context, errors } = await contextOf()
    const { faucet, makeStream } = sourceOf()
    const original = await context.resumableStream(a, makeStream)
    const follower = await context.resumeExistingStream(a)
    faucet.give('x')
    faucet.fail(new Error('the model is gone'))
    const failed = { code: 'ERR_STREAM_ENDED', message: expect.stringContaining('failed') }
    await expect(textOf(original)).rejects.toMatchObject(failed)
    await expect(textOf(follower)).rejects.toMatchObject(failed)
    expect(await context.hasExistingStream(a)).toBe('DONE')
    expect(errors).toMatchObject([
      { code: 'ERR_STREAM_SOURCE', cause: new Error('the model is gone') },
    ])
  })

  test('throws what makeStream throws, and the id is not poisoned by it', async () => {
    const a = randomUUID()
    const { context } = await contextOf()
    const broken = () => {
      throw new Error('no stream')
    }
    await expect(context.resumableStream(a, broken)).rejects.toThrow('no stream')
    expect(await context.hasExistingStream(a)).toBe('DONE')
    expect(await context.resumeExistingStream(a)).toBeNull()
  })

  test('runs a source on whose readers have left, and cancels one that is stopped', async () => {
    const a = randomUUID()
    const { context } = await contextOf({ serveEnded: true })
    const { faucet, makeStream } = sourceOf()
    const original = await context.resumableStream(a, makeStream)
    await original?.cancel()
    faucet.give('still ', 'running')
    await until(async () => faucet.pulls >= 3)
    const follower = await context.resumeExistingStream(a)
    await context.stopStream(a)
    expect(await textOf(follower)).toBe('still running')
    expect(await context.hasExistingStream(a)).toBe('DONE')
  })

  test('keeps text to the letter, whatever is in it', async () => {
    const a = randomUUID()
    const { context } = await contextOf({ serveEnded: true })
    const { faucet, makeStream } = sourceOf()
    const chunks = ['\u0000', '', '😀', '\ud83d', '\ude00', '{"state":"completed"}', 'DONE', '\r\n']
    await context.resumableStream(a, makeStream)
    faucet.give(...chunks)
    faucet.end()
    await until(async () => (await context.hasExistingStream(a)) === 'DONE')
    expect(await textOf(await context.resumeExistingStream(a))).toBe(chunks.join(''))
  })

  test('takes ids of any length and content, each for itself', async () => {
    const { context } = await contextOf()
    const ids = ['x'.repeat(1024), `${'x'.repeat(1023)}y`, '\u0000', '', 'é', '\ud800', '\ud801']
    for (const id of [...ids, '{id}', 'a-:id']) {
      const { faucet, makeStream } = sourceOf()
      const stream = await context.createNewResumableStream(id, makeStream)
      faucet.give(id)
      faucet.end()
      expect(await textOf(stream)).toBe(id)
    }
  })

  test('refuses to skip what is no number of characters', async () => {
    const a = randomUUID()
    const { context } = await contextOf()
    await expect(context.resumeExistingStream(a, -1)).rejects.toThrow(/skipCharacters is -1/)
    await expect(context.resumeExistingStream(a, Number.NaN)).rejects.toThrow(/skipCharacters/)
  })
}

describe('a context of resumable streams in memory', () => {
  const make: Make = ({
    keyPrefix = '',
    waitUntil,
    serveEnded = false,
    onError = () => undefined,
  }) => {
    const options = resolveStreamsOptions()
    return createContext({
      log: memoryEventLog(),
      options,
      keyPrefix,
      waitUntil,
      serveEnded,
      onError,
    })
  }
  contextSuite(make, { isShared: false })
})

describeWithRedis('a context of resumable streams in Redis', () => {
  const store = useStore('redis')

  describe('with a client of ioredis', () => {
    contextSuite((options) => {
      const publisher = new Redis(store().url)
      closers.push(() => publisher.disconnect())
      return createIoredis({ publisher, ...options })
    })
  })

  describe('with a client of redis', () => {
    contextSuite((options) => {
      const publisher = createClient({ url: store().url })
      return createResumableStreamContext({ publisher, ...options })
    })
  })

  describe.each([true, false])('with plain objects, durable: %s', (durable) => {
    contextSuite(async (options) => {
      const { close, ...clients } = await plainClients(store().url)
      closers.push(close)
      return createGeneric({ ...clients, durable, ...options })
    })
  })

  test('is where REDIS_URL says, and says so when nothing does', async () => {
    const options = { waitUntil: null }
    const { REDIS_URL } = process.env
    try {
      delete process.env.REDIS_URL
      expect(() => createResumableStreamContext(options)).toThrow(/set REDIS_URL/)
      process.env.REDIS_URL = store().url
      for (const durable of [true, false]) {
        const context = createResumableStreamContext({ ...options, durable })
        closers.push(() => context.close())
        const stream = await context.resumableStream(randomUUID(), () => streamOf('x'))
        expect(await textOf(stream)).toBe('x')
      }
    } finally {
      if (REDIS_URL === undefined) delete process.env.REDIS_URL
      else process.env.REDIS_URL = REDIS_URL
    }
  })

  test('makes no client of its own in the generic form, and knows its options', () => {
    expect(() => createGeneric({ waitUntil: null })).toThrow(/There is no publisher/)
    const misspelt = { waitUntil: null, keyprefix: 'x' } as object
    expect(() => createResumableStreamContext(misspelt as never)).toThrow(/no option "keyprefix"/)
    expect(() => createResumableStreamContext({ waitUntil: 7 as never })).toThrow(/waitUntil is 7/)
  })
})

describeWithPostgres('a context of resumable streams in Postgres', () => {
  const store = useStore('postgres')
  contextSuite((options) => createPostgresResumableStreamContext({ pool: store().url, ...options }))
})

function useStore(name: StoreName): () => StreamStore {
  let store: StreamStore
  beforeAll(async () => {
    store = await startStore(name)
  })
  afterAll(() => store.stop())
  return () => store
}

function streamOf(text: string): ReadableStream<string> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(text)
      controller.close()
    },
  })
}
