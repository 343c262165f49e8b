import { afterEach, expect, test } from '@jest/globals'
import type { EventLog } from '../../src/index.js'
import { setUp } from '../support/app.js'
import type { SseClient } from '../support/sse-client.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

/** A store that can go back to what it was. */
export interface ForgetfulStore {
  /** A log of its own connections, which the test closes. */
  open(): EventLog
  /** Remembers what is stored now. */
  save(): Promise<unknown>
  /** Loses all that was stored since `save`. */
  goBack(): Promise<unknown>
}

/** Names of events, and data of those of the application, in the order that they came. */
export function seen({ text }: SseClient): unknown[] {
  return text
    .split('\n\n')
    .filter((block) => block.includes('data: '))
    .map((block) => {
      const name = /^event: (.*)$/m.exec(block)?.[1]
      const data = /^data: (.*)$/m.exec(block)?.[1] ?? ''
      if (name === 'stream-reset') return `reset ${JSON.parse(data).reason}`
      return name ?? JSON.parse(data)
    })
}

/** What readers of an application are told when the end of its log is lost. */
export function lostTailSuite(store: () => ForgetfulStore): void {
  const logs: EventLog[] = []
  function openLog(): EventLog {
    const log = store().open()
    logs.push(log)
    return log
  }

  /** A process of the application. */
  async function startApp(options: { maxQueueBytes?: number; log?: EventLog } = {}) {
    const { eventStream, app, serve } = setUp({ log: openLog(), ...options })
    app.get('/events', eventStream('a'))
    const connect = await serve()
    return {
      connect: (lastEventId?: string) => connect('/events', { lastEventId }),
      connectPaused: () => connect('/events', { paused: true }),
      publish: async (...numbers: number[]) => {
        for (const n of numbers) await eventStream.publishEvent('a', { data: n })
      },
      publishRaw: (raw: string) => eventStream.publishEvent('a', { raw }),
    }
  }

  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close()
  })

  type App = Awaited<ReturnType<typeof startApp>>

  /** Publishes 1 to 9, and loses what is behind 3, which is as far as a client has come before it went away. */
  async function loseTail(app: App): Promise<string> {
    const away = await (await app.connect()).opened()
    await app.publish(1, 2, 3)
    await away.received(3)
    away.destroy()
    await store().save()
    await app.publish(4, 5, 6, 7, 8, 9)
    await store().goBack()
    return away.lastEventId
  }

  test('a client that was away is told by the process that had published what is lost', async () => {
    const app = await startApp()
    const lastEventId = await loseTail(app)
    await app.publish(10)
    const back = await app.connect(lastEventId)
    await back.received(1)
    expect(seen(back)).toEqual(['stream-open', 'reset unknown', 10])
  })

  test('a client that was away is told by a process that knows nothing of it', async () => {
    const [app, other] = [await startApp(), await startApp()]
    const lastEventId = await loseTail(app)
    await app.publish(10)
    const back = await other.connect(lastEventId)
    await back.received(1)
    expect(seen(back)).toEqual(['stream-open', 'reset unknown', 10])
  })

  test('a client that was away is told, though a process that knows nothing of it appends first', async () => {
    const [app, other] = [await startApp(), await startApp()]
    const lastEventId = await loseTail(app)
    await other.publish(10)
    const back = await other.connect(lastEventId)
    await until(() => seen(back).length === 3)
    await app.publish(11)
    await back.received(2)
    expect(seen(back).filter((it) => typeof it === 'number')).toEqual([10, 11])
    expect(seen(back).filter((it) => it === 'reset unknown')).toHaveLength(1)
  })

  test('a client that has seen what is lost goes on from the last that is left', async () => {
    const app = await startApp()
    const away = await (await app.connect()).opened()
    await app.publish(1, 2, 3)
    await store().save()
    await app.publish(4, 5, 6, 7, 8, 9)
    await away.received(9)
    away.destroy()
    await store().goBack()
    await app.publish(10, 11)
    const back = await app.connect(away.lastEventId)
    await back.received(2)
    expect(seen(back)).toEqual(['stream-open', 'reset unknown', 10, 11])
  })

  test('a client that stays is told at once, though nothing is published any more', async () => {
    const app = await startApp()
    const client = await (await app.connect()).opened()
    await app.publish(1, 2, 3)
    await store().save()
    await app.publish(4)
    await client.received(4)
    await store().goBack()
    await until(() => seen(client).length === 6)
    expect(seen(client)).toEqual(['stream-open', 1, 2, 3, 4, 'reset unknown'])
  })

  test('a client is told whose events are being read when the log goes back', async () => {
    const inner = openLog()
    const reads: (() => void)[] = []
    let isSlow = false
    const log = wrapLog(inner, {
      read: async (...args) => {
        if (isSlow) await new Promise<void>((resolve) => reads.push(resolve))
        return inner.read(...args)
      },
    })
    const app = await startApp({ log })
    const away = await (await app.connect()).opened()
    await app.publish(1, 2, 3)
    await away.received(3)
    away.destroy()
    await store().save()
    await app.publish(4, 5, 6, 7, 8, 9)
    isSlow = true
    const back = await app.connect(away.lastEventId)
    await until(() => reads.length > 0)
    await store().goBack()
    await app.publish(10)
    isSlow = false
    for (const read of reads) read()
    await back.received(1)
    expect(seen(back)).toEqual(['stream-open', 'reset unknown', 10])
  })

  test('of two clients that stay, the slow one is told as well, each once', async () => {
    const app = await startApp({ maxQueueBytes: 1000 })
    const fast = await (await app.connect()).opened()
    const slow = await app.connectPaused()
    const large = 'x'.repeat(100_000)
    // More than the sockets take.
    for (let n = 0; n < 100; n++) await app.publishRaw(`"${n} ${large}"`)
    await fast.received(100)
    await store().save()
    await app.publish(4, 5, 6, 7, 8, 9)
    await fast.received(106)
    await store().goBack()
    await app.publish(10)
    await until(() => fast.data.at(-1) === 10)
    slow.resume()
    await until(() => slow.data.at(-1) === 10)
    const short = (client: SseClient) =>
      seen(client).filter((it) => !String(it).includes('x') && it !== 'stream-open')
    expect(short(fast)).toEqual([4, 5, 6, 7, 8, 9, 'reset unknown', 10])
    expect(short(slow)).toEqual(['reset unknown', 10])
    expect(slow.events).toHaveLength(101)
  })
}
