import { randomInt } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import { describeWithChromium } from '../support/browser.js'
import { startServer } from '../support/server.js'
import { type Heard, PageEventSource } from './page-event-source.js'
import { streamApp } from './stream-app.js'

const names = ['tick', 'stream-open', 'stream-reset', 'stream-error', 'the-end']

/** Publishes bursts without a pause, and cuts each stream somewhere on its way, `cuts` times. */
async function publishWhileCutting(
  sockets: readonly Socket[],
  { cuts, events }: { readonly cuts: number; readonly events: number },
  publish: () => Promise<unknown>,
): Promise<void> {
  let published = 0
  let cut = 0
  let cutAt = 0
  while (cut < cuts || published < events) {
    const burst = randomInt(1, 20)
    for (let i = 0; i < burst; i++) await publish()
    published += burst
    const socket = sockets[cut]
    if (socket !== undefined && cut < cuts) {
      cutAt ||= published + randomInt(1, 200)
      if (published >= cutAt) {
        // What is on its way still arrives, or is lost with the connection.
        if (randomInt(2) === 0) socket.destroy()
        else socket.resetAndDestroy()
        cut += 1
        cutAt = 0
      }
    }
    // The sockets are served only while the publisher waits.
    await delay(1)
  }
}

function count(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i + 1)
}

function numbers(heard: readonly Heard[]): number[] {
  return heard.filter(({ type }) => type === 'tick').map(({ data }) => JSON.parse(data).n)
}

describeWithChromium('EventSource in Chromium, cut again and again', (browser) => {
  test('has each event once and in order, in each of two clients', async () => {
    const log = memoryEventLog({ maxEvents: 100_000 })
    const { app, eventStream, sockets } = streamApp('a', { log })
    const page = await browser.openPage((await startServer(app)).url)
    const sources = []
    for (let i = 0; i < 2; i++) {
      const source = await PageEventSource.open(page, '/events', names)
      await source.hears(1, 'stream-open')
      sources.push(source)
    }
    let n = 0

    await publishWhileCutting(sockets, { cuts: 20, events: 2000 }, () => {
      n += 1
      return eventStream.publishEvent('a', { event: 'tick', data: { n } })
    })
    await eventStream.publishEvent('a', { event: 'the-end' })

    for (const source of sources) {
      const heard = await source.hears(1, 'the-end')
      expect(await source.turns()).toContainEqual(expect.objectContaining({ type: 'error' }))
      expect(heard.filter(({ type }) => type === 'stream-reset')).toEqual([])
      expect(numbers(heard)).toEqual(count(n))
    }
  })

  test('has each event of several channels once and in the order of its channel', async () => {
    const channels = ['a', 'b~1-1*', 'Zimmer/ü 世界 %2A']
    const log = memoryEventLog({ maxEvents: 100_000 })
    const { app, eventStream, sockets } = streamApp(channels, { log })
    const page = await browser.openPage((await startServer(app)).url)
    const source = await PageEventSource.open(page, '/events', names)
    await source.hears(1, 'stream-open')
    const published = channels.map(() => 0)

    await publishWhileCutting(sockets, { cuts: 5, events: 1000 }, () => {
      const channel = randomInt(channels.length)
      const n = (published[channel] ?? 0) + 1
      published[channel] = n
      return eventStream.publishEvent(channels[channel] ?? '', {
        event: 'tick',
        data: { channel, n },
      })
    })
    for (const channel of channels) await eventStream.publishEvent(channel, { event: 'the-end' })
    const heard = await source.hears(channels.length, 'the-end')

    expect(heard.filter(({ type }) => type === 'stream-reset')).toEqual([])
    const heardOf = channels.map((_, channel) =>
      numbers(heard.filter(({ data }) => JSON.parse(data)?.channel === channel)),
    )
    expect(heardOf).toEqual(published.map(count))
  })
})
