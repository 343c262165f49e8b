import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { LogListener } from '../../src/log/event-log.js'
import { createContext } from '../../src/resumable/context.js'
import { resolveStreamsOptions } from '../../src/resumable/options.js'
import { setUp } from '../support/app.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Faucet } from '../support/faucet.js'
import { ownStreamLog } from '../support/own-stream-log.js'
import {
  openLog,
  openStreams,
  type StoreName,
  type StreamStore,
  startStore,
} from '../support/stream-stores.js'
import { until } from '../support/until.js'

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('an event stream that closes before its log', () => {
  test('reports nothing of what it has under way there', async () => {
    const errors: unknown[] = []
    let suspect: LogListener['suspect'] = () => undefined
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let reads = 0
    const { log } = ownStreamLog((inner) => ({
      follow: (channel, listener) => {
        suspect = () => listener.suspect()
        return inner.follow(channel, listener)
      },
      read: async (...args) => {
        reads += 1
        await held
        return inner.read(...args)
      },
    }))
    const { app, eventStream, serve } = setUp({ log, onError: (error) => errors.push(error) })
    app.get('/room', eventStream('room'))
    const client = await (await (await serve())('/room')).opened()
    suspect()
    await until(() => reads === 1)
    await eventStream.close({ graceMs: 0 })
    await log.close()
    release()
    await client.end()
    await turn()
    expect(errors).toEqual([])
  })

  test('as a context does not either, of a lease that it renews', async () => {
    const errors: unknown[] = []
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let renewals = 0
    const { log } = ownStreamLog((inner) => ({
      renew: async (...args) => {
        renewals += 1
        await held
        return inner.renew(...args)
      },
    }))
    const context = createContext({
      log,
      options: resolveStreamsOptions({ leaseMs: 100 }),
      keyPrefix: 'closing',
      waitUntil: null,
      serveEnded: true,
      onError: (error) => errors.push(error),
    })
    const source = new Faucet<string>()
    await context.resumableStream('a', () => ReadableStream.from(source))
    await until(() => renewals === 1)
    await context.close()
    release()
    await turn()
    expect(errors).toEqual([])
  })
})

describeWithRedis('a process that closes, with streams in Redis,', () => orphans('redis'))
describeWithPostgres('a process that closes, with streams in Postgres,', () => orphans('postgres'))

function orphans(name: StoreName): void {
  let store: StreamStore

  beforeAll(async () => {
    store = await startStore(name)
  })

  afterAll(() => store.stop())

  test('reports nothing of a stream that it has just found orphaned', async () => {
    const errors: unknown[] = []
    for (let n = 0; n < 4; n++) {
      // One more process, whose streams nobody renews once it is gone.
      const gone = openLog(name, store.url)
      const streams = openStreams(gone, { leaseMs: 300 })
      await streams.create(`orphan-${n}`, new Faucet<string>())
      await gone.close()
      const log = openLog(name, store.url)
      const { app, eventStream, serve } = setUp({ log, onError: (error) => errors.push(error) })
      app.get('/a', eventStream.streams.handler(`orphan-${n}`))
      const get = await serve()
      await Promise.all([get('/a'), get('/a')])
      const reader = (await eventStream.streams.read(`orphan-${n}`)).getReader()
      await expect(reader.read()).rejects.toThrow('is orphaned')
      await eventStream.close({ graceMs: 0 })
      await log.close()
      await streams.close(0)
    }
    await sleep(100)
    expect(errors).toEqual([])
  })
}
