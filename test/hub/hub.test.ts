import { describe, expect, test } from '@jest/globals'
import { Hub, type HubOptions } from '../../src/hub/hub.js'
import type { Frame, Sink } from '../../src/hub/sink.js'
import { EventStream } from '../../src/index.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { Observer } from '../../src/observe/observer.js'
import { countTimers } from '../support/count-timers.js'
import { until } from '../support/until.js'

/** A sink that keeps what is written, and always takes more. */
class OpenSink implements Sink {
  readonly transport = 'response'
  readonly frames: Frame[] = []
  readonly queuedBytes = 0
  readonly isEmpty = true
  readonly progress = 0

  write(frame: Frame): boolean {
    this.frames.push(frame)
    return true
  }

  end(): void {
    this.frames.length = 0
  }

  destroy(): void {
    this.frames.length = 0
  }
}

function setUp(options: Partial<HubOptions> = {}) {
  const log = memoryEventLog()
  const hub = new Hub({
    log,
    keepAliveMs: 15_000,
    keepAliveText: ':\n',
    isShared: false,
    observer: new Observer(new EventStream()),
    maxQueueBytes: 1_048_576,
    stallTimeoutMs: 60_000,
    onError: (error) => {
      throw error
    },
    ...options,
  })
  const open = async (...channels: string[]) => {
    const sink = new OpenSink()
    const prepared = await hub.prepare({ channels, cursor: undefined, startFrom: 'now' })
    const connection = prepared.attach(sink, { retryMs: 1 })
    return { sink, connection }
  }
  return { log, hub, open }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('the hub', () => {
  test('counts and kicks the connections of a channel without a look at the others', async () => {
    const { hub, open } = setUp()
    for (let i = 0; i < 50; i++) await open(`other-${i}`)
    const kicked = [await open('a'), await open('a'), await open('a', 'b')]
    await open('b')
    let looks = 0
    const { connections } = hub
    Object.assign(connections, {
      [Symbol.iterator]: () => {
        looks += 1
        return Set.prototype[Symbol.iterator].call(connections)
      },
    })
    expect([hub.count('a'), hub.count('b'), hub.count('none')]).toEqual([3, 2, 0])
    await hub.kick('a')
    expect(looks).toBe(0)
    expect(kicked.map(({ connection }) => connection.state)).toEqual([
      'closing',
      'closing',
      'closing',
    ])
    for (const { connection } of kicked) connection.closed()
    expect([hub.count('a'), hub.count('b'), connections.size]).toEqual([0, 1, 51])
    Reflect.deleteProperty(connections, Symbol.iterator)
    for (const connection of [...connections]) connection.closed()
    expect(hub.count('b')).toBe(0)
  })

  test('writes the same frame, encoded once, to all connections of the same channels', async () => {
    const { log, open } = setUp()
    const [one, two, both, turned] = [
      await open('a'),
      await open('a'),
      await open('a', 'b'),
      await open('b', 'a'),
    ]
    await log.append('a', [{ data: '1' }])
    await turn()
    const last = [one, two, both, turned].map(({ sink }) => sink.frames.at(-1))
    expect(last[0]).toBe(last[1])
    expect(last[2]).toBe(last[3])
    expect(last[0]?.bytes.toString()).toMatch(/^data: 1\nid: 1-\d+\n\n$/)
    expect(last[2]?.bytes.toString()).toMatch(/^data: 1\nid: a~1-\d+\*b~0-\d+\n\n$/)
    await log.close()
  })

  test('writes once for all that is published within one turn of the event loop', async () => {
    const { log, open } = setUp()
    const { sink } = await open('a', 'b')
    const before = sink.frames.length
    for (let n = 0; n < 10; n++) await log.append(n % 2 === 0 ? 'a' : 'b', [{ data: `${n}` }])
    await turn()
    await log.append('a', [{ data: '10' }])
    await turn()
    const frames = sink.frames.slice(before).map(({ bytes }) => bytes.toString())
    expect(frames).toHaveLength(2)
    expect(frames[0]?.match(/^data: \d$/gm)).toHaveLength(10)
    await log.close()
  })

  test('does not wait for the end of a turn in which a lot is published', async () => {
    const { log, open } = setUp()
    const { sink } = await open('a')
    const before = sink.frames.length
    for (let n = 0; n < 100; n++) await log.append('a', [{ data: 'x'.repeat(10_000) }])
    const sizes = sink.frames.slice(before).map(({ bytes }) => bytes.length)
    expect(sizes.length).toBeGreaterThanOrEqual(14)
    expect(Math.max(...sizes)).toBeLessThan(65_536 + 10_100)
    await turn()
    await log.close()
  })

  test('encodes nothing for channels whose clients are all elsewhere', async () => {
    const { log, hub, open } = setUp()
    const { connection } = await open('a')
    connection.closed()
    expect([hub.connections.size, hub.activeChannels]).toEqual([0, 0])
    await log.append('a', [{ data: '1' }])
    await log.close()
  })

  test('has one timer for all connections, and none without any', async () => {
    const { log, open } = setUp()
    await log.append('a', [{ data: '1' }])
    const timers = countTimers()
    const opened = await Promise.all(Array.from({ length: 200 }, (_, i) => open(`${i % 10}`, 'a')))
    const during = timers.alive
    for (const { connection } of opened) connection.closed()
    await timers.fallsTo(0)
    timers.stop()
    expect([during, timers.alive]).toEqual([1, 0])
    await log.close()
  })

  test('looks no more after a connection that was closed by its own end', async () => {
    const { log, hub, open } = setUp({ stallTimeoutMs: 8 })
    const { connection, sink } = await open('a')
    const stays = await open('a')
    let looks = 0
    sink.end = () => connection.closed()
    Object.defineProperty(sink, 'progress', { get: () => ++looks })
    connection.end()
    looks = 0
    // It is looked after together with this one.
    stays.connection.end()
    stays.sink.destroy = () => stays.connection.closed()
    await until(() => hub.connections.size === 0)
    expect(looks).toBe(0)
    await log.close()
  })
})
