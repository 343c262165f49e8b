import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import type { EventStreamOptions } from '../../src/index.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import type { SseClient } from '../support/sse-client.js'
import { until } from '../support/until.js'

const newName = () => randomUUID().slice(0, 8)

/** Milliseconds in which an event reaches a client that Pushpin holds, while others do what they like. */
const soonMs = 2000

type Publish = ReturnType<ReturnType<typeof usePushpin>['setUp']>['eventStream']['publishEvent']

/** Publishes to each of them again and again. @returns The longest that an event took, in milliseconds. */
async function publishToAll(clients: ReadonlyMap<string, SseClient>, publish: Publish) {
  const tookMs: number[] = []
  const before = new Map([...clients].map(([name, { events }]) => [name, events.length]))
  for (let round = 1; round <= 20; round++) {
    const startedAt = performance.now()
    await Promise.all([...clients.keys()].map((name) => publish(name, { data: round })))
    await Promise.all(
      [...clients].map(([name, one]) => one.received(round + (before.get(name) ?? 0))),
    )
    tookMs.push(performance.now() - startedAt)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  for (const [name, client] of clients) {
    expect([name, client.ended, client.data.slice(-20)]).toEqual([name, false, rounds])
  }
  return Math.max(...tookMs)
}

const rounds = Array.from({ length: 20 }, (_, n) => n + 1)

describeWithPushpin('a client held by Pushpin', () => {
  const grip = usePushpin()

  /** Rooms that answer as long as they are there, and a client in each. */
  async function openRooms(count: number, options: EventStreamOptions = {}) {
    const { eventStream, app, connect, errors } = grip.setUp({ gripPollMs: 1000, ...options })
    const rooms = new Map<string, SseClient>()
    app.get('/links', eventStream.linkHandler())
    app.use('/rooms/:id', ({ params }, res, next) => {
      if (deleted.has(params.id)) res.sendStatus(404)
      else next()
    })
    app.get('/rooms/:id', eventStream('{id}'))
    const deleted = new Set<string>()
    for (const name of Array.from({ length: count }, newName)) {
      rooms.set(name, await (await connect(`/rooms/${name}`)).opened())
    }
    const remove = (name: string) => {
      rooms.delete(name)
      deleted.add(name)
    }
    const publish: Publish = (...event) => eventStream.publishEvent(...event)
    return { eventStream, rooms, remove, publish, connect, errors }
  }

  test('gets events in time when the room of another one is deleted', async () => {
    const { rooms, remove, publish, errors } = await openRooms(5)
    const [first = ''] = rooms.keys()
    remove(first)
    const before = grip.links.length
    await until(() => grip.links.slice(before).some(({ url }) => url.includes(first)))
    expect(await publishToAll(rooms, publish)).toBeLessThan(soonMs)
    expect(errors).toEqual([])
  })

  test('gets events in time whatever URLs another client finds for the same route', async () => {
    const { rooms, publish, connect, errors } = await openRooms(2)
    const name = newName()
    // Express takes all of them for the same.
    const spellings = Array.from({ length: 32 }, (_, n) =>
      [...'rooms'].map((letter, i) => (n & (1 << i) ? letter.toUpperCase() : letter)).join(''),
    )
    const others = await Promise.all(spellings.map((path) => connect(`/${path}/${name}`)))
    await Promise.all(others.map((client) => client.opened()))
    expect(await publishToAll(rooms, publish)).toBeLessThan(soonMs)
    expect(new Set(grip.links.map(({ url }) => url)).size).toBeLessThanOrEqual(10)
    expect(errors).toMatchObject([{ code: 'ERR_GRIP_NOT_HELD' }])
  })

  test('gets events in time whatever hosts another client names', async () => {
    const { rooms, publish, connect } = await openRooms(2, { gripLinkPath: '/links' })
    const name = newName()
    const others = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        connect(`/rooms/${name}`, { headers: { Host: `h${n}.example` } }),
      ),
    )
    await Promise.all(others.map((client) => client.opened()))
    expect(await publishToAll(rooms, publish)).toBeLessThan(soonMs)
    expect(new Set(grip.links.map(({ headers }) => headers.host)).size).toBeLessThanOrEqual(10)
  })

  test('gets events in time, and so do those that cannot be held as well, in 60 rooms', async () => {
    const { eventStream, rooms, publish } = await openRooms(60)
    expect(eventStream.connections()).toHaveLength(50)
    expect(await publishToAll(rooms, publish)).toBeLessThan(soonMs)
  })
})
