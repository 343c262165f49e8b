import { afterEach, describe, expect, test } from '@jest/globals'
import { countTimers } from '../support/count-timers.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { openSource, stream } from './open-source.js'

/** What a browser's window and document are to the client, with all that listens to them. */
class CountedTarget extends EventTarget {
  visibilityState = 'visible'
  listeners = 0

  override addEventListener(
    type: string,
    listener: () => void,
    options: { readonly signal: AbortSignal },
  ): void {
    this.listeners += 1
    options.signal.addEventListener('abort', () => {
      this.listeners -= 1
      this.removeEventListener(type, listener)
    })
    super.addEventListener(type, listener)
  }

  fire(type: string): void {
    this.dispatchEvent(new Event(type))
  }
}

const page = globalThis as unknown as Record<string, unknown>

function openPage() {
  const window = new CountedTarget()
  const document = new CountedTarget()
  page.document = document
  page.addEventListener = window.addEventListener.bind(window)
  return { window, document }
}

afterEach(() => {
  delete page.document
  delete page.addEventListener
})

/** Milliseconds after which a test has failed. */
const never = 100_000

describe('a closed client', () => {
  test('leaves no timer, connection or listener behind, whatever it was at', async () => {
    const { window, document } = openPage()
    const { url, server } = await startServer(stream('data: 1\n\n'))
    const silent = await startServer(() => undefined)
    // Or Node's fetch would keep the connection, and a timer for it.
    const failing = await startServer((_req, res) =>
      res.writeHead(500, { Connection: 'close' }).end(),
    )
    const connections = () =>
      new Promise<number>((resolve) => {
        server.getConnections((_error, count) => resolve(count))
      })
    const timers = countTimers()
    const abort = new AbortController()
    const open = openSource(url, { signal: abort.signal })
    const asking = openSource(silent.url)
    const waiting = openSource(failing.url, { minRetryMs: never })
    const starting = openSource(url)
    const looping = openSource(url)
    const loop = looping.source[Symbol.asyncIterator]().next()
    starting.source.close()
    await open.receives(1)
    await loop
    await until(() => waiting.errors.length > 0)
    expect([window.listeners, document.listeners]).toEqual([12, 12])

    for (const { source } of [open, asking, waiting, looping]) source.close()

    await until(async () => (await connections()) === 0)
    expect([window.listeners, document.listeners]).toEqual([0, 0])
    await timers.fallsTo(0)
    expect(timers.alive).toBe(0)
    timers.stop()
  })

  test('was closed by a signal, once and for all', async () => {
    const { url } = await startServer(stream('data: 1\n\n'))
    const abort = new AbortController()
    const { source, receives } = openSource(url, { signal: abort.signal })
    await receives(1)

    abort.abort()
    source.reopen()

    expect(source.readyState).toBe(source.CLOSED)
    expect(openSource(url, { signal: abort.signal }).source.readyState).toBe(source.CLOSED)
  })

  test('makes no request when it is closed at once, and one when it is opened, closed and opened', async () => {
    let requests = 0
    const { url } = await startServer((req, res) => {
      requests += 1
      stream('data: 1\n\n')(req, res)
    })
    const first = openSource(url)
    first.source.close()
    const { source, receives } = openSource(url)
    source.close()
    source.reopen()

    await receives(1)

    expect([requests, first.data]).toEqual([1, []])
  })

  test('delivers nothing of what has come together with the event that it was closed by', async () => {
    const { url } = await startServer(stream('data: 1\n\ndata: 2\n\n'))
    const { source, data } = openSource(url)
    source.onmessage = () => source.close()

    await until(() => source.readyState === source.CLOSED)
    source.reopen()
    await until(() => data.length === 2)

    expect(data).toEqual(['1', '1'])
  })
})

describe('a client in a page', () => {
  test.each(['online', 'pageshow', 'resume', 'visibilitychange'])(
    'tries at once on %s when it waits',
    async (type) => {
      const { window, document } = openPage()
      let isBack = false
      const { url } = await startServer((req, res) => {
        if (isBack) stream('data: 1\n\n')(req, res)
        else res.writeHead(500).end()
      })
      const { errors, receives } = openSource(url, { minRetryMs: never, maxRetryMs: never })
      await until(() => errors.length > 0)
      isBack = true

      for (const target of [window, document]) target.fire(type)

      await receives(1)
    },
  )

  test('does not try earlier than Retry-After says', async () => {
    const { window } = openPage()
    const { url } = await startServer((_req, res) =>
      res.writeHead(503, { 'Retry-After': '1' }).end(),
    )
    const { told } = openSource(url, { minRetryMs: 1, maxRetryMs: 1 })
    await until(() => told.length > 0)
    const at = performance.now()

    window.fire('online')
    await until(() => told.length > 1)

    expect(performance.now() - at).toBeGreaterThan(900)
  })

  test('connects anew on waking when nothing came for longer than a keep-alive takes', async () => {
    const { window } = openPage()
    let requests = 0
    const { url } = await startServer((req, res) => {
      requests += 1
      stream(`data: ${requests}\n\n`)(req, res)
    })
    const { errors, receives } = openSource(url, { silenceMs: 1500 })
    await receives(1)

    window.fire('online')
    await until(() => {
      window.fire('online')
      return requests === 2
    })

    expect(await receives(2)).toEqual(['1', '2'])
    expect(errors).toMatchObject([{ code: 'ERR_SILENCE' }])
  })

  test('lets go of its connection while the page is put away, and goes on when it is back', async () => {
    const { window, document } = openPage()
    const ids: unknown[] = []
    let closed = 0
    const { url } = await startServer((req, res) => {
      ids.push(req.headers['last-event-id'])
      res.on('close', () => {
        closed += 1
      })
      stream(`data: ${ids.length}\nid: ${ids.length}\n\n`)(req, res)
    })
    const { source, errors, receives } = openSource(url)
    await receives(1)

    window.fire('pagehide')
    await until(() => closed === 1)
    expect(source.readyState).toBe(source.CONNECTING)
    window.fire('pageshow')
    await receives(2)
    document.fire('freeze')
    await until(() => closed === 2)
    document.fire('resume')
    await receives(3)

    expect([ids, errors]).toEqual([[undefined, '1', '2'], []])
  })
})
