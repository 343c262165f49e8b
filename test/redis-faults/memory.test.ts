import { afterEach, expect, test } from '@jest/globals'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer, type RedisServerOptions } from '../support/redis-server.js'
import { allowTime, expectKeptPromise, runScenario } from './run-scenario.js'

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describeWithRedis('while the memory of Redis is full', () => {
  allowTime()
  let server: RedisServer

  const start = async (options: RedisServerOptions) => {
    server = await RedisServer.start(options)
    return { url: server.url }
  }

  afterEach(() => server.stop())

  test('publishing is refused, and goes on when there is room again', async () => {
    const source = await start({ policy: 'noeviction' })
    const report = await runScenario('memory full', {
      source,
      isDurable: true,
      strike: async () => {
        await server.cli('CONFIG', 'SET', 'maxmemory', '1mb')
        await delay(Math.random() * 500)
        await server.cli('CONFIG', 'SET', 'maxmemory', '0')
      },
    })
    expectKeptPromise(report)
    expect(report.resets).toBe(0)
    expect(Object.keys(report.rejected)).toEqual(['ERR_LOG_REFUSED'])
  })

  test('channels that are evicted are announced', async () => {
    const source = await start({ maxMemory: '16mb', policy: 'allkeys-lru' })
    const report = await runScenario('evicted', {
      source,
      padding: 2000,
      strike: () => delay(0),
    })
    expectKeptPromise(report)
    expect(Number((await server.info('stats')).evicted_keys)).toBeGreaterThan(0)
    expect(report.resets).toBeGreaterThan(0)
  })
})
