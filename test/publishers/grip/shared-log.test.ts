import { describe, expect, jest, test } from '@jest/globals'
import { type EventLog, type EventStreamOptions, memoryEventLog } from '../../../src/index.js'
import { ControlEndpoint, type PublishedItem } from '../../support/control-endpoint.js'
import { lastOf, linkOf, serveChannels } from '../../support/played-proxy.js'
import { until } from '../../support/until.js'
import { wrapLog } from '../../support/wrap-log.js'

/** A memory log that says that others use it too. */
function sharedLog(): EventLog {
  const health = () => ({ state: 'up' as const, since: new Date() })
  return Object.assign(memoryEventLog(), { ready: async () => undefined, health })
}

/** A process behind a proxy that the test plays. */
function start(proxy: ControlEndpoint, options: EventStreamOptions) {
  return serveChannels({ grip: proxy.url.replace('iss=proxy', 'iss=pushpin'), ...options })
}

/** All but `performance`. */
const realTimers = [
  'Date',
  'hrtime',
  'nextTick',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const

const formOf = ({ channel }: PublishedItem) => (channel.endsWith('*') ? 'composed' : 'plain')
/** Without hints. */
const formsOf = (items: readonly PublishedItem[]) =>
  items.filter(({ id }) => id !== undefined).map(formOf)
const dataOf = ({ formats }: PublishedItem) =>
  /^data: (.*)$/m.exec(formats['http-stream'].content ?? '')?.[1]

describe('an event', () => {
  test('goes in a second form once somebody listens to several channels at a proxy', async () => {
    const proxy = await ControlEndpoint.start()
    const { eventStream, open, direct } = await start(proxy, { log: memoryEventLog() })
    await open('/events/a')
    await direct('/events/a,b')
    await eventStream.publishEvent('a', { data: 1 })
    await open('/events/a,b')
    const { id } = await eventStream.publishEvent('a', { data: '50%' })
    expect(proxy.items.map((item) => [item.channel, dataOf(item)])).toEqual([
      ['events-a', '1'],
      ['events-a', '"50%"'],
      ['events-a*', '"50%%"'],
    ])
    expect(proxy.items.slice(1).map((item) => item.id)).toEqual([id, id])
    expect(proxy.items[2]?.formats['http-stream'].content).toMatch(/\nid: %I\n\n$/)
  })

  test('goes in it from every process, also from those that start later', async () => {
    const proxy = await ControlEndpoint.start()
    const log = sharedLog()
    const [first, second] = [await start(proxy, { log }), await start(proxy, { log })]
    await second.eventStream.publishEvent('a', { data: 1 })
    await first.open('/events/a,b')
    await until(async () => {
      await second.eventStream.publishEvent('a', { data: 2 })
      return formsOf(proxy.items).includes('composed')
    })
    const third = await start(proxy, { log })
    const before = proxy.items.length
    await third.eventStream.publishEvent('c', { data: 3 })
    expect(formsOf(proxy.items.slice(before))).toEqual(['plain', 'composed'])
  })

  test('goes in it to those that were held before all processes started anew', async () => {
    const proxy = await ControlEndpoint.start()
    const log = sharedLog()
    const held = await (await start(proxy, { log })).open('/events/a,b')
    // As if what the first one said were too old.
    const forgetful = wrapLog(log, {
      read: (channel, from, limit) =>
        log.read(channel.startsWith('\u0001') ? 'other' : channel, from, limit),
    })
    const next = await start(proxy, { log: Object.assign(forgetful, sharedLog(), forgetful) })
    await next.eventStream.publishEvent('a', { data: 1 })
    expect(formsOf(proxy.items)).toEqual(['plain'])
    await next.follow(linkOf(held), lastOf(held))
    await next.eventStream.publishEvent('a', { data: 2 })
    expect(formsOf(proxy.items)).toEqual(['plain', 'plain', 'composed'])
  })

  test('goes in it where the log cannot tell', async () => {
    const proxy = await ControlEndpoint.start()
    const log = sharedLog()
    let isAway = true
    const failing = wrapLog(log, {
      follow: async (...args) => {
        if (isAway) throw new Error('away')
        return log.follow(...args)
      },
    })
    const { eventStream } = await start(proxy, { log: Object.assign(failing, log, failing) })
    await eventStream.publishEvent('a', { data: 1 })
    isAway = false
    await eventStream.publishEvent('b', { data: 2 })
    expect(formsOf(proxy.items)).toEqual(['plain', 'composed', 'plain'])
  })
})

describe('the first events that a process publishes to a channel', () => {
  const isHint = ({ id }: PublishedItem) => id === undefined

  test('come with a hint, as the proxy may be waiting for one that never comes', async () => {
    const proxy = await ControlEndpoint.start()
    const { eventStream } = await start(proxy, { log: sharedLog(), maxChannelsPerConnection: 1 })
    for (const data of [1, 2]) await eventStream.publishEvent('a', { data })
    expect(
      proxy.requests.map((items) => items.map((item) => [isHint(item), dataOf(item)])),
    ).toEqual([
      [
        [true, undefined],
        [false, '1'],
      ],
      [
        [true, undefined],
        [false, '2'],
      ],
    ])
    expect(new Set(proxy.items.map(({ channel }) => channel))).toEqual(new Set(['events-a']))
  })

  test('need none later, until the proxy was away', async () => {
    jest.useFakeTimers({ doNotFake: [...realTimers], now: 0 })
    const proxy = await ControlEndpoint.start()
    const { eventStream } = await start(proxy, {
      log: sharedLog(),
      maxChannelsPerConnection: 1,
      onError: () => undefined,
    })
    const hints = async (data: number) => {
      const before = proxy.items.length
      await eventStream.publishEvent('a', { data }).catch(() => undefined)
      return proxy.items.slice(before).filter(isHint).length
    }
    const counts = [await hints(1)]
    jest.advanceTimersByTime(6001)
    counts.push(await hints(2))
    proxy.behave = (res) => res.writeHead(401).end()
    counts.push(await hints(3))
    proxy.behave = (res) => res.end()
    await until(() => eventStream.health().proxies[0]?.state === 'up')
    counts.push(await hints(4))
    jest.useRealTimers()
    expect(counts).toEqual([1, 0, 0, 1])
  })

  test('need none where no other process publishes', async () => {
    const proxy = await ControlEndpoint.start()
    const { eventStream } = await start(proxy, { log: memoryEventLog() })
    await eventStream.publishEvent('a', { data: 1 })
    expect(proxy.items.map(dataOf)).toEqual(['1'])
  })
})
