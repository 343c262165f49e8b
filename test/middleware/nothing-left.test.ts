import { connect } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { countTimers } from '../support/count-timers.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { countFollowers } from '../support/wrap-log.js'

/** An `authorize` that waits for the test's word. */
function heldAuthorization() {
  let ask: () => void = () => undefined
  const asked = new Promise<void>((resolve) => {
    ask = resolve
  })
  let allow: () => void = () => undefined
  const allowed = new Promise<boolean>((resolve) => {
    allow = () => resolve(true)
  })
  const authorize = () => {
    ask()
    return allowed
  }
  return { asked, allow, authorize }
}

describe('after the last client has gone', () => {
  test('1000 connects and disconnects leave no listener, timer or subscription', async () => {
    const { log, counts } = countFollowers(memoryEventLog())
    const { eventStream, app, serve } = setUp({ log, maxChannelsPerConnection: 3 })
    app.get('/events/:id', eventStream('shared', 'room-{id}'))
    const request = await serve()
    const timers = countTimers()
    // The log has a timer of its own while it keeps something.
    await eventStream.publishEvent('shared', { data: 'first' })
    await new Promise((resolve) => setImmediate(resolve))
    const before = {
      timers: timers.alive,
      active: process.getActiveResourcesInfo().length,
      process: process.eventNames().length,
    }
    let ended = 0
    const come = async (n: number) => {
      const client = await (await request(`/events/${n % 50}`)).opened()
      if (n % 3 === 0) await eventStream.publishEvent('shared', { data: n })
      client.destroy()
      await client.end()
      ended += 1
    }
    for (let n = 0; n < 1000; n += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, i) => come(n + i)))
    }
    await until(() => eventStream.connections().length === 0)
    await timers.fallsTo(before.timers)
    await until(() => process.getActiveResourcesInfo().length <= before.active)
    timers.stop()
    expect({
      timersLeft: Math.max(0, timers.alive - before.timers),
      ended,
      counts,
      shared: eventStream.count('shared'),
      process: process.eventNames().length,
    }).toEqual({
      timersLeft: 0,
      ended: 1000,
      counts: { followers: 0, follows: counts.follows },
      shared: 0,
      process: before.process,
    })
    expect(counts.follows).toBeGreaterThan(100)
    await log.close()
  }, 30_000)

  test('an event stream that nobody ever listened to keeps no process alive', async () => {
    const { eventStream } = setUp()
    const before = process.getActiveResourcesInfo().length
    await eventStream.publishEvent('a', { data: 1 })
    expect(process.getActiveResourcesInfo().length).toBe(before)
  })

  test('one that leaves while its channels are looked up leaves nothing either', async () => {
    const { log, counts } = countFollowers(memoryEventLog())
    const { eventStream, app, serve } = setUp({ log })
    const { asked, allow, authorize } = heldAuthorization()
    let closed = false
    app.use((_req, res, next) => {
      res.on('close', () => {
        closed = true
      })
      next()
    })
    app.get('/events', eventStream('a', { authorize }))
    const request = await serve()
    const controller = new AbortController()
    const pending = request('/events', { signal: controller.signal }).catch(() => undefined)
    await asked
    controller.abort()
    await pending
    await until(() => closed)
    allow()
    await new Promise((resolve) => setImmediate(resolve))
    expect([counts.follows, eventStream.connections().length]).toEqual([0, 0])
    await log.close()
  })

  test('a request that waited behind another one of its connection is gone with it', async () => {
    const { eventStream, app } = setUp()
    app.get('/slow', () => undefined)
    app.get('/events', eventStream('a'))
    const { url } = await startServer(app)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    for (const path of ['slow', 'events', 'events']) {
      socket.write(`GET /${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    }
    await until(() => eventStream.count('a') === 1)
    socket.destroy()
    await until(() => eventStream.count('a') === 0)
  })

  test('one that waited behind another, and whose connection closes before it opens, opens nothing', async () => {
    const { eventStream, app } = setUp()
    const { asked, allow, authorize } = heldAuthorization()
    let closed = false
    app.get('/first', (_req, res) => {
      res.on('close', () => {
        closed = true
      })
    })
    app.get('/second', eventStream('b', { authorize }))
    const { url } = await startServer(app)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    for (const path of ['first', 'second']) {
      socket.write(`GET /${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    }
    await asked
    socket.destroy()
    await until(() => closed)
    allow()
    await new Promise((resolve) => setImmediate(resolve))
    expect(eventStream.connections()).toEqual([])
  })

  test('one whose head could not be sent is answered with the error, and leaves nothing', async () => {
    const { eventStream, app, errors, serve } = setUp({ onError: (error) => errors.push(error) })
    const refusal = new Error('a hook of the head has failed')
    app.use((_req, res, next) => {
      const { writeHead } = res
      res.writeHead = ((...args: [number]) => {
        if (res.statusCode === 200) throw refusal
        return Reflect.apply(writeHead, res, args)
      }) as typeof writeHead
      next()
    })
    const calls: string[] = []
    const onOpen = () => calls.push('onOpen')
    const onClose = () => calls.push('onClose')
    app.get('/events', eventStream('a', { onOpen, onClose }))
    const client = await (await serve())('/events')
    expect([client.status, errors, calls]).toEqual([500, [refusal], []])
    expect([eventStream.connections(), eventStream.health().channels]).toEqual([[], 0])
  })
})
