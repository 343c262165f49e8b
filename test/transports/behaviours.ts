import { expect } from '@jest/globals'
import type { EventStream } from '../../src/index.js'
import type { ClientOptions } from '../support/sse-client.js'
import { until } from '../support/until.js'
import { earlierHeader, type RouteName, type Routes, type Served } from './transport.js'

/** What a behaviour is looked for in. */
export interface Scene extends Served {
  readonly eventStream: EventStream
  /** Channels of the log that are followed now, and have ever been. */
  readonly counts: { readonly followers: number; readonly follows: number }
}

/** Something that holds for every transport: one column of the table. */
export interface Behaviour {
  readonly name: string
  check(scene: Scene): Promise<void>
}

export const maxQueueBytes = 200_000
const channel = 'room-7'
const big = 'x'.repeat(10_000)

export const routes: Routes = {
  events: {},
  forbidden: { authorize: () => false },
  failing: {
    authorize() {
      throw Object.assign(new Error('teapot'), { status: 418 })
    },
  },
}

async function publish({ eventStream }: Scene, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await eventStream.publishEvent(channel, { data: n })
}

const receivesAtOnce: Behaviour = {
  name: 'receives at once',
  async check(scene) {
    const client = await (await scene.request('events')).opened()
    const { length } = client.text
    await publish(scene, 1, 1)
    await client.received(1)
    // The event has come by itself: nothing was written behind it that could have pushed it out.
    expect(client.text.slice(length)).toMatch(/^data: 1\nid: 1-\d+\n\n$/)
    expect(client.ended).toBe(false)
  },
}

const resumes: Behaviour = {
  name: 'resumes',
  async check(scene) {
    const first = await (await scene.request('events')).opened()
    await publish(scene, 1, 2)
    await first.received(2)
    first.destroy()
    await until(() => scene.eventStream.connections().length === 0)
    await publish(scene, 3, 5)
    const second = await scene.request('events', { lastEventId: first.lastEventId })
    await second.received(3)
    await publish(scene, 6, 6)
    await second.received(4)
    expect([first.data, second.data]).toEqual([
      [1, 2],
      [3, 4, 5, 6],
    ])
    expect(second.control.map(({ event }) => event)).toEqual(['stream-open'])
  },
}

const boundsSlowClients: Behaviour = {
  name: 'bounds slow clients',
  async check({ eventStream, request }) {
    const slow = await request('events', { paused: true })
    let queued = 0
    for (let n = 1; n <= 2000; n++) {
      await eventStream.publishEvent(channel, { data: { n, big } })
      queued = Math.max(queued, eventStream.connections()[0]?.queuedBytes ?? Infinity)
    }
    const states = eventStream.connections().map(({ state }) => state)
    slow.resume()
    await slow.received(2000)
    expect(states).toEqual(['behind'])
    expect(queued).toBeGreaterThan(maxQueueBytes)
    expect(queued).toBeLessThan(maxQueueBytes + 65_536 + big.length + 500)
    expect(slow.data.map((data) => Object(data).n)).toEqual(
      Array.from({ length: 2000 }, (_, i) => i + 1),
    )
    await until(() => eventStream.connections().every(({ state }) => state === 'live'))
  },
}

const cleansUp: Behaviour = {
  name: 'cleans up',
  async check(scene) {
    const { eventStream, counts, request } = scene
    const reading = await (await request('events')).opened()
    const slow = await request('events', { paused: true })
    expect([eventStream.connections().length, counts.followers]).toEqual([2, 1])
    reading.destroy()
    await until(() => eventStream.connections().length === 1)
    await publish(scene, 1, 1)
    slow.destroy()
    await until(() => eventStream.connections().length === 0)
    await until(() => counts.followers === 0)
    expect([eventStream.count(channel), counts.follows]).toEqual([0, 1])
  },
}

const refused: readonly [status: number, RouteName, ClientOptions][] = [
  [405, 'events', { method: 'DELETE' }],
  [406, 'events', { headers: { Accept: 'text/html' } }],
  [400, 'events', { lastEventId: 'error' }],
  [403, 'forbidden', {}],
  [418, 'failing', {}],
]

const keepsStatuses: Behaviour = {
  name: 'errors keep their status',
  async check({ eventStream, request }) {
    const answers: (number | string | undefined)[][] = []
    for (const [, route, options] of refused) {
      const client = await request(route, options)
      await client.end()
      answers.push([client.status, client.headers.allow])
    }
    expect(answers).toEqual(
      refused.map(([status]) => [status, status === 405 ? 'GET, HEAD, POST' : undefined]),
    )
    expect(eventStream.connections()).toEqual([])
  },
}

const keepsHeaders: Behaviour = {
  name: 'headers set earlier stay',
  async check({ request }) {
    const { status, headers } = await request('events')
    expect([status, headers]).toMatchObject([
      200,
      {
        [earlierHeader[0].toLowerCase()]: earlierHeader[1],
        'cache-control': 'no-store, no-transform',
        'content-type': 'text/event-stream',
      },
    ])
  },
}

export const behaviours: readonly Behaviour[] = [
  receivesAtOnce,
  resumes,
  boundsSlowClients,
  cleansUp,
  keepsStatuses,
  keepsHeaders,
]
