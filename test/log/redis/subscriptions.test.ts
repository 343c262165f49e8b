import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Intake } from '../../../src/log/intake.js'
import { parseMessage } from '../../../src/log/redis/format.js'
import { Subscriptions } from '../../../src/log/redis/subscriptions.js'
import { redisEventLog } from '../../../src/redis.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { until } from '../../support/until.js'

const none = { append: () => undefined, suspect: () => undefined }

describe('Subscriptions', () => {
  const calls: string[] = []
  let heads = '1-1'
  let subscriptions: Subscriptions

  function make(times: { lingerMs: number; checkMs: number }): void {
    calls.length = 0
    heads = '1-1'
    subscriptions = new Subscriptions(
      {
        prefix: 'p',
        intake: new Intake(),
        subscribe: async (live) => calls.push(`subscribe ${live}`),
        unsubscribe: async (live) => calls.push(`unsubscribe ${live}`),
        delivered: () => undefined,
        heads: async (channels) => channels.map(() => heads),
      },
      times,
    )
  }

  afterEach(() => subscriptions.close())

  test('subscribe once to a channel, however many follow it', async () => {
    make({ lingerMs: 1, checkMs: 60_000 })
    await Promise.all([1, 2, 3].map(() => subscriptions.follow('a', none)))
    expect(calls).toEqual(['subscribe {p:a}:l'])
  })

  test('unsubscribe late from a channel that nobody follows, and not when somebody came back', async () => {
    make({ lingerMs: 40, checkMs: 20 })
    const [leaveA, leaveB] = [
      await subscriptions.follow('a', none),
      await subscriptions.follow('b', none),
    ]
    leaveA()
    leaveB()
    await subscriptions.follow('b', none)
    await until(() => calls.length > 2)
    expect(calls).toEqual(['subscribe {p:a}:l', 'subscribe {p:b}:l', 'unsubscribe {p:a}:l'])
    expect(subscriptions.size).toBe(1)
  })

  test('notice a last message that was lost, once', async () => {
    make({ lingerMs: 1, checkMs: 20 })
    let suspected = 0
    await subscriptions.follow('a', {
      append: () => undefined,
      // Not when it is found where it was.
      suspect: (head) => {
        suspected += Number(head === undefined)
      },
    })
    heads = '2-2'
    await until(() => calls.length === 2)
    expect([suspected, calls[1]]).toEqual([1, 'subscribe {p:a}:l'])
  })

  test('look for what was lost also when nothing answers that a channel is left', async () => {
    make({ lingerMs: 1, checkMs: 20 })
    let suspected = 0
    const stuck = new Subscriptions(
      {
        prefix: 'p',
        intake: new Intake(),
        subscribe: async () => undefined,
        unsubscribe: () => new Promise(() => undefined),
        delivered: () => undefined,
        heads: async (channels) => channels.map(() => heads),
      },
      { lingerMs: 1, checkMs: 20 },
    )
    const leave = await stuck.follow('a', none)
    await stuck.follow('b', {
      append: () => undefined,
      // Not when it is found where it was.
      suspect: (head) => {
        suspected += Number(head === undefined)
      },
    })
    leave()
    await until(() => stuck.size === 1)
    heads = '2-2'
    await until(() => suspected === 1)
    stuck.close()
  })

  test('leave nothing of a channel that could not be subscribed to', async () => {
    make({ lingerMs: 1, checkMs: 20 })
    heads = undefined as unknown as string
    const failing = new Subscriptions({
      prefix: 'p',
      intake: new Intake(),
      subscribe: () => Promise.reject(new Error('away')),
      unsubscribe: async () => undefined,
      delivered: () => undefined,
      heads: async () => [],
    })
    await expect(failing.follow('a', none)).rejects.toThrow('away')
    expect(failing.size).toBe(0)
    failing.close()
  })
})

describe('parseMessage', () => {
  test.each([
    '',
    'x',
    '1-1',
    '1-1\n',
    '1-1\n2-2',
    '1-1\n2-2 5\nabc',
    '1-1\n2-2 x\nabc',
    '1-1\n2-2 -4\nabc',
  ])('takes %j for no message', (text) => {
    expect(parseMessage(text)).toBeUndefined()
  })
})

describeWithRedis('redisEventLog, following,', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  afterAll(() => server.stop())

  test('has two connections, however many channels and followers', async () => {
    const before = String(await server.cli('CLIENT', 'LIST')).split('\n').length
    const log = redisEventLog({ redis: server.url })
    await log.ready()
    await Promise.all(Array.from({ length: 300 }, (_, i) => log.follow(`channel-${i % 100}`, none)))
    await Promise.all(
      Array.from({ length: 300 }, (_, i) => log.append(`channel-${i % 100}`, [{ data: '1' }])),
    )
    const during = String(await server.cli('CLIENT', 'LIST')).split('\n').length
    await log.close()
    expect(during - before).toBe(2)
  })

  test('tells of an entry that is too large for a message', async () => {
    const log = redisEventLog({ redis: server.url })
    let suspected = 0
    await log.follow('large', {
      append: () => undefined,
      // Not when it is found where it was.
      suspect: (head) => {
        suspected += Number(head === undefined)
      },
    })
    await log.append('large', [{ data: 'x'.repeat(100_000) }])
    await until(() => suspected === 1)
    await log.close()
    expect(suspected).toBe(1)
  })
})
