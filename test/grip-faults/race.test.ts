import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Request, RequestHandler } from 'express'
import { type EventLog, memoryEventLog } from '../../src/index.js'
import { redisEventLog } from '../../src/redis.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { usePushpin } from '../support/grip.js'
import { RedisServer } from '../support/redis-server.js'
import { unlimited } from './run.js'
import { allowTime, expectKeptPromise, setScene, tell } from './scene.js'

/**
 * When an event is published: `before` the answer of the origin goes out, which has read the log, so
 * that the proxy has the event before it holds; or milliseconds behind it, where 0 is the same tick.
 */
const moments = ['before', 0, 'before', 1, 'before', 3, 'before', 8] as const
const groups = 2
/** Pushpin asks ten links a second. */
const groupSize = 8
const rounds = 24
/** Far from the poll of the link, which would hide what is missing. */
const limitMs = 5000

describeWithPushpin('what is published between the answer of the origin and the hold', () => {
  allowTime()
  const grip = usePushpin()
  /** Called when the origin is about to answer a request for a stream, which `answer` does. */
  let answering: (req: Request, answer: () => void) => void
  let count: number

  beforeEach(() => {
    answering = (_req, answer) => answer()
    count = 0
  })

  const watch: RequestHandler = (req, res, next) => {
    const end = res.end.bind(res)
    res.end = ((text: string) => {
      if (req.url.includes('grip-link=')) return end(text)
      answering(req, () => end(text))
      return res
    }) as typeof res.end
    next()
  }

  /** Publishes one event to the channel of each request. */
  function race(log: EventLog) {
    const scene = setScene(grip, log, {}, watch)
    const { eventStream, run } = scene
    answering = (req, answer) => {
      const publish = () => run.publish(eventStream, 'p', String(req.params.channels))
      const moment = moments[count++ % moments.length]
      if (moment === 'before') void publish().then(answer)
      else {
        req.res?.once('finish', moment ? () => setTimeout(publish, moment) : publish)
        answer()
      }
    }
    return { ...scene, ms: [] as number[] }
  }

  async function raceFirst(name: string, log: EventLog) {
    const { run, finish, ms } = race(log)
    for (let group = 0; group < groups; group++) {
      const names = Array.from({ length: groupSize }, (_, i) => `${name}-first-${group}-${i}`)
      await run.connect(1, ...names.map((channel) => [channel]))
      ms.push(await run.settled(log, count))
    }
    const report = await finish(`race of first subscribers, ${name} log`)
    tell('  until all had all', { ms: ms.join('/') })
    expectKeptPromise(report)
    expect(report.reconnects).toBe(report.sentAway)
    expect(Math.max(...ms)).toBeLessThan(limitMs)
  }

  async function raceLater(name: string, log: EventLog) {
    const { run, finish, ms } = race(log)
    const channel = `${name}-later`
    await run.connect(1, [channel])
    await run.settled(log, count)
    await run.until('Pushpin has asked', () => grip.links.length > 0)
    for (let round = 0; round < rounds; round++) {
      await run.connect(1, [channel])
      ms.push(await run.settled(log, count))
    }
    const report = await finish(`race of later subscribers, ${name} log`)
    tell('  until all had all', { maxMs: Math.max(...ms), sumMs: ms.reduce((a, b) => a + b) })
    expectKeptPromise(report)
    expect(report.reconnects).toBe(report.sentAway)
    expect(Math.max(...ms)).toBeLessThan(limitMs)
  }

  test('gets to the first client of a channel', () =>
    raceFirst('memory', memoryEventLog(unlimited)))

  test('gets to later clients of a channel', () => raceLater('memory', memoryEventLog(unlimited)))

  describeWithRedis('with a Redis log', () => {
    allowTime()
    let server: RedisServer
    let log: ReturnType<typeof redisEventLog>

    beforeEach(async () => {
      server = await RedisServer.start()
      log = redisEventLog({ ...unlimited, redis: server.url })
    })

    afterEach(async () => {
      await log.close()
      await server.stop()
    })

    test('gets to the first client of a channel', () => raceFirst('redis', log))

    test('gets to later clients of a channel', () => raceLater('redis', log))
  })
})
