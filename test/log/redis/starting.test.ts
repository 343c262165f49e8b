import { createServer, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { EventStream } from '../../../src/index.js'
import { type RedisClient, redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { freePort } from '../../support/free-port.js'
import { RedisServer } from '../../support/redis-server.js'

type Log = ReturnType<typeof redisEventLog>

const open: Log[] = []
const closers: (() => void)[] = []

function logOf(redis: string | RedisClient, options = {}): Log {
  const log = redisEventLog({ redis, timeoutMs: 1000, onHealth: () => undefined, ...options })
  open.push(log)
  return log
}

/** Something at a port that is no Redis we could use, and what there was no other way to have here. */
async function listen(onSocket: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    closers.push(() => socket.destroy())
    onSocket(socket)
  })
  closers.push(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `redis://127.0.0.1:${(server.address() as { port: number }).port}`
}

/** Answers like a Redis 6.0, which Debian has no longer. */
function answerAsOldRedis(socket: Socket): void {
  const info = '# Server\r\nredis_version:6.0.16\r\nloading:0\r\n'
  const hello =
    '*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.0.16\r\n$5\r\nproto\r\n:2\r\n'
  socket.on('data', (data) => {
    for (const command of String(data).split(/(?=^\*)/m)) {
      if (/\r\nINFO\r\n/i.test(command)) socket.write(`$${info.length}\r\n${info}\r\n`)
      else socket.write(/\r\nHELLO\r\n/i.test(command) ? hello : '+OK\r\n')
    }
  })
}

afterEach(async () => {
  for (const log of open.splice(0)) await log.close()
  for (const close of closers.splice(0)) close()
})

describe('redisEventLog, given what cannot work,', () => {
  test.each([
    ['', /redis is ""; give a URL such as redis:\/\/127\.0\.0\.1:6379/],
    ['localhost:6379', /give a URL/],
    ['http://localhost', /give a URL/],
    ['redis://user:secret@host/zero', /redis is "redis:\/\/…"; .* encodeURIComponent/],
    ['redis+sentinel://host:26379', /redis\+sentinel:\/\/host:26379,host:26379\/master/],
    ['redis+sentinel://host:99999/main', /give a URL/],
    [7, /redis is 7; give a URL .* or a client/],
    [undefined, /redis is undefined/],
    [{}, /redis is an object/],
  ])('refuses %j as an address at once', (redis, message) => {
    expect(() => redisEventLog({ redis: redis as string })).toThrow(message)
    expect(() => redisEventLog({ redis: redis as string })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    )
  })

  test.each([
    [{ prefix: 'a{b}' }, /prefix is "a\{b\}"; give 1 to 100 letters/],
    [{ maxEvents: 0 }, /maxEvents is 0/],
    [{ timeoutMs: 1.5 }, /timeoutMs is 1\.5/],
    [{ waitReplicas: -1 }, /waitReplicas is -1/],
    [{ onHealth: 'warn' }, /onHealth is "warn"; give a function/],
    [{ maxevents: 5 }, /no option "maxevents"; it has redis, prefix/],
  ])('refuses %j', (options, message) => {
    expect(() => redisEventLog({ redis: 'redis://127.0.0.1', ...(options as object) })).toThrow(
      message,
    )
  })

  test('refuses a log and a Redis at once', () => {
    const log = logOf('redis://127.0.0.1:1')
    expect(() => new EventStream({ log, redis: 'redis://127.0.0.1' })).toThrow(
      /log and redis are both given/,
    )
  })
})

describe.each<[string, (url: string) => string | RedisClient]>([
  ['a URL', (url) => url],
  ['a client of ioredis', (url) => new Redis(url, { lazyConnect: true })],
  ['a client of redis', (url) => createClient({ url })],
])('ready(), with %s,', (_name, clientOf) => {
  test('says that nothing answers at the address', async () => {
    const log = logOf(clientOf(`redis://127.0.0.1:${await freePort()}`))
    await expect(log.ready()).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/cannot connect to Redis: .*ECONNREFUSED.*check the URL/),
    })
    expect(log.health().state).toBe('down')
  })

  test('says that the host is unknown', async () => {
    await expect(logOf(clientOf('redis://no-such-host.invalid')).ready()).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/),
    })
  })

  test('says that something listens and is silent', async () => {
    const log = logOf(clientOf(await listen(() => undefined)))
    await expect(log.ready()).rejects.toMatchObject({ code: 'ERR_LOG_UNAVAILABLE' })
  })

  test('says which version it is, and which it needs', async () => {
    const log = logOf(clientOf(await listen(answerAsOldRedis)))
    const tooOld = {
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/Redis 6\.0\.16, .* needs 6\.2 or later/),
    }
    await expect(log.ready()).rejects.toMatchObject(tooOld)
    await expect(log.append('a', [{ data: '1' }])).rejects.toMatchObject(tooOld)
  })
})

describeWithRedis('ready(), with a Redis that wants more,', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start({ password: 'secret' })
  })

  afterAll(() => server.stop())

  test.each([
    ['no password', (port: number) => `redis://127.0.0.1:${port}`],
    ['a wrong one', (port: number) => `redis://:guess@127.0.0.1:${port}`],
  ])('says that %s will not do', async (_name, urlOf) => {
    for (const redis of [urlOf(server.port), createClient({ url: urlOf(server.port) })]) {
      await expect(logOf(redis).ready()).rejects.toMatchObject({
        code: 'ERR_LOG_REFUSED',
        message: expect.stringMatching(/(?:NOAUTH|WRONGPASS).*give the right user and password/),
      })
    }
  })

  test('resolves with the right password, and leaves nothing behind', async () => {
    const log = logOf(server.url)
    await log.ready()
    expect(log.health().state).toBe('up')
    expect(await server.cli('DBSIZE')).toBe(0)
  })

  test('says that a user may not do what is needed', async () => {
    await server.cli('ACL', 'SETUSER', 'reader', 'on', '>pass', '~*', '&*', '+@all', '-xadd')
    const log = logOf(`redis://reader:pass@127.0.0.1:${server.port}`)
    await expect(log.ready()).rejects.toMatchObject({
      code: 'ERR_LOG_REFUSED',
      message: expect.stringMatching(/can't run this command.*Allow this user/),
    })
  })

  test('a key that is something else fails its channel, says so, and harms no other', async () => {
    await server.cli('SET', '{headwater:a}:m', 'something else')
    const log = logOf(server.url)
    for (const call of [() => log.append('a', [{ data: '1' }]), () => log.heads(['a'])]) {
      await expect(call()).rejects.toMatchObject({
        code: 'ERR_LOG_REFUSED',
        message: expect.stringMatching(/WRONGTYPE.*give the log a prefix of its own/),
      })
    }
    expect(await log.append('b', [{ data: '1' }])).toHaveLength(1)
  })

  test('a client that was given stays as it was', async () => {
    const client = new Redis(server.url)
    const log = logOf(client)
    await log.ready()
    await log.close()
    expect(await client.ping()).toBe('PONG')
    client.disconnect()
  })

  test('an event stream is ready when its log is, and tells so', async () => {
    const eventStream = new EventStream({ redis: server.url })
    await eventStream.ready()
    expect(eventStream.health()).toMatchObject({ isHealthy: true, log: { state: 'up' } })
    await eventStream.close()
    expect(eventStream.health()).toMatchObject({ isHealthy: false, isClosing: true })
  })
})
