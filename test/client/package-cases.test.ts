import { randomUUID } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { EventSourceClient } from '../../src/client-node.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { streamHead } from './open-source.js'

// Cases of the tests of the npm package `eventsource`, written anew, for code that comes from it.

const served = new Map<string, number>()

const listener: RequestListener = async (req, res) => {
  const url = new URL(req.url ?? '/', `http://${req.headers.host}`)
  const last = req.headers['last-event-id']
  const visits = (served.get(url.search) ?? 0) + 1
  const routes: Record<string, () => unknown> = {
    '/': () => streamHead(res).write('event: welcome\ndata: Hello\n\n'),
    '/counter': async () => {
      streamHead(res).write('retry: 50\n\n')
      const event = url.searchParams.get('event') ?? 'counter'
      for (let n = Number(last ?? 0) + 1, end = n + 3; n < end; n++) {
        res.write(`${event && `event: ${event}\n`}data: Counter is at ${n}\nid: ${n}\n\n`)
        await delay(5)
      }
      res.end()
    },
    '/one': () => {
      if (last) res.writeHead(204).end()
      else streamHead(res).end('retry: 50\nevent: progress\ndata: 100%\nid: prct-100\n\n')
    },
    '/identified': () => {
      served.set(url.search, visits)
      streamHead(res).write(`retry: 100\ndata: ${visits}\n\n`)
      if (url.searchParams.has('end')) res.end()
    },
    '/slow': async () => {
      await delay(100)
      streamHead(res).end('event: welcome\ndata: slow\n\n')
    },
    '/unicode': async () => {
      const bytes = Buffer.from('event: unicode\ndata: Espen ❤ Kokos\n\n')
      streamHead(res).write(bytes.subarray(0, 30))
      await delay(50)
      res.end(bytes.subarray(30))
    },
    '/redirect': () => {
      served.set(url.search, visits)
      const to = new URL('/target', url)
      if (url.searchParams.has('cors')) to.hostname = 'localhost'
      to.search = url.search
      const status = Number(url.searchParams.get('status'))
      res.writeHead(status, { Location: to.href }).end()
    },
    '/target': () => {
      const { authorization = null } = req.headers
      const data = { auth: authorization, redirects: served.get(url.search) }
      streamHead(res).end(`retry: 25\ndata: ${JSON.stringify(data)}\n\n`)
    },
  }
  await routes[url.pathname]?.()
}

describe('the client, in place of the package eventsource', () => {
  let base = ''
  const sources: EventSourceClient[] = []
  const open = (path: string, init?: ConstructorParameters<typeof EventSourceClient>[1]) => {
    const source = new EventSourceClient(`${base}${path}`, init)
    sources.push(source)
    return source
  }
  /** All events of a name, as they come. */
  const heardBy = (source: EventSourceClient, type: string) => {
    const events: MessageEvent[] = []
    source.addEventListener(type, (event: Event) => events.push(event as MessageEvent), false)
    return events
  }

  beforeEach(async () => {
    base = (await startServer(listener)).url
  })
  afterEach(() => {
    for (const source of sources.splice(0)) source.close()
  })

  test('target is the source, of open, messages and errors', async () => {
    const source = open('/one')
    const lists = ['open', 'progress', 'error'].map((type) => heardBy(source, type))

    await until(() => lists.every(({ length }) => length > 0))

    expect(lists.map(([event]) => event?.target)).toEqual([source, source, source])
  })

  test('takes a URL, or the text of one', async () => {
    const sourceOfUrl = new EventSourceClient(new URL(base))
    sources.push(sourceOfUrl)
    const lists = [sourceOfUrl, open('/')].map((source) => heardBy(source, 'welcome'))

    await until(() => lists.every(({ length }) => length > 0))

    for (const [event] of lists) expect(event).toMatchObject({ data: 'Hello', origin: base })
  })

  test('asks for nothing from caches', async () => {
    const inits: unknown[] = []
    const source = open('/', {
      fetch: (url, init) => {
        inits.push(init)
        return fetch(url, init)
      },
    })
    const heard = heardBy(source, 'welcome')

    await until(() => heard.length > 0)

    expect(inits).toEqual([expect.objectContaining({ cache: 'no-store' })])
  })

  test('takes a character in two parts', async () => {
    const heard = heardBy(open('/unicode'), 'unicode')

    await until(() => heard.length > 0)

    expect(heard[0]?.data).toBe('Espen ❤ Kokos')
  })

  test.each([
    ['onopen', 'open', ''],
    ['onerror', 'error', ''],
    ['onmessage', 'message', '?event='],
    ['onmessage', 'message', '?event=message'],
  ] as const)('%s is replaced, and removed by null: %s %s', async (name, type, query) => {
    const source = open(`/counter${query}`)
    const counts = [0, 0, 0]
    const count = (i: number) => () => {
      counts[i] = (counts[i] ?? 0) + 1
    }
    source[name] = count(0)
    // Handlers are called first.
    source.addEventListener(type, () => {
      count(2)()
      source[name] = counts[2] === 1 ? count(1) : null
    })

    await until(() => counts[2] === 4)

    expect(source[name]).toBeNull()
    expect(counts).toEqual([1, 1, 4])
  })

  test('onmessage does not hear events of other names', async () => {
    const source = open('/counter')
    const heard: unknown[] = []
    source.onmessage = (event) => heard.push(event)
    const others = heardBy(source, 'counter')

    await until(() => others.length === 6)

    expect(heard).toEqual([])
  })

  test('messages have all that they need', async () => {
    const heard = heardBy(open('/counter'), 'counter')

    await until(() => heard.length > 0)

    expect(heard[0]).toMatchObject({
      ...{ data: 'Counter is at 1', type: 'counter', lastEventId: '1', origin: base },
      ...{ defaultPrevented: false, cancelable: false, timeStamp: expect.any(Number) },
    })
  })

  test('comes back with the last id', async () => {
    const source = open('/counter')
    const states: number[] = [source.readyState]
    const heard = heardBy(source, 'counter')
    source.onopen = () => states.push(source.readyState)
    source.onerror = () => states.push(source.readyState)

    await until(() => heard.length >= 8)

    expect(source.url).toBe(`${base}/counter`)
    expect(heard[7]).toMatchObject({ data: 'Counter is at 8', lastEventId: '8', origin: base })
    expect(states.slice(0, 4)).toEqual([0, 1, 0, 1])
  })

  test.each(['', '&end'])('does not come back after close(), also in onerror%s', async (end) => {
    const query = `?id=${randomUUID()}${end}`
    const source = open(`/identified${query}`)
    const heard = heardBy(source, 'message')
    if (end) source.onerror = () => source.close()
    await until(() => heard.length > 0)
    if (!end) source.close()
    await until(() => source.readyState === EventSourceClient.CLOSED)
    await delay(300)

    expect(served.get(new URL(source.url).search)).toBe(1)
  })

  test('has the right state, before, in between and behind', async () => {
    const source = open('/slow')
    const states = [source.readyState]
    source.onopen = () => states.push(source.readyState)
    source.onerror = () => states.push(source.readyState)
    await until(() => states.length === 3)
    source.close()

    expect([...states, source.readyState]).toEqual([0, 1, 0, 2])
    expect([source.CONNECTING, source.OPEN, source.CLOSED]).toEqual([0, 1, 2])
    const { CONNECTING, OPEN, CLOSED } = EventSourceClient
    expect([CONNECTING, OPEN, CLOSED]).toEqual([0, 1, 2])
  })

  test('closes with an error after 204, which has the status', async () => {
    const source = open('/one')
    const errors = heardBy(source, 'error')

    await until(() => errors.length === 2)

    expect(source.readyState).toBe(EventSourceClient.CLOSED)
    expect(errors[1]).toMatchObject({ code: 204, message: 'The stream has ended.' })
  })

  test('throws a DOMException for what is no URL', () => {
    expect(() => new EventSourceClient(123 as never)).toThrow(DOMException)
  })

  test.each(
    [301, 302, 307, 308].flatMap((status) => [
      [status, '', 'Bearer foo'],
      [status, '&cors', null],
    ]),
  )('follows %d%s, each time from where it began', async (status, cors, auth) => {
    const path = `/redirect?status=${status}&id=${randomUUID()}${cors}`
    const source = open(path, {
      withCredentials: true,
      fetch: (to, init) => fetch(to, { ...init, headers: { authorization: 'Bearer foo' } }),
    })
    const heard = heardBy(source, 'message')

    await until(() => heard.length >= 2)

    const origin = cors ? base.replace('127.0.0.1', 'localhost') : base
    expect(source.url).toBe(`${base}${path}`)
    expect(heard.slice(0, 2).map((event) => [event.origin, JSON.parse(event.data)])).toEqual([
      [origin, { auth, redirects: 1 }],
      [origin, { auth, redirects: 2 }],
    ])
  })

  test('errors have a message, and the status where there was one', async () => {
    const headers = new Headers({ 'content-type': 'text/event-stream' })
    const answers = [undefined, 'text'].map(
      (body) => async () => ({ status: 200, headers, body, url: base }) as never,
    )
    for (const fetch of answers) {
      const errors = heardBy(open('/', { fetch }), 'error')
      await until(() => errors.length > 0)
      const message = 'Invalid response body, expected a web ReadableStream'
      expect(errors[0]).toMatchObject({ message, code: 200, defaultPrevented: false })
    }
    const nobody = new EventSourceClient('http://127.0.0.1:9/')
    sources.push(nobody)
    const errors = heardBy(nobody, 'error')
    await until(() => errors.length > 0)
    expect(errors[0]).toMatchObject({ message: expect.stringMatching('fetch failed') })
    expect(errors[0]).toHaveProperty('code', undefined)
  })
})
