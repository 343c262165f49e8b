import { afterEach, expect, test } from '@jest/globals'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { RedisServer, type RedisServerOptions } from '../support/redis-server.js'
import { allowTime, expectKeptPromise, isLong, runScenario } from './run-scenario.js'

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describeWithRedis('while Redis fails', () => {
  allowTime()
  let server: RedisServer

  const start = async (options?: RedisServerOptions) => {
    server = await RedisServer.start(options)
    return { url: server.url }
  }

  afterEach(() => server.stop())

  const killConnections = () =>
    server.cli('CLIENT', 'KILL', 'TYPE', Math.random() < 0.5 ? 'normal' : 'pubsub')

  const restart = async () => {
    await server.kill()
    await delay(Math.random() * 500)
    await server.restart()
  }

  const freeze = async () => {
    server.freeze()
    await delay(isLong ? 10_000 * Math.random() : 2000)
    server.thaw()
  }

  test('nothing is lost when connections of commands or messages are killed', async () => {
    const source = await start()
    const report = await runScenario('connections killed', {
      source,
      pauseMs: 300,
      isDurable: true,
      strike: killConnections,
    })
    expectKeptPromise(report)
    expect(report.resets).toBe(0)
  })

  test('nothing is lost when Redis is killed and has all on disk', async () => {
    const source = await start({ appendOnly: 'always' })
    const report = await runScenario('killed', { source, isDurable: true, strike: restart })
    expectKeptPromise(report)
    expect(report.resets).toBe(0)
  })

  test('what is lost is announced when Redis is killed and comes back empty', async () => {
    const source = await start()
    const report = await runScenario('killed and empty', {
      source,
      pauseMs: 1500,
      strike: () => server.restart({ empty: true }),
    })
    expectKeptPromise(report)
    expect(report.resets).toBeGreaterThan(0)
  })

  test('nothing is lost when Redis stands still', async () => {
    const source = await start()
    const report = await runScenario('frozen', { source, isDurable: true, strike: freeze })
    expectKeptPromise(report)
    expect(report.resets).toBe(0)
  })

  test('nothing is lost when app processes are killed', async () => {
    const source = await start()
    const report = await runScenario('app processes killed', {
      source,
      isDurable: true,
      strike: (run) => run.replaceApp(),
    })
    expectKeptPromise(report)
    expect(report.resets).toBe(0)
  })

  test('what is lost is announced when all keys are removed', async () => {
    const source = await start()
    const report = await runScenario('all removed', {
      source,
      strike: () => server.cli('FLUSHALL'),
    })
    expectKeptPromise(report)
    expect(report.resets).toBeGreaterThan(0)
  })

  test('what is trimmed while a client is away is announced', async () => {
    const source = await start()
    const report = await runScenario('trimmed', {
      source,
      logOptions: { maxEvents: 300 },
      maxLag: Number.POSITIVE_INFINITY,
      awayMs: 2000,
      strike: () => delay(0),
    })
    expectKeptPromise(report)
    expect(report.resets).toBeGreaterThan(0)
  })

  test('nothing is lost when all of this comes at random', async () => {
    const source = await start({ appendOnly: 'always' })
    const faults = [restart, freeze, killConnections]
    const report = await runScenario('soup', {
      source,
      isDurable: true,
      strike: async (run) => {
        const fault = faults[Math.floor(Math.random() * 4)]
        await (fault === undefined ? run.replaceApp() : fault())
      },
    })
    expectKeptPromise(report)
    expect(report.resets).toBe(0)
  })
})
