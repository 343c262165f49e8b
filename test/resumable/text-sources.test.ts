import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { memoryEventLog } from '../../src/index.js'
import { createContext } from '../../src/resumable/context.js'
import { resolveStreamsOptions } from '../../src/resumable/options.js'
import { createResumableStreamContext, type ResumableStreamContext } from '../../src/resumable.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer } from '../support/redis-server.js'

const errors: unknown[] = []
const onError = (error: unknown) => errors.push(error)

let ids = 0

/** What the first reader and a follower get of a source. */
async function read(context: ResumableStreamContext, source: unknown): Promise<[string, string]> {
  const id = `stream ${ids++}`
  const original = await context.resumableStream(id, () => source as ReadableStream<string>)
  const text = await textOf(original)
  return [text, await textOf(await context.resumeExistingStream(id))]
}

async function textOf(stream: ReadableStream<string> | null | undefined): Promise<string> {
  let text = ''
  for await (const chunk of stream as ReadableStream<string>) text += chunk
  return text
}

/** As the body of a `fetch` comes. */
function streamOf(chunks: readonly unknown[]): ReadableStream<unknown> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
}

function inMemory(): ResumableStreamContext {
  const options = resolveStreamsOptions()
  const host = { options, keyPrefix: 'x', waitUntil: null, serveEnded: true, onError }
  return createContext({ log: memoryEventLog(), ...host })
}

function suite(contextOf: () => ResumableStreamContext): void {
  test('is text, also where a chunk ends within a character', async () => {
    const bytes = Buffer.from('grüße, 😀')
    // Within the ü, twice within the face, and an end that is missing.
    const cut = [bytes.subarray(0, 3), bytes.subarray(3, 11), bytes.subarray(11, 12)]
    const source = streamOf([...cut, bytes.subarray(12), ' and text, ', bytes.subarray(9, 11)])
    const text = 'grüße, 😀 and text, \ufffd'
    expect(await read(contextOf(), source)).toEqual([text, text])
    expect(errors).toEqual([])
  })

  test('is refused where it is neither text nor bytes, by the read and to onError', async () => {
    for (const chunk of [{ event: 'x', data: 'y' }, 7, [Buffer.from('x')], null]) {
      await expect(read(contextOf(), streamOf(['x', chunk]))).rejects.toMatchObject({
        code: 'ERR_STREAM_ENDED',
      })
      expect(errors.splice(0)).toEqual([
        expect.objectContaining({
          code: 'ERR_STREAM_SOURCE',
          message: expect.stringMatching(/must give text, or bytes of UTF-8, got /),
          cause: expect.objectContaining({ code: 'ERR_EVENT' }),
        }),
      ])
    }
  })
}

describe('what a source of a resumable stream gives', () => {
  const context = inMemory()
  suite(() => context)

  test('may come from a Node stream, or be bytes as they are', async () => {
    for (const source of [Readable.from([Buffer.from('ü')]), Buffer.from('ü')]) {
      expect(await read(context, source)).toEqual(['ü', 'ü'])
    }
  })

  test('is the same text, wherever its bytes are cut', async () => {
    const cuts = fc.array(fc.nat(80), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1 }), cuts, async (text, at) => {
        const bytes = Buffer.from(text)
        const places = [0, ...at.filter((place) => place < bytes.length), bytes.length]
        places.sort((a, b) => a - b)
        const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end))
        // As every decoder of the platform does, it leaves out a byte order mark.
        const expected = new TextDecoder().decode(bytes)
        expect(await read(context, streamOf(chunks))).toEqual([expected, expected])
      }),
    )
  })
})

describeWithRedis('what a source of a resumable stream in Redis gives', () => {
  let server: RedisServer
  let publisher: Redis
  let context: ResumableStreamContext
  beforeAll(async () => {
    server = await RedisServer.start()
    publisher = new Redis(server.url)
    const options = { publisher, waitUntil: null, serveEnded: true, onError }
    context = createResumableStreamContext(options)
  })
  afterAll(async () => {
    await context.close()
    publisher.disconnect()
    await server.stop()
  })
  suite(() => context)
})
