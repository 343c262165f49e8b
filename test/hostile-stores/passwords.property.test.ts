import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { EventStream, type EventStreamOptions } from '../../src/index.js'
import { statusPage } from '../../src/observe.js'
import { postgresEventLog, setUpPostgres } from '../../src/postgres.js'
import { type RedisClient, redisEventLog } from '../../src/redis.js'
import { createResumableStreamContext } from '../../src/resumable.js'
import { setUp } from '../support/app.js'
import { cli } from '../support/cli.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer } from '../support/redis-server.js'

jest.setTimeout(120_000)

/** What both ends of each password are, so that no part of it may be shown. */
const [begin, finish] = ['Qx7', 'Zk9']

/** As somebody types it, with nothing encoded. */
const password = fc
  .oneof(
    fc.constantFrom(
      '/',
      '@',
      '#',
      '?',
      ' ',
      ':',
      '%',
      '%2',
      '%zz',
      '%41',
      '\\',
      '"',
      '[',
      '&a=b',
      'ü€',
      '\ud83d\ude00',
    ),
    fc.string({ unit: 'grapheme', maxLength: 8 }),
    fc.constantFrom('/1@', '@h/0', '//', '://', '@@', '1/', '?x@', '#x@', '\t', '\n'),
  )
  .map((middle) => `${begin}${middle.toWellFormed()}${finish}`)

const shapes = (scheme: string, secret: string) => [
  `${scheme}://:${secret}@127.0.0.1:1`,
  `${scheme}://user:${secret}@127.0.0.1:1/0`,
  `${scheme}://user:${secret}@127.0.0.1:1/master/0`,
  `${scheme}://user:${secret}@127.0.0.1:1,127.0.0.1:2/master`,
  `${scheme}://user:${secret}@127.0.0.1:1/no/path`,
  `${scheme}://user:${secret}@127.0.0.1:99999/0`,
  `${scheme}://user:${secret}@/0`,
  `${scheme}://user:${secret}@`,
  // Where there is no host, what is behind an @ would be one.
  `${scheme}://user:${secret.replaceAll('@', '')}`,
  `${scheme}://:${secret.replaceAll('@', '')}`,
  `${scheme}:/user:${secret}@127.0.0.1:1`,
  `${scheme}//user:${secret}@127.0.0.1:1`,
  `user:${secret}@127.0.0.1:1`,
  `${scheme}://127.0.0.1:1/0?password=${secret}`,
  `${scheme}://user:${secret}@no such host/0`,
]

const url = (...schemes: string[]) =>
  fc.tuple(fc.constantFrom(...schemes), password, fc.nat(20)).map(([scheme, secret, n]) => {
    const all = shapes(scheme, secret)
    return all[n % all.length] as string
  })

/** What applications may print of something. */
function shown(value: unknown): string {
  const { message = '', stack = '' } = Object(value) as Partial<Error>
  return [String(value), message, stack, inspect(value, { depth: 10, showHidden: true })].join('\n')
}

function expectNoPassword(...values: unknown[]): void {
  for (const value of values) {
    const text = shown(value)
    expect(text).not.toContain(begin)
    expect(text).not.toContain(finish)
  }
}

describe('the password of a URL', () => {
  const warnings: unknown[] = []
  const onWarning = (warning: unknown) => void warnings.push(warning)
  beforeAll(() => void process.on('warning', onWarning))
  afterAll(() => void process.off('warning', onWarning))

  /** What can be seen of a log that was made in this way. */
  async function everythingOf(make: () => ReturnType<typeof redisEventLog>): Promise<unknown[]> {
    const seen: unknown[] = []
    try {
      const log = make()
      // An address that nobody answers at.
      await log.ready().catch((error) => seen.push(error))
      await log.append('a', [{ data: '1' }]).catch((error) => seen.push(error))
      seen.push(log.health())
      await log.close()
    } catch (error) {
      seen.push(error)
    }
    return seen
  }

  const onHealth = (seen: unknown[]) => (health: unknown) => void seen.push(health)

  test('is nowhere in what a log in Redis says', async () => {
    await fc.assert(
      fc.asyncProperty(url('redis', 'rediss', 'redis+sentinel', 'http', 'x'), async (redis) => {
        const seen: unknown[] = []
        const make = () => redisEventLog({ redis, timeoutMs: 50, onHealth: onHealth(seen) })
        seen.push(...(await everythingOf(make)))
        expectNoPassword(...seen, ...warnings)
      }),
      { numRuns: 150 },
    )
  })

  test('is nowhere in what a log in Postgres says', async () => {
    await fc.assert(
      fc.asyncProperty(url('postgres', 'postgresql', 'mysql'), async (pool) => {
        const seen: unknown[] = []
        const make = () => postgresEventLog({ pool, timeoutMs: 50, onHealth: onHealth(seen) })
        seen.push(...(await everythingOf(make)))
        await setUpPostgres(pool).catch((error) => seen.push(error))
        expectNoPassword(...seen, ...warnings)
      }),
      { numRuns: 150 },
    )
  })

  test('is nowhere in what options say that have it in a wrong place', () => {
    fc.assert(
      fc.property(url('redis', 'postgres', 'http'), (text) => {
        // Of an option that is no address, only what looks like one is taken for one.
        const isAddress = /^[a-z]+:\/\/[\s\S]*@/.test(text)
        const options = [
          { log: text },
          { redis: { url: text } },
          { grip: text },
          { grip: { control_uri: text } },
          { grip: [{ control_uri: text, key: text }] },
          ...(isAddress ? [{ gripPrefix: text }, { gripBasePath: text }, { [text]: 1 }] : []),
          ...(isAddress ? [{ keepAlive: text }, { maxConnections: text }] : []),
        ]
        for (const wrong of options) {
          const errors: unknown[] = []
          try {
            new EventStream(wrong as unknown as EventStreamOptions)
          } catch (error) {
            errors.push(error)
          }
          expectNoPassword(...errors, ...warnings)
        }
      }),
      { numRuns: 100 },
    )
  })

  test('is nowhere in what a context of resumable streams says', async () => {
    const { REDIS_URL } = process.env
    await fc.assert(
      fc.asyncProperty(url('redis', 'rediss', 'x'), fc.boolean(), async (text, durable) => {
        process.env.REDIS_URL = text
        const seen: unknown[] = []
        const onError = (error: unknown) => void seen.push(error)
        try {
          const context = createResumableStreamContext({ waitUntil: null, durable, onError })
          const asked = context.hasExistingStream('a').catch((error) => seen.push(error))
          await context.close()
          await asked
        } catch (error) {
          seen.push(error)
        }
        expectNoPassword(...seen, ...warnings)
      }),
      { numRuns: 60 },
    )
    if (REDIS_URL === undefined) delete process.env.REDIS_URL
    else process.env.REDIS_URL = REDIS_URL
  })

  test.each([
    ['postgres', 'setup', '--url'],
    ['postgres', 'setup'],
    ['postgres', 'purge', '--url'],
    ['postgres', '--urll'],
    ['doctor'],
    ['doctor', '--origin'],
    ['doctor', 'http://127.0.0.1:1', '--header'],
  ])('is nowhere in what the command says: %s %s %s', async (...args) => {
    const given = args.filter((arg) => arg !== undefined)
    for (const secret of [`${begin}/${finish}`, `${begin}@${finish}`, `${begin}#?${finish}`]) {
      const results = await Promise.all(
        [`postgres://user:${secret}@127.0.0.1:1/db`, `user:${secret}@127.0.0.1:1`].map((text) =>
          cli(...given, text),
        ),
      )
      for (const { text, code } of results) {
        expect(code).not.toBe(0)
        expectNoPassword(text)
      }
    }
    const joined = await cli(...given.slice(0, -1), `${given.at(-1)}=postgres://u:${begin}@h/db`)
    expectNoPassword(joined.text)
  })
})

describeWithRedis('a password that Redis does not take, or does', () => {
  const clients = {
    'a URL': (text: string) => text,
    ioredis: (text: string) => new Redis(text, { lazyConnect: true }),
    redis: (text: string) => createClient({ url: text }) as unknown as RedisClient,
  }

  let server: RedisServer
  const right = `${begin}/a@b#c?d e%41:ü${finish}`

  beforeAll(async () => {
    server = await RedisServer.start({ password: right })
  })

  afterAll(() => server.stop())

  test.each(Object.entries(clients))(
    'is nowhere in what the server makes us say, by %s',
    async (_name, make) => {
      const wrong = encodeURIComponent(`${begin}wrong${finish}`)
      const seen: unknown[] = []
      const log = redisEventLog({
        redis: make(`redis://user:${wrong}@127.0.0.1:${server.port}`),
        timeoutMs: 500,
        onHealth: (health) => void seen.push(health),
      })
      const { eventStream, app, serve } = setUp({ log, onError: (error) => void seen.push(error) })
      app.use('/status', statusPage(eventStream))
      await log.ready().catch((error) => seen.push(error))
      await eventStream.publishEvent('a', { data: 1 }).catch((error) => seen.push(error))
      const request = await serve()
      const page = await request('/status?data')
      await page.end()
      expect(seen.length).toBeGreaterThan(1)
      expectNoPassword(...seen, log.health(), eventStream.health(), page.text)
      await log.close()
    },
  )

  test.each([true, false])('is nowhere in what a context says: durable %j', async (durable) => {
    const { REDIS_URL } = process.env
    const wrong = encodeURIComponent(`${begin}wrong${finish}`)
    process.env.REDIS_URL = `redis://user:${wrong}@127.0.0.1:${server.port}`
    const seen: unknown[] = []
    const onError = (error: unknown) => void seen.push(error)
    const context = createResumableStreamContext({ waitUntil: null, durable, onError })
    await context.hasExistingStream('a').catch(onError)
    await context.close()
    if (REDIS_URL === undefined) delete process.env.REDIS_URL
    else process.env.REDIS_URL = REDIS_URL
    expect(seen).not.toEqual([])
    expectNoPassword(...seen)
  })

  test('may be in a URL as it is typed', async () => {
    const log = redisEventLog({
      redis: `redis://:${right.replace('%41', '%2541')}@127.0.0.1:${server.port}/0`,
    })
    await log.ready()
    await log.close()
  })

  test('may be in a URL with each special character alone, encoded or not', async () => {
    const admin = new Redis({ port: server.port, password: right })
    for (const special of ['/', '@', '#', '?', ' ', ':', '%', '&', '\\', '[', 'ü€', '+', '=']) {
      const word = `a1${special}b2@c3`
      await admin.call('ACL', 'SETUSER', 'app', 'reset', 'on', `>${word}`, '~*', '&*', '+@all')
      for (const typed of [word, encodeURIComponent(word)]) {
        const log = redisEventLog({ redis: `redis://app:${typed}@127.0.0.1:${server.port}/0` })
        await log.ready()
        await log.close()
      }
    }
    admin.disconnect()
  })
})
