import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type EventLog, memoryEventLog } from '../../src/index.js'
import { redisEventLog } from '../../src/redis.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { usePushpin } from '../support/grip.js'
import { RedisServer } from '../support/redis-server.js'
import { LossyControl } from './lossy-control.js'
import { seededRandom } from './random.js'
import { seconds, unlimited } from './run.js'
import { allowTime, expectKeptPromise, setScene, tell } from './scene.js'

const seed = Number(process.env.FAULT_SEED ?? 1)

describeWithPushpin('while publish requests are lost, duplicated and late', () => {
  allowTime()
  const grip = usePushpin()
  let control: LossyControl

  beforeEach(async () => {
    control = await LossyControl.start(grip.pushpin.controlUrl, seed)
  })

  afterEach(() => control.close())

  async function publishWithLosses(name: string, log: EventLog) {
    const options = { grip: control.gripUrl, gripPollMs: 1000 }
    const { eventStream, run, finish } = setScene(grip, log, options)
    const names = ['a', 'b', 'c'].map((channel) => `${name}-${channel}`)
    const [a, b, c] = names as [string, string, string]
    await run.connect(10, [a], [b], [c], [a, b], [a, b, c])
    const random = seededRandom(seed)
    const cutter = setInterval(() => run.cutOne(random()), 50)
    try {
      await run.publishSteadily(seconds * 1000, 60, { p: eventStream }, names)
    } finally {
      clearInterval(cutter)
    }
    await run.acknowledged()
    // No later one would show that it is missing.
    control.loseNext()
    void run.publish(eventStream, 'p', b)
    const report = await finish(`losses, ${name} log, seed ${seed}`)
    tell('  control requests', control.counts)
    expectKeptPromise(report)
    expect(report.links).toBeGreaterThan(0)
    const { cut, swallowed, duplicated, delayed, overtaken } = control.counts
    expect(Math.min(cut, swallowed, duplicated, delayed, overtaken)).toBeGreaterThan(0)
  }

  test('clients have all that is in the memory log', () =>
    publishWithLosses('memory', memoryEventLog(unlimited)))

  describeWithRedis('with a Redis log', () => {
    allowTime()

    test('clients have all that is in it', async () => {
      const server = await RedisServer.start()
      const log = redisEventLog({ ...unlimited, redis: server.url })
      try {
        await publishWithLosses('redis', log)
      } finally {
        await log.close()
        await server.stop()
      }
    })
  })
})
