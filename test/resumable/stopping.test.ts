import { describe, expect, test } from '@jest/globals'
import type { EventStreamOptions } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { Faucet } from '../support/faucet.js'
import { ownStreamLog } from '../support/own-stream-log.js'
import { until } from '../support/until.js'

const quiet: EventStreamOptions = { onError: () => undefined }

/** Holds up calls until it is released. */
function gate() {
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  return { held, release }
}

describe('a stream that was stopped', () => {
  test('has ended though its source has not even been opened', async () => {
    const { eventStream } = setUp(quiet)
    const source = new Faucet<string>()
    let open: (source: Faucet<string>) => void = () => undefined
    const opening = new Promise<Faucet<string>>((resolve) => {
      open = resolve
    })
    const { ended } = await eventStream.streams.create('a', () => opening)
    await eventStream.streams.stop('a')
    await ended
    open(source)
    await until(() => source.isReturned)
    expect([source.pulls, eventStream.streams.log.producers.length]).toEqual([0, 0])
  })

  test('is had from its process until the log has all of it', async () => {
    const { held, release } = gate()
    const { log } = ownStreamLog((inner) => ({
      produce: async (...args) => {
        await held
        return inner.produce(...args)
      },
    }))
    const { eventStream, app, serve } = setUp({ ...quiet, log })
    const source = new Faucet<string>()
    app.get(
      '/:id',
      eventStream.streams.handler('{id}', () => source),
    )
    const get = await serve()
    source.give('1', '2')
    const first = await get('/a')
    await first.received(2)
    first.destroy()
    await until(() => eventStream.streams.count('a') === 0)
    const stopping = eventStream.streams.stop('a')
    await new Promise((resolve) => setImmediate(resolve))
    const back = await get('/a', { lastEventId: first.events[0]?.id })
    await back.received(1)
    release()
    await Promise.all([stopping, back.end()])
    expect([back.data, back.control.map(({ event }) => event)]).toEqual([
      ['2'],
      ['stream-open', 'stream-end'],
    ])
    await log.close()
  })
})

describe('stop', () => {
  test('refuses a reason that is no text, and the stream goes on', async () => {
    const { eventStream } = setUp(quiet)
    const source = new Faucet<string>()
    const { streams } = eventStream
    await streams.create('a', source)
    for (const reason of [1n, new Error('no text')]) {
      const stopped = streams.stop('a', reason as unknown as string)
      await expect(stopped).rejects.toMatchObject({ code: 'ERR_OPTION' })
    }
    source.give('1')
    source.end()
    const read: unknown[] = []
    for await (const { data } of await streams.read('a')) read.push(data)
    expect(read).toEqual(['1'])
  })
})

describe('a stream that is stopped elsewhere while its source ends', () => {
  test('ends as aborted for readers beside the source too', async () => {
    const { held, release } = gate()
    const { log } = ownStreamLog((inner) => ({
      produce: async (...args) => {
        await held
        return inner.produce(...args)
      },
      inspect: async (...args) => {
        await new Promise((resolve) => setImmediate(resolve))
        return inner.inspect(...args)
      },
      // As where the message of it is lost.
      follow: async () => () => undefined,
    }))
    const { eventStream } = setUp({ ...quiet, log })
    const { eventStream: other } = setUp({ log })
    await eventStream.streams.create('a', ['1'])
    const reader = (await eventStream.streams.read('a')).getReader()
    await reader.read()
    await other.streams.stop('a')
    release()
    await expect(reader.read()).rejects.toMatchObject({
      code: 'ERR_STREAM_ENDED',
      message: expect.stringContaining('aborted'),
    })
    await log.close()
  })
})

describe('a process that closes', () => {
  /** Claims take until the test says so. */
  const slowClaims = () => {
    const { held, release } = gate()
    const { log } = ownStreamLog((inner) => ({
      claim: async (...args) => {
        await held
        return inner.claim(...args)
      },
    }))
    return { log, release }
  }

  test('waits for the source of a stream that was being started', async () => {
    const { log, release } = slowClaims()
    const { eventStream } = setUp({ log })
    const opening = eventStream.streams.open('a', ['1', '2'])
    const closing = eventStream.close({ graceMs: 5000 })
    release()
    await Promise.all([opening, closing])
    const { eventStream: other } = setUp({ log })
    expect(await other.streams.status('a')).toMatchObject({ state: 'completed' })
    await log.close()
  })

  test('starts no source once it has closed', async () => {
    const { log, release } = slowClaims()
    const { eventStream } = setUp({ log })
    let isStarted = false
    const opening = eventStream.streams.open('a', () => {
      isStarted = true
      return []
    })
    const refused = expect(opening).rejects.toMatchObject({ code: 'ERR_UNAVAILABLE' })
    await eventStream.close({ graceMs: 0 })
    release()
    await refused
    const { eventStream: other } = setUp({ log })
    const status = await other.streams.status('a')
    expect([isStarted, status?.state, status?.reason]).toEqual([false, 'aborted', 'closing'])
    await log.close()
  })
})
