import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { EventLog } from '../../src/index.js'
import { redisEventLog } from '../../src/redis.js'
import { AppProcess } from '../redis-faults/app-process.js'
import { describeWithNginx } from '../support/describe-with-nginx.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { freePort } from '../support/free-port.js'
import { Nginx } from '../support/nginx.js'
import { Pushpin, type PushpinOptions } from '../support/pushpin.js'
import { RedisServer } from '../support/redis-server.js'
import { GripRun, isLong, retryMs, seconds, unlimited } from './run.js'
import { allowTime, expectKeptPromise, tell } from './scene.js'

describeWithPushpin('origins of clients that Pushpin holds', () => {
  describeWithRedis('with a Redis log', () => {
    allowTime()
    let server: RedisServer
    let log: EventLog
    let port: number
    let pushpin: Pushpin | undefined
    let nginx: Nginx | undefined
    let run: GripRun
    let apps: AppProcess[]

    beforeEach(async () => {
      apps = []
      server = await RedisServer.start()
      log = redisEventLog({ ...unlimited, redis: server.url })
      port = await freePort()
      await startPushpin()
    })

    afterEach(async () => {
      run.stop()
      for (const app of apps) await app.kill()
      await pushpin?.stop()
      await nginx?.stop()
      pushpin = undefined
      nginx = undefined
      await log?.close()
      await server?.stop()
    })

    /** By default it waits a second for an event that should come before another. */
    async function startPushpin({ handler, ...options }: PushpinOptions = {}) {
      await pushpin?.stop()
      pushpin = await Pushpin.start({
        origin: port,
        handler: { message_rate: undefined, message_wait: 1000, ...handler },
        ...options,
      })
      run = new GripRun(pushpin.url)
    }

    /** @param at - By default where Pushpin sends requests. */
    async function start(channels: readonly string[], { pauseMs = 100, at = port } = {}) {
      const producer = `p${apps.length}`
      const app = await AppProcess.start(
        {
          producer,
          channels,
          source: { url: server.url },
          driver: apps.length % 2 === 0 ? 'ioredis' : 'redis',
          logOptions: unlimited,
          inFlight: 4,
          padding: 0,
          flaw: undefined,
          port: at,
          pauseMs,
          routeOptions: { retryMs },
          gripOptions: { grip: pushpin?.gripUrl },
        },
        run.hear,
      )
      apps.push(app)
      return app
    }

    function checkAlive() {
      for (const app of apps) app.checkAlive()
      expect(apps.flatMap(({ lines }) => lines)).toEqual([])
    }

    test('two publish to the same channel, and all clients see one order', async () => {
      const both = [await start(['a']), await start(['a'], { at: 0 })]
      await run.connect(20, ['a'])
      for (const app of both) app.send('start')
      // Both publish some 80 a second, on a machine that is not busy.
      const longestMs = 30_000 + seconds * 2000
      await run.until('much is published', () => run.published > seconds * 60, longestMs)
      for (const app of both) await app.order('finish')

      const report = tell('two origins', await run.finish(log))
      expectKeptPromise(report)
      expect(report).toMatchObject({ reconnects: report.sentAway + report.silences, partial: 0 })
      checkAlive()
    })

    /** Kills one of two again and again, while both publish. */
    async function killOne() {
      const channels = ['a', 'b', 'c']
      let app = await start(channels)
      const other = await start(channels, { at: 0 })
      await run.connect(20, ['a'], ['b'], ['a', 'b', 'c'])
      // A client that comes back while the one is away is answered 502 by what stands before it.
      run.place = { ...run.place, mayRefuse: true }
      for (const each of [app, other]) each.send('start')
      const startedAt = performance.now()
      let kills = 0
      while (kills < 2 || performance.now() - startedAt < seconds * 1000) {
        const before = run.published
        await run.until('some is published', () => run.published > before + 20)
        await app.kill()
        kills += 1
        const away = run.published
        await run.until('some is published by the other', () => run.published > away + 20)
        app = await start(channels)
        app.send('start')
      }
      for (const each of [app, other]) await each.order('finish')

      const report = tell('origin killed', { kills, ...(await run.finish(log)) })
      if (report.lost > 0) process.stdout.write(pushpin?.output.slice(-20_000) ?? '')
      expectKeptPromise(report)
      const { sentAway, silences, refused } = report
      expect(report).toMatchObject({ reconnects: sentAway + silences + refused, partial: 0 })
      checkAlive()
    }

    describeWithNginx('behind nginx', () => {
      allowTime()

      test('one is killed and started again, and clients stay and have all', async () => {
        nginx = await Nginx.start({ origin: `http://127.0.0.1:${port}` })
        await startPushpin({ origin: nginx.port })
        await killOne()
      })
    })

    // With nothing there to answer for it, Pushpin forgets questions now and then.
    test('one is killed and started again, and clients stay, or come back from silence, and have all', () =>
      killOne())

    const waits = [[1000, 5000] as const, ...(isLong ? [[5000, 10_000] as const] : [])]
    const whenBack =
      '500 clients are current soon after it is back, by few link requests, with a message_wait of %i'

    test.each(waits)(whenBack, async (messageWait, limitMs) => {
      await startPushpin({ handler: { message_wait: messageWait } })
      const app = await start(['a'])
      await run.connect(500, ['a'])
      await run.until('Pushpin has asked', () => run.links > 0)
      await app.order('mark')
      await run.until('all have it', () => run.isSettled(log))
      await app.kill()
      // Pushpin is not told of these.
      const untold = { publishEvent: publishTo(log) }
      for (let n = 0; n < 20; n++) void run.publish(untold, 'untold', 'a')
      await run.acknowledged()
      const before = run.links
      const again = await start(['a'])
      const startedAt = performance.now()

      await again.order('mark')

      await run.until('all have all', () => run.isSettled(log), 60_000)
      const currentMs = Math.round(performance.now() - startedAt)
      await again.order('finish')
      const links = run.links - before
      const report = tell(`origin back, message_wait ${messageWait}`, {
        ...(await run.finish(log)),
        currentMs,
        links,
      })
      expectKeptPromise(report)
      expect(report.reconnects).toBe(report.sentAway)
      // Clients that are sent away meanwhile are held anew, and asked for apart.
      expect(links).toBeLessThanOrEqual(50)
      expect(currentMs).toBeLessThan(limitMs)
    })
  })
})

/** Appends what an event stream would, and tells nobody. */
function publishTo(log: EventLog) {
  return async (channel: string, { data }: { readonly data?: unknown }) => {
    const [appended] = await log.append(channel, [{ data: JSON.stringify(data) }])
    return { id: appended?.id as string }
  }
}
