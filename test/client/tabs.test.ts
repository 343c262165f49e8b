import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { shareTabs } from '../../src/client.js'
import { memoryEventLog } from '../../src/index.js'
import { streamApp } from '../e2e/stream-app.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { inTurn, type OpenSource, openSource, streamHead } from './open-source.js'

jest.setTimeout(60_000)

type Hold = () => Promise<void>

/** Web Locks, as far as tabs use them. */
class Locks {
  readonly #queues = new Map<string, Hold[]>()

  request(name: string, { signal }: { signal: AbortSignal }, hold: Hold): Promise<void> {
    const queue = this.#queues.get(name) ?? []
    this.#queues.set(name, queue)
    return new Promise((resolve, reject) => {
      const entry = () =>
        hold().then(() => {
          queue.shift()
          resolve()
          void queue[0]?.()
        })
      signal.addEventListener('abort', () => {
        const at = queue.indexOf(entry)
        if (at > 0) queue.splice(at, 1)
        if (at > 0) reject(signal.reason)
      })
      if (queue.push(entry) === 1) setImmediate(entry)
    })
  }
}

/** A BroadcastChannel that loses what it is told to. */
class LossyChannel {
  static readonly open = new Set<LossyChannel>()
  static loses = () => false
  onmessage: ((event: { data: unknown }) => void) | null = null
  readonly name: string

  constructor(name: string) {
    this.name = name
    LossyChannel.open.add(this)
  }

  postMessage(data: unknown): void {
    for (const other of LossyChannel.open) {
      if (other === this || other.name !== this.name || LossyChannel.loses()) continue
      setImmediate(() => {
        if (LossyChannel.open.has(other)) other.onmessage?.({ data: structuredClone(data) })
      })
    }
  }

  close(): void {
    LossyChannel.open.delete(this)
  }
}

const realChannel = Object.getOwnPropertyDescriptor(globalThis, 'BroadcastChannel')
const realNavigator = Object.getOwnPropertyDescriptor(globalThis, 'navigator')

beforeAll(() => {
  Object.defineProperty(globalThis, 'BroadcastChannel', { value: LossyChannel, configurable: true })
})

beforeEach(() => {
  LossyChannel.loses = () => false
  const value = { locks: new Locks() }
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true })
})

afterAll(() => {
  const real = { BroadcastChannel: realChannel, navigator: realNavigator }
  for (const [name, descriptor] of Object.entries(real)) {
    if (descriptor) Object.defineProperty(globalThis, name, descriptor)
    else Reflect.deleteProperty(globalThis, name)
  }
})

describe('tabs with one connection', () => {
  async function startStream(channels = ['a']) {
    const log = memoryEventLog({ maxEvents: 100_000, maxBytes: 1e9 })
    const scene = streamApp(channels, { log }, { startFrom: 'earliest' })
    const { url } = await startServer(scene.app)
    const openTab = (options = {}) =>
      openSource(`${url}/events`, { tabs: shareTabs(), minRetryMs: 5, ...options })
    const open = () => scene.sockets.filter(({ destroyed }) => !destroyed)
    return { ...scene, openTab, open }
  }

  test('have each event once, whatever is lost between them, and however they come and go', async () => {
    const step = fc.record({
      events: fc.integer({ min: 0, max: 20 }),
      loss: fc.constantFrom(0, 0, 0.3, 1),
      deed: fc.constantFrom('none', 'open', 'close the first', 'close the last', 'cut'),
      waitMs: fc.integer({ min: 0, max: 15 }),
    })
    const channelSets = fc.constantFrom<string[]>(['a'], ['a', 'b'])
    await fc.assert(
      fc.asyncProperty(
        channelSets,
        fc.array(step, { minLength: 5, maxLength: 20 }),
        async (channels, steps) => {
          const { eventStream, sockets, openTab } = await startStream(channels)
          const tabs: OpenSource[] = [openTab(), openTab(), openTab()]
          let n = 0
          for (const { events, loss, deed, waitMs } of steps) {
            LossyChannel.loses = () => Math.random() < loss
            if (deed === 'open') tabs.push(openTab())
            if (deed === 'close the first' && tabs.length > 1) tabs.shift()?.source.close()
            if (deed === 'close the last' && tabs.length > 1) tabs.pop()?.source.close()
            if (deed === 'cut') for (const socket of sockets) socket.destroy()
            for (let i = 0; i < events; i++) {
              n += 1
              const channel = channels[n % channels.length] as string
              await eventStream.publishEvent(channel, { data: n })
            }
            await delay(waitMs)
          }
          LossyChannel.loses = () => false
          await until(async () => {
            // What was lost last is missed when something comes after it.
            for (const channel of channels) await eventStream.publishEvent(channel, { data: 0 })
            await delay(20)
            return tabs.every(({ data }) => data.filter((text) => text !== '0').length >= n)
          })

          for (const { data, told, source } of tabs) {
            const numbers = data.map(Number).filter((number) => number > 0)
            const ofChannel = channels.map((_, i) =>
              numbers.filter((number) => number % channels.length === i),
            )
            const sorted = ofChannel.map((list) => [...list].sort((a, b) => a - b))
            expect([numbers.length, ofChannel]).toEqual([n, sorted])
            expect(new Set(numbers).size).toBe(n)
            expect(told.filter(({ type }) => type === 'reset')).toEqual([])
            source.close()
          }
          await eventStream.close({ graceMs: 0 })
        },
      ),
      { numRuns: 30, interruptAfterTimeLimit: 40_000 },
    )
  })

  test('hear of connections that are lost and opened, of resets, and of the end', async () => {
    let isBack = false
    const { url, server } = await startServer(
      inTurn((req, res) => {
        if (req.headers['last-event-id'] === '5-0') res.writeHead(204).end()
        else if (isBack) {
          streamHead(res).write('event: stream-open\ndata: {}\n\n')
          res.write('event: stream-reset\ndata: {"channels":["a"],"reason":"trimmed"}\nid: 4-1\n\n')
          res.write('event: stream-end\ndata: {"state":"completed"}\nid: 5-0\n\n')
        } else if (req.headers['last-event-id'] === undefined || req.headers['x-tab']) {
          streamHead(res).write('event: stream-open\ndata: {}\nid: 1-1\n\n')
        } else res.writeHead(500).end()
      }),
    )
    const tabs = [1, 2].map(() => openSource(url, { tabs: shareTabs(), minRetryMs: 5 }))
    const typesOf = ({ told }: OpenSource) => told.map(({ type }) => type)
    const connections = () =>
      new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)))
    await until(() => tabs.every((tab) => typesOf(tab).length === 1))
    await until(async () => (await connections()) === 1)

    server.closeAllConnections()
    await until(() => tabs.every((tab) => typesOf(tab).includes('error')))
    isBack = true
    await Promise.all(tabs.map((tab) => tab.closes()))

    for (const tab of tabs) {
      expect(typesOf(tab).filter((type) => type === 'reset' || type === 'end')).toEqual([
        'reset',
        'end',
      ])
      expect(tab.told.at(-1)).toMatchObject({ type: 'end', state: 'completed' })
    }
  })

  test('ask for nothing more while nothing is lost', async () => {
    const { eventStream, sockets, openTab, open } = await startStream(['a', 'b'])
    const tabs = [openTab(), openTab(), openTab()]
    await until(() => tabs.every(({ source }) => source.lastEventId !== ''))
    await until(() => open().length === 1)
    const requests = sockets.length

    for (let n = 0; n < 30; n++) await eventStream.publishEvent('ab'[n % 2] as string, { data: n })
    for (const { receives } of tabs) await receives(30)

    expect(sockets.length).toBe(requests)
  })

  test('do not wait for a loop that is full, which reads no further than it may', async () => {
    const { eventStream, openTab, open } = await startStream()
    const fast = openTab()
    await until(() => fast.source.lastEventId !== '')
    const slow = openTab({ maxQueuedEvents: 5 })
    const loop = slow.source[Symbol.asyncIterator]()
    await until(() => slow.source.lastEventId !== '' && open().length === 1)
    const text = 'x'.repeat(4000)
    for (let n = 0; n < 3000; n++) await eventStream.publishEvent('a', { data: { n, text } })
    await fast.receives(3000)
    expect(slow.data.length).toBeLessThan(2500)

    const numbers: unknown[] = []
    const take = async () => numbers.push(Object(await loop.next()).value.json.n)
    while (numbers.length < 3000) await take()
    await eventStream.publishEvent('a', { data: { n: 3000 } })
    await take()

    expect(numbers).toEqual(Array.from({ length: 3001 }, (_, n) => n))
    await until(() => open().length === 1)
    expect(fast.data).toHaveLength(3001)
  })

  test.each([true, 'a name'])('share by the option shareTabs: %p', async (group) => {
    const { eventStream, openTab, open } = await startStream()
    const tabs = [1, 2].map(() => openTab({ tabs: undefined, shareTabs: group }))
    await until(() => tabs.every(({ source }) => source.lastEventId !== ''))
    await until(() => open().length === 1)

    await eventStream.publishEvent('a', { data: 1 })

    for (const { receives } of tabs) expect(await receives(1)).toEqual(['1'])
  })

  test('that cannot share tell it once, and go on by themselves', async () => {
    const refused = new Error('refused')
    const value = class {
      constructor() {
        throw refused
      }
    }
    Object.defineProperty(globalThis, 'BroadcastChannel', { value, configurable: true })
    try {
      const { eventStream, openTab } = await startStream()
      const { source, errors, receives } = openTab({ tabs: undefined, shareTabs: true })
      await until(() => errors.length > 0)
      source.close()
      source.reopen()
      await eventStream.publishEvent('a', { data: 1 })

      await receives(1)

      expect(errors).toMatchObject([{ code: 'ERR_TABS', cause: refused, isFinal: false }])
    } finally {
      const channel = { value: LossyChannel, configurable: true }
      Object.defineProperty(globalThis, 'BroadcastChannel', channel)
    }
  })

  test('keep their positions each, also of what they hear from another one', async () => {
    const { eventStream, openTab, open } = await startStream()
    const kept: string[][] = [[], []]
    const tabs = kept.map((list) => {
      const save = (_url: string, position: string) => void list.push(position)
      return openTab({ storage: { load: () => null, save } })
    })
    await until(() => tabs.every(({ source }) => source.lastEventId !== ''))
    await until(() => open().length === 1)

    await eventStream.publishEvent('a', { data: 1 })
    for (const { receives } of tabs) await receives(1)

    await until(() => tabs.every(({ source }, i) => kept[i]?.at(-1) === source.lastEventId))
    expect(open()).toHaveLength(1)
  })

  test('connect by themselves when the one with the connection says nothing any more', async () => {
    const { eventStream, openTab, open } = await startStream()
    const tabs = [1, 2].map(() => openTab({ silenceMs: 1500 }))
    await until(() => tabs.every(({ source }) => source.lastEventId !== ''))
    await until(() => open().length === 1)

    LossyChannel.loses = () => true
    await eventStream.publishEvent('a', { data: 1 })
    for (const { receives } of tabs) expect(await receives(1)).toEqual(['1'])

    LossyChannel.loses = () => false
    await until(() => open().length === 1)
    await eventStream.publishEvent('a', { data: 2 })
    for (const { receives } of tabs) expect(await receives(2)).toEqual(['1', '2'])
  })

  test('share nothing across names, nor without ids', async () => {
    const { openTab, open } = await startStream()
    const tabs = ['x', 'y'].map((name) => openTab({ tabs: shareTabs(name) }))
    await until(() => tabs.every(({ source }) => source.lastEventId !== ''))
    expect(open()).toHaveLength(2)

    let asked = 0
    const plain = await startServer((_req, res) => {
      asked += 1
      streamHead(res).write('data: 1\n\n')
    })
    const others = [1, 2].map(() => openSource(plain.url, { tabs: shareTabs() }))
    for (const other of others) await other.receives(1)
    expect(asked).toBe(2)
  })
})
