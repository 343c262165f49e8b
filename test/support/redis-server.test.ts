import { afterEach, expect, test } from '@jest/globals'
import { describeWithRedis } from './describe-with-redis.js'
import { RedisServer, type RedisServerOptions } from './redis-server.js'

describeWithRedis('RedisServer', () => {
  const servers: RedisServer[] = []

  const start = async (options?: RedisServerOptions) => {
    const server = await RedisServer.start(options)
    servers.push(server)
    return server
  }

  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop()
  })

  test('forgets all in a restart by default', async () => {
    const server = await start()
    await server.cli('SET', 'a', 1)
    const { pid } = server
    await server.restart()
    expect(await server.cli('GET', 'a')).toBeNull()
    expect(server.pid).not.toBe(pid)
  })

  test('keeps what is appended to a file, unless the restart is an empty one', async () => {
    const server = await start({ appendOnly: 'always' })
    await server.cli('SET', 'a', 1)
    await server.kill()
    await expect(server.cli('GET', 'a')).rejects.toThrow()
    await server.restart()
    expect(await server.cli('GET', 'a')).toBe('1')
    await server.restart({ empty: true })
    expect(await server.cli('GET', 'a')).toBeNull()
  })

  test('answers nothing while it is frozen, and all of it once it is thawed', async () => {
    const [frozen, clock] = [await start(), await start()]
    frozen.freeze()
    const answers: unknown[] = []
    const answered = frozen.cli('INCR', 'a').then((n) => answers.push(n))
    for (let n = 0; n < 20; n++) await clock.cli('PING')
    expect(answers).toEqual([])
    frozen.thaw()
    await answered
    expect(answers).toEqual([1])
  })

  test('can be ended while it is frozen', async () => {
    const server = await start()
    const { pid } = server
    server.freeze()
    await server.stop()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  test('wants its password, and its URL has it', async () => {
    const server = await start({ password: 'p@ss:word' })
    expect(server.url).toBe(`redis://:p%40ss%3Aword@127.0.0.1:${server.port}`)
    expect(await server.cli('PING')).toBe('PONG')
  })

  test('refuses writes when its memory is full, or drops keys where the policy says so', async () => {
    const fill = async (server: RedisServer) => {
      for (let n = 0; n < 10; n++) await server.cli('SET', n, 'x'.repeat(1_000_000))
    }
    await expect(fill(await start({ maxMemory: '8mb' }))).rejects.toThrow('OOM')
    await fill(await start({ maxMemory: '8mb', policy: 'allkeys-lru' }))
  })

  test('counts commands', async () => {
    const server = await start()
    await server.cli('SET', 'a', 1)
    await server.resetStats()
    await server.cli('GET', 'a')
    await server.cli('GET', 'a')
    const calls = await server.commandCalls()
    expect(calls.get?.calls).toBe(2)
    expect(Object.keys(calls).sort()).toEqual(['config|resetstat', 'get'])
  })

  test('a replica copies its master until it is promoted, also after a restart', async () => {
    const master = await start({ password: 'secret' })
    await master.cli('SET', 'a', 1)
    const replica = await start({ password: 'secret', replicaOf: master })
    expect(await replica.cli('GET', 'a')).toBe('1')
    await expect(replica.cli('SET', 'a', 2)).rejects.toThrow('READONLY')
    await master.kill()
    await replica.restart()
    await expect(replica.cli('SET', 'a', 2)).rejects.toThrow('READONLY')
    await replica.promote()
    await replica.restart()
    expect(await replica.cli('SET', 'a', 2)).toBe('OK')
  })
})
