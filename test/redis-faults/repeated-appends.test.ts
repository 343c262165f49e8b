import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { EventLog } from '../../src/index.js'
import { type RedisEventLogOptions, redisEventLog } from '../../src/redis.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { until } from '../support/until.js'
import { copy, endSide, type Side, startSide } from './side.js'
import { SwitchingProxy } from './switching-proxy.js'

const limit = { maxEvents: 10, maxLength: 1000 }

describeWithRedis('an append whose connection breaks', () => {
  let master: Side
  let replica: Side
  let logs: EventLog[]

  const open = (redis: string, options: Partial<RedisEventLogOptions> = {}) => {
    const log = redisEventLog({ ...options, redis, onHealth: () => undefined })
    logs.push(log)
    return log
  }

  const reaches = (log: EventLog, seq: number) =>
    until(async () => (await log.heads(['a']))[0]?.startsWith(`${seq}-`) === true)

  beforeEach(async () => {
    logs = []
    ;[master, replica] = [await startSide(), await startSide()]
    await copy(master, replica)
  })

  afterEach(async () => {
    for (const log of logs) await log.close()
    await endSide(master)
    await endSide(replica)
  })

  test('gets another id from a new master, so that who had the old one is told of a gap', async () => {
    const proxy = await SwitchingProxy.start(master.server.port)
    try {
      const before = open(master.server.url)
      const after = open(replica.server.url)
      const log = open(`redis://127.0.0.1:${proxy.port}`)
      await log.append('a', [{ data: 'kept' }])
      await until(async () => (await replica.server.cli('XLEN', '{headwater:a}:s')) === 1)
      master.link.freeze()
      await before.append('a', [{ data: 'lost' }])
      proxy.mute()
      const repeated = log.append('a', [{ data: 'repeated' }])
      await reaches(before, 3)
      const [seen] = await before.heads(['a'])
      await replica.server.promote()
      await after.append('a', [{ data: 'instead' }])
      proxy.switchTo(replica.server.port)
      await repeated

      const page = await after.read('a', seen as string, limit)

      expect(page.gap).toBe('unknown')
    } finally {
      proxy.close()
    }
  })

  test('is not acknowledged because of what a new master says of other entries', async () => {
    const proxy = await SwitchingProxy.start(master.server.port)
    try {
      const before = open(master.server.url)
      const after = open(replica.server.url)
      const log = open(`redis://127.0.0.1:${proxy.port}`, { waitReplicas: 1 })
      await log.append('a', [{ data: 'copied' }])
      master.link.freeze()
      const appended = log.append('a', [{ data: 'not copied' }])
      await reaches(before, 2)
      await replica.server.promote()
      master.link.thaw()
      await copy(replica, master)

      proxy.switchTo(replica.server.port)

      const [{ id } = { id: '' }] = await appended
      const { entries } = await after.read('a', 'earliest', limit)
      expect(entries.map((entry) => entry.id)).toContain(id)
    } finally {
      proxy.close()
    }
  })
})
