import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Command, Redis } from 'ioredis'
import { createClient, RESP_TYPES } from 'redis'
import { redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { closeAll, closers, dataOf, followed, logOf, packages } from '../../support/redis-models.js'
import { RedisServer } from '../../support/redis-server.js'
import { until } from '../../support/until.js'

describeWithRedis('redisEventLog, beside what a client has been told,', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  beforeEach(() => server.cli('FLUSHALL'))

  afterEach(closeAll)

  afterAll(() => server.stop())

  test('of redis takes answers as they are, whatever types the client maps them to', async () => {
    const typeMapping = {
      [RESP_TYPES.BLOB_STRING]: Buffer,
      [RESP_TYPES.SIMPLE_STRING]: Buffer,
      [RESP_TYPES.VERBATIM_STRING]: Buffer,
      [RESP_TYPES.NUMBER]: String,
    }
    const clients = [2, 3].flatMap((RESP) => {
      const client = createClient({
        url: server.url,
        RESP: RESP as 2,
        commandOptions: { typeMapping },
      })
      return [
        client,
        createClient({ url: server.url, RESP: RESP as 3 }).withTypeMapping(typeMapping),
      ]
    })
    for (const [i, client] of clients.entries()) {
      const log = logOf(client as never)
      await log.ready()
      const got = await followed(log, `a${i}`)
      const [appended] = await log.append(`a${i}`, [{ data: '"ü"', idempotencyKey: 'k' }])
      expect(appended?.id).toMatch(/^1-\d+$/)
      expect(await log.append(`a${i}`, [{ data: '"ü"', idempotencyKey: 'k' }])).toMatchObject([
        { id: appended?.id, duplicate: true },
      ])
      await until(() => got.length === 1)
      expect(await dataOf(log, `a${i}`)).toEqual(['"ü"'])
    }
  })

  test.each([
    ['a cache of its own', { RESP: 3, clientSideCache: { ttl: 0, maxEntries: 0 } }],
    ['a socket timeout', { socket: { socketTimeout: 200 } }],
    ['a queue for one command', { commandsQueueMaxLength: 1 }],
    ['an aborted signal', { commandOptions: { abortSignal: AbortSignal.abort() } }],
    ['a timeout for commands', { commandOptions: { timeout: 1 } }],
    ['READONLY', { readonly: true }],
  ])('of redis works beside %s', async (_name, options) => {
    const socket = { host: '127.0.0.1', port: server.port, ...Object(options).socket }
    const log = logOf(createClient({ ...(options as object), socket }) as never)
    await log.ready()
    const got = await followed(log, 'a')
    await Promise.all(['1', '2', '3'].map((data) => log.append('a', [{ data }])))
    await until(() => got.length === 3)
    expect(log.healths).toEqual([])
  })

  test('of redis asks the provider of credentials for each connection', async () => {
    const own = await RedisServer.start()
    closers.push(() => own.stop())
    await own.cli('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all')
    let password = 'first'
    const credentials = async () => ({ username: 'app', password })
    const log = logOf(
      createClient({
        socket: { host: '127.0.0.1', port: own.port },
        credentialsProvider: { type: 'async-credentials-provider', credentials },
      }) as never,
    )
    await log.ready()
    await own.cli('ACL', 'SETUSER', 'app', 'resetpass', '>second')
    password = 'second'
    await own.cli('CLIENT', 'KILL', 'USER', 'app')
    await log.append('a', [{ data: '1' }])
  })

  test('of redis, made of a URL, connects with a password that was set later', async () => {
    const own = await RedisServer.start()
    closers.push(() => own.stop())
    await own.cli('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all')
    const client = createClient({ url: `redis://app:first@127.0.0.1:${own.port}` })
    const log = logOf(client as never)
    await log.ready()
    await own.cli('ACL', 'SETUSER', 'app', 'resetpass', '>second')
    Object.assign(client.options, { password: 'second' })
    await own.cli('CLIENT', 'KILL', 'USER', 'app')
    await log.append('a', [{ data: '1' }])
  })

  test.each([
    ['numbers as text', { stringNumbers: true }],
    ['READONLY', { readOnly: true }],
    ['other shapes of answers', { protocol: 3, replyMapping: 'resp3' }],
    ['a timeout for commands', { commandTimeout: 1 }],
    ['a socket timeout', { socketTimeout: 1 }],
    ['reconnecting on every error', { reconnectOnError: () => 2 }],
    ['pipelines of its own', { enableAutoPipelining: true }],
    ['MONITOR', { monitor: true }],
    ['no check whether it is ready', { enableReadyCheck: false }],
  ])('of ioredis works beside %s', async (_name, options) => {
    const client = new Redis({ port: server.port, lazyConnect: true, ...(options as object) })
    const log = logOf(client)
    await log.ready()
    const got = await followed(log, 'a')
    await Promise.all(['1', '2', '3'].map((data) => log.append('a', [{ data }])))
    await until(() => got.length === 3)
    expect(await dataOf(log, 'a')).toEqual(['1', '2', '3'])
    expect(log.healths).toEqual([])
  })

  test('of ioredis takes answers as they are, whatever the application makes of those of its commands', async () => {
    for (const name of ['eval', 'evalsha', 'info', 'script', 'select']) {
      Command.setReplyTransformer(name, () => 'changed')
      closers.push(() => Reflect.deleteProperty(transformersOf(Command), name))
    }
    const log = logOf(packages.ioredis(server, { db: 1 }))
    await log.ready()
    await log.append('a', [{ data: '1' }])
    expect(await dataOf(log, 'a')).toEqual(['1'])
  })

  test('of ioredis goes where the client goes by then', async () => {
    const other = await RedisServer.start()
    closers.push(() => other.stop())
    const client = packages.ioredis(server)
    const log = logOf(client)
    await log.append('a', [{ data: '1' }])
    client.options.port = other.port
    await server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await log.append('a', [{ data: '2' }])
    expect(await other.cli('EXISTS', '{headwater:a}:s')).toBe(1)
  })

  test('of ioredis refuses one that reads from replicas', () => {
    const sentinels = [{ host: '127.0.0.1', port: 1 }]
    const redis = new Redis({ sentinels, name: 'main', role: 'slave', lazyConnect: true })
    expect(() => redisEventLog({ redis })).toThrow(
      expect.objectContaining({
        code: 'ERR_OPTION',
        message: expect.stringMatching(/role: 'slave'/),
      }),
    )
  })

  test.each([
    [{ keyPrefix: 7 }, /keyPrefix that is 7/],
    [{ keyPrefix: '\ud800' }, /keyPrefix that is/],
    [{ db: -1 }, /database that is -1/],
    [{ db: 1.5 }, /database that is 1\.5/],
  ])('of ioredis refuses %j', (options, message) => {
    const redis = new Redis({ lazyConnect: true, ...(options as object) })
    expect(() => redisEventLog({ redis })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringMatching(message) }),
    )
  })

  test.each(['/99', '?db=99'])(
    'a URL with the database %s says that there is none',
    async (path) => {
      const log = logOf(`${server.url}${path}`)
      await expect(log.ready()).rejects.toMatchObject({ code: 'ERR_OPTION' })
      await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject({ code: 'ERR_OPTION' })
      expect(await server.cli('DBSIZE')).toBe(0)
    },
  )

  test('a URL with two databases, or a keyPrefix, is refused', () => {
    for (const query of ['/1?db=2', '?keyPrefix=staging:', '?db=x']) {
      expect(() => redisEventLog({ redis: `${server.url}${query}` })).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION' }),
      )
    }
  })
})

function transformersOf(command: unknown): object {
  return (command as { _transformer: { reply: object } })._transformer.reply
}
