import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { memoryEventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { freePort } from '../support/free-port.js'
import { RedisServer } from '../support/redis-server.js'
import { spawnTypeScript } from '../support/spawn-typescript.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

describe('publish', () => {
  test('publishes as publishEvent does, in the order of calls of both', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await (await serve())('/events')).opened()
    const publisher = eventStream.getChannelPublisher('a')
    expect(eventStream.publish('a', { event: 'tick', data: 1 })).toBeUndefined()
    void eventStream.publishEvent('a', { data: 2 })
    expect(publisher.publish({ data: 3 })).toBeUndefined()
    await client.received(3)
    expect(client.data).toEqual([1, 2, 3])
  })

  test('tells onError what could not be published, and why, and throws nothing', async () => {
    const told: { cause: unknown }[] = []
    const log = memoryEventLog()
    const down = new Error('the log is away')
    const { eventStream } = setUp({
      log: wrapLog(log, { append: () => Promise.reject(down) }),
      schemas: { checked: { message: z.number() } },
      onError: (error) => told.push(error as never),
    })
    const publish = (channel: string, event: object) =>
      eventStream.publish(channel as 'checked', event as never)
    publish('a', { text: 'hi' })
    publish('room-{id}', { data: 1 })
    publish('checked', { data: 'text' })
    publish('a', { data: 1 })
    eventStream.getChannelPublisher('checked').publish(7 as never)
    await until(() => told.length === 5)
    const error = { name: 'EventStreamError', code: 'ERR_PUBLISH', status: 500 }
    expect(told).toMatchObject(Array(5).fill(error))
    expect(told.map(({ cause }) => Object(cause).code ?? cause).sort()).toEqual(
      ['ERR_CHANNEL', 'ERR_EVENT', 'ERR_EVENT', 'ERR_SCHEMA', down].sort(),
    )
    expect(told.map(String)).toContain(
      'EventStreamError: An event for "a", which nobody waited for, was not published: the log is away',
    )
  })

  test('tells nobody that a proxy is away, whose clients have the event when it is back', async () => {
    const told: unknown[] = []
    const { eventStream } = setUp({
      grip: `http://127.0.0.1:${await freePort()}/?iss=pushpin&key=changeme`,
      onError: (error) => told.push(Object(error).code),
    })
    eventStream.publish('a', { data: 1 })
    await until(() => told.length > 0)
    eventStream.publish('a', { data: 2 })
    await expect(eventStream.publishEvent('a', { data: 3 })).rejects.toMatchObject({
      code: 'ERR_PUBLISH_PARTIAL',
    })
    expect(told).toEqual(['ERR_PROXY_UNAVAILABLE'])
  })
})

describeWithRedis(
  'a publish that nobody waits for, while Redis is away for more than five seconds',
  () => {
    let server: RedisServer
    beforeAll(async () => {
      server = await RedisServer.start()
    })
    afterAll(() => server.stop())

    /** A process that publishes by the call when it is told that Redis is gone; what it prints, and its exit code. */
    async function run(call: string) {
      const child = spawnTypeScript(
        `
        import { EventStream } from '../../src/index.js'
        const eventStream = new EventStream({
          redis: process.argv[1],
          onError: ({ code, cause, message }) => console.log('told', code, cause?.code, message),
        })
        process.on('SIGUSR2', () => {
          for (const data of [1, 2, 3]) ${call}
          setTimeout(() => {
            console.log('alive')
            process.exit()
          }, 7000)
        })
        eventStream.ready().then(() => console.log('ready'))
      `,
        server.url,
      )
      const exited = once(child, 'exit')
      const lines: string[] = []
      createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
      await until(() => lines.includes('ready'))
      await server.kill()
      child.kill('SIGUSR2')
      const [code] = await exited
      await server.restart()
      return { code, lines: lines.slice(1) }
    }

    test('ends the process, where it is publishEvent', async () => {
      expect(await run(`eventStream.publishEvent('a', { data })`)).toMatchObject({ code: 1 })
    }, 30_000)

    test('is told to onError, and the process lives, where it is publish', async () => {
      const { code, lines } = await run(`eventStream.publish('a', { data })`)
      expect([code, lines.at(-1)]).toEqual([0, 'alive'])
      const told = lines.filter((line) => line.startsWith('told ERR_PUBLISH ERR_LOG_UNAVAILABLE'))
      expect(told).toHaveLength(3)
      expect(told[0]).toMatch(
        /An event for "a", which nobody waited for, was not published: .*Redis/,
      )
    }, 30_000)
  },
)
