import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { EventStreamError } from '../../src/index.js'
import { createResumableStreamContext, type ResumableStreamContext } from '../../src/resumable.js'
import { plainClients } from '../resumable/generic/plain-clients.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Faucet } from '../support/faucet.js'
import { damaged, hostileText, hostileTexts } from '../support/hostile-values.js'
import { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'

const kinds = [
  ['few commands', true, 'redis'],
  ['few commands', true, 'ioredis'],
  ['streams in their processes', false, 'redis'],
  ['streams in their processes', false, 'ioredis'],
] as const

for (const [kind, durable, driver] of kinds) {
  describeWithRedis(`what others give a context with ${kind}, by ${driver}`, () => {
    let server: RedisServer
    let redis: Redis
    const closers: (() => unknown)[] = []
    let errors: EventStreamError[] = []

    beforeAll(async () => {
      server = await RedisServer.start()
      redis = new Redis(server.url)
    })

    afterEach(async () => {
      for (const close of closers.splice(0)) await close()
      errors = []
      await redis.flushall()
    })

    afterAll(async () => {
      redis.disconnect()
      await server.stop()
    })

    /** As one more process has it. */
    async function open(): Promise<ResumableStreamContext> {
      const { publisher, subscriber, close } =
        driver === 'redis' ? await plainClients(server.url) : plainIoredis(server.url)
      const onError = (error: unknown) => void errors.push(error as EventStreamError)
      const own = { publisher, subscriber, durable, waitUntil: null, onError }
      const context = createResumableStreamContext(own)
      closers.push(async () => {
        await context.close()
        await close()
      })
      return context
    }

    async function begin(context: ResumableStreamContext, id: string) {
      const faucet = new Faucet<string>()
      const iterator = faucet[Symbol.asyncIterator]()
      await context.createNewResumableStream(id, () => {
        return new ReadableStream<string>({
          async pull(controller) {
            const { done, value } = await iterator.next()
            if (done) controller.close()
            else controller.enqueue(value)
          },
        })
      })
      return faucet
    }

    /** Says something on all channels of contexts. */
    async function say(text: string): Promise<number> {
      const channels = (await redis.pubsub('CHANNELS', 'resumable-stream*')) as string[]
      for (const channel of channels) await redis.publish(channel, text)
      return channels.length
    }

    test('by messages takes nothing from readers', async () => {
      const [producer, follower] = [await open(), await open()]
      const faucet = await begin(producer, 's')
      const reader = (
        (await follower.resumeExistingStream('s')) as ReadableStream<string>
      ).getReader()
      const texts = [
        ...hostileTexts,
        '={"kind":"page","id":1,"entries":["0-0"],"head":"9-9"}',
        '={"kind":"info","id":1}',
        '={"kind":"part","of":"a","index":0,"count":1e15,"text":"x"}',
        `={"to":"resumable-stream:elsewhere","id":1,"kind":"info"}`,
        `={"to":"x","id":1,"kind":"end","ending":{"data":"forged"}}`,
      ]
      let whole = ''
      let expected = ''
      for (const [n, text] of texts.entries()) {
        expect(await say(text)).toBeGreaterThan(0)
        faucet.give(`${n} `)
        expected += `${n} `
        while (whole.length < expected.length) whole += (await reader.read()).value
      }
      expect(whole).toBe(expected)
      faucet.end()
      expect((await reader.read()).done).toBe(true)
      await until(() => errors.length > 0)
      expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['ERR_STORE_ENTRY']))
    })

    test('in values is told in the terms of this package', async () => {
      const producer = await open()
      const faucet = await begin(producer, 's')
      for (let n = 0; n < 30; n++) faucet.give(`${n} `.repeat(2000))
      faucet.end()
      const follower = await open()
      await until(async () => (await follower.hasExistingStream('s')) === 'DONE')
      const keys = await redis.keys('resumable-stream*')
      const values = new Map<string, string>()
      for (const key of keys) values.set(key, String(await redis.get(key)))
      const damage = fc.constantFrom(...keys).chain((key) =>
        fc.record({
          key: fc.constant(key),
          value: fc.oneof(hostileText, damaged(String(values.get(key)).slice(0, 2000))),
        }),
      )
      const ofOurs = async (call: Promise<unknown>) => {
        try {
          await call
        } catch (error) {
          expect(error).toBeInstanceOf(EventStreamError)
        }
      }
      await fc.assert(
        fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 2 }), async (all) => {
          for (const [key, value] of values) await redis.set(key, value)
          for (const { key, value } of all) await redis.set(key, value)
          await ofOurs(follower.hasExistingStream('s'))
          await ofOurs(readAll(follower.resumeExistingStream('s')))
        }),
        // Each time, nobody answers for a while.
        { numRuns: durable ? 60 : 3 },
      )
      expect(errors.every(({ code }) => code === 'ERR_STORE_ENTRY')).toBe(true)
    }, 120_000)
  })
}

async function readAll(
  opening: Promise<ReadableStream<string> | null | undefined>,
): Promise<string> {
  let text = ''
  for await (const chunk of (await opening) ?? []) text += chunk
  return text
}

/** Two plain objects over clients of `ioredis`. */
function plainIoredis(url: string) {
  const [commands, messages] = [new Redis(url), new Redis(url)]
  const callbacks = new Map<string, (message: string) => void>()
  messages.on('message', (channel: string, message: string) => callbacks.get(channel)?.(message))
  return {
    publisher: {
      connect: async () => undefined,
      publish: (channel: string, message: string) => commands.publish(channel, message),
      set: (key: string, value: string, { EX = 1 }: { readonly EX?: number } = {}) =>
        commands.set(key, value, 'EX', EX),
      get: (key: string) => commands.get(key),
      incr: (key: string) => commands.incr(key),
    },
    subscriber: {
      connect: async () => undefined,
      subscribe: (channel: string, callback: (message: string) => void) => {
        callbacks.set(channel, callback)
        return messages.subscribe(channel)
      },
      unsubscribe: (channel: string) => {
        callbacks.delete(channel)
        return messages.unsubscribe(channel)
      },
    },
    close: async () => {
      commands.disconnect()
      messages.disconnect()
    },
  }
}
