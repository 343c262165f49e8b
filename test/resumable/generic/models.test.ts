import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { createResumableStreamContext } from '../../../src/resumable.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { until } from '../../support/until.js'

const closers: (() => unknown)[] = []

/** What is read of a stream by now. */
function reading(stream: ReadableStream<string> | null | undefined) {
  const read = { text: '', done: Promise.resolve() }
  read.done = (async () => {
    for await (const part of stream ?? []) read.text += part
  })()
  return read
}

describeWithRedis('a context on clients of an application', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  beforeEach(() => server.cli('FLUSHALL'))

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  afterAll(() => server.stop())

  const clients = {
    ioredis: (options: { keyPrefix?: string; db?: number }) => {
      const client = new Redis({ port: server.port, ...options })
      closers.push(() => client.disconnect())
      return client
    },
    redis: ({ db, ...options }: { keyPrefix?: string; db?: number }) => {
      const client = createClient({
        socket: { host: '127.0.0.1', port: server.port },
        ...(db === undefined ? {} : { database: db }),
        ...options,
      })
      client.on('error', () => undefined)
      closers.push(() => client.isOpen && client.destroy())
      return client
    },
  }

  test.each([
    ['ioredis', 'keyPrefixes', [{ keyPrefix: 'staging:' }, { keyPrefix: 'production:' }], false],
    ['ioredis', 'databases', [{ db: 1 }, { db: 2 }], false],
    ['redis', 'keyPrefixes', [{ keyPrefix: 'staging:' }, { keyPrefix: 'production:' }], false],
    ['redis', 'databases', [{ db: 1 }, { db: 2 }], false],
    ['ioredis', 'keyPrefixes', [{ keyPrefix: 'staging:' }, { keyPrefix: 'production:' }], true],
    ['redis', 'databases', [{ db: 1 }, { db: 2 }], true],
  ] as const)(
    'of %s with two %s keeps streams of one id apart',
    async (name, _what, [staging, production], durable) => {
      const contextOf = (options: { keyPrefix?: string; db?: number }) =>
        createResumableStreamContext({
          waitUntil: null,
          durable,
          publisher: clients[name](options) as never,
          subscriber: clients[name](options) as never,
        })
      const made: ReadableStreamDefaultController<string>[] = []
      const source = () =>
        new ReadableStream<string>({
          start(controller) {
            made.push(controller)
          },
        })
      const first = await contextOf(staging).createNewResumableStream('one', source)
      const second = await contextOf(production).createNewResumableStream('one', source)
      const resumed = await contextOf(production).resumeExistingStream('one')
      const texts = [first, second, resumed].map(reading)
      const expected = ['of staging', 'of production', 'of production']
      made[0]?.enqueue('of staging')
      made[1]?.enqueue('of production')
      await until(() => texts.every(({ text }) => text !== ''))
      for (const controller of made) controller.close()
      await Promise.all(texts.map(({ done }) => done))
      expect(texts.map(({ text }) => text)).toEqual(expected)
    },
  )

  test.each([true, false])(
    'for a URL says that there is no such database (durable: %s)',
    async (durable) => {
      process.env.REDIS_URL = `${server.url}/99`
      closers.push(() => Reflect.deleteProperty(process.env, 'REDIS_URL'))
      const errors: unknown[] = []
      const context = createResumableStreamContext({
        waitUntil: null,
        durable,
        onError: (error) => errors.push(error),
      })
      await expect(context.hasExistingStream('one')).rejects.toMatchObject({
        code: 'ERR_OPTION',
        message: expect.stringMatching(/Redis has no database/),
      })
      expect(await server.cli('DBSIZE')).toBe(0)
    },
  )
})
