import { expect } from '@jest/globals'
import type { ClientOptions } from '../support/sse-client.js'
import { until } from '../support/until.js'
import { filler, maxQueueBytes } from './control.js'
import { earlierHeader, type RouteName, type Scene } from './transport.js'

/** Something that holds for every transport: one column of the table. */
export interface Behaviour {
  readonly name: string
  check(scene: Scene): Promise<void>
}

const receivesAtOnce: Behaviour = {
  name: 'receives at once',
  async check(scene) {
    const client = await (await scene.request('events')).opened()
    const { length } = client.text
    await scene.publish(1, 1)
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
    await scene.publish(1, 2)
    await first.received(2)
    first.destroy()
    await until(async () => (await scene.look()).states.length === 0)
    await scene.publish(3, 5)
    const second = await scene.request('events', { lastEventId: first.lastEventId })
    await second.received(3)
    await scene.publish(6, 6)
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
  async check(scene) {
    const slow = await scene.request('events', { paused: true })
    const queued = await scene.publish(1, 2000, true)
    const { states } = await scene.look()
    slow.resume()
    await slow.received(2000)
    expect(states).toEqual(['behind'])
    expect(queued).toBeGreaterThan(maxQueueBytes)
    expect(queued).toBeLessThan(maxQueueBytes + 65_536 + filler.length + 500)
    expect(slow.data.map((data) => Object(data).n)).toEqual(
      Array.from({ length: 2000 }, (_, i) => i + 1),
    )
    await until(async () => (await scene.look()).states.every((state) => state === 'live'))
  },
}

const cleansUp: Behaviour = {
  name: 'cleans up',
  async check(scene) {
    const connections = async () => (await scene.look()).states.length
    const reading = await (await scene.request('events')).opened()
    const slow = await scene.request('events', { paused: true })
    expect([await connections(), (await scene.look()).followers]).toEqual([2, 1])
    reading.destroy()
    await until(async () => (await connections()) === 1)
    await scene.publish(1, 1)
    slow.destroy()
    await until(async () => (await connections()) === 0)
    await until(async () => (await scene.look()).followers === 0)
    const { listeners, follows } = await scene.look()
    expect([listeners, follows]).toEqual([0, 1])
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
  async check({ look, request }) {
    const answers: (number | string | undefined)[][] = []
    for (const [, route, options] of refused) {
      const client = await request(route, options)
      await client.end()
      answers.push([client.status, client.headers.allow])
    }
    expect(answers).toEqual(
      refused.map(([status]) => [status, status === 405 ? 'GET, HEAD, POST' : undefined]),
    )
    expect((await look()).states).toEqual([])
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
