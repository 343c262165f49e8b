import { describe, expect, test } from '@jest/globals'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { inTurn, openSource, stream, streamHead } from './open-source.js'

describe('the client, used as an EventSource', () => {
  test('is an EventTarget, and its events are of it', async () => {
    const { url } = await startServer(stream('id: 7\ndata: {"n":1}\n\nevent: error\ndata: 2\n\n'))
    const { source } = openSource(url)
    const heard: unknown[][] = []
    const note = function (this: unknown, event: Event) {
      const { target, currentTarget, defaultPrevented } = event
      // Node says null to all listeners but the first.
      const isRight = currentTarget === source || currentTarget === null
      heard.push([event.type, this === source, target === source, isRight])
      heard.push([event instanceof Event, defaultPrevented])
    }
    source.onopen = note
    source.onmessage = note
    source.addEventListener('message', note, { once: true })
    source.addEventListener('*', note)

    await until(() => heard.length === 10)

    expect(source).toBeInstanceOf(EventTarget)
    expect(heard).toEqual(
      ['open', 'message', 'message', 'message', 'error'].flatMap((type) => [
        [type, true, true, true],
        [true, false],
      ]),
    )
  })

  test('gives messages that are as those of EventSource, with json beside', async () => {
    const { url } = await startServer(stream('id: 7\ndata: {"n":1}\n\ndata: no JSON\n\n'))
    const { source } = openSource(url)
    const heard: Parameters<NonNullable<typeof source.onmessage>>[0][] = []
    source.onmessage = (event) => heard.push(event)

    await until(() => heard.length === 2)

    const [first, second] = heard
    expect(first).toMatchObject({ type: 'message', data: '{"n":1}', lastEventId: '7', origin: url })
    expect(first?.json).toEqual({ n: 1 })
    expect(first).toBeInstanceOf(MessageEvent)
    expect(Object.keys(JSON.parse(JSON.stringify(heard[1])))).not.toContain('json')
    expect(() => second?.json).toThrow(SyntaxError)
  })

  test('takes listeners that are objects, that hear once, or until a signal, and each once', async () => {
    const { url } = await startServer(stream('data: 1\n\ndata: 2\n\ndata: 3\n\n'))
    const { source, receives } = openSource(url)
    const heard: string[] = []
    const abort = new AbortController()
    const twice = () => heard.push('twice')
    for (const type of ['message', '*'] as const) {
      const object = { handleEvent: ({ data }: { data: string }) => heard.push(`object ${data}`) }
      source.addEventListener(type, object as never)
      source.addEventListener(type, () => heard.push('once'), { once: true })
      source.addEventListener(type, () => heard.push('aborted'), abort)
      source.addEventListener(type, twice)
      source.addEventListener(type, twice)
      source.addEventListener(type, null)
    }
    source.removeEventListener('*', twice)
    abort.abort()

    await receives(3)

    const count = (name: string) => heard.filter((one) => one === name).length
    expect(['object 1', 'object 3', 'once', 'aborted', 'twice'].map(count)).toEqual([2, 2, 2, 0, 3])
  })

  test.each([
    [{}, false, undefined],
    [{ withCredentials: false }, false, undefined],
    [{ withCredentials: true }, true, 'include'],
    [{ credentials: 'include' as const }, true, 'include'],
  ])('sends cookies to other origins as it is told: %p', async (options, isSent, credentials) => {
    const asked: unknown[] = []
    const { url } = await startServer(stream('data: 1\n\n'))
    const { source, receives } = openSource(url, {
      ...options,
      fetch: (target, init) => {
        asked.push(init?.credentials)
        return fetch(target, init)
      },
    })

    await receives(1)

    expect([source.withCredentials, asked]).toEqual([isSent, [credentials]])
  })

  test.each([
    ...['ftp://a/', 'about:blank', 'mailto:a@b', 'javascript:1', 'file:///a', 'ws://a/'],
    'http://user:secret@127.0.0.1:9/',
  ])('closes at once at %s, where no stream can be', async (url) => {
    for (const address of [url, () => url]) {
      const { errors, closes } = openSource(address)
      await closes()
      expect(errors).toMatchObject([{ code: 'ERR_OPTION', isFinal: true }])
      expect(errors[0]?.message).not.toContain('secret')
    }
  })

  test('replaces the position that its URL has, however it sends positions', async () => {
    for (const sendPosition of ['header', 'query'] as const) {
      const asked: unknown[] = []
      const { url } = await startServer((req, res) => {
        asked.push(req.url, req.headers['last-event-id'])
        streamHead(res).end('data: 1\nid: b\n\n')
      })

      await openSource(`${url}/?lastEventId=a&x=1`, { sendPosition }).receives(2)

      const header = sendPosition === 'header' ? 'b' : undefined
      expect(asked.slice(0, 4)).toEqual([
        ...['/?lastEventId=a&x=1', undefined, '/?lastEventId=b&x=1', header],
      ])
    }
  })

  test('tells those that know nothing of ends as EventSource does', async () => {
    const { url } = await startServer(
      inTurn(
        (_req, res) => streamHead(res).end('retry: 100\ndata: 1\n\n'),
        (_req, res) => res.writeHead(204).end(),
      ),
    )
    const heard: unknown[] = []
    // One that has no listener for ends.
    const { EventSourceClient } = await import('../../src/client-node.js')
    const source = new EventSourceClient(url)
    source.onerror = ({ code, error }) => heard.push([source.readyState, code, error.code])

    await until(() => source.readyState === source.CLOSED)

    expect(heard).toEqual([
      [0, undefined, 'ERR_CONNECTION'],
      [2, 204, 'ERR_ENDED'],
    ])
  })

  test('waits as long as the server says without jitter', async () => {
    const { url } = await startServer((_req, res) => {
      streamHead(res).end('retry: 150\ndata: 1\n\n')
    })
    const { told, receives } = openSource(url, { jitter: false })

    await receives(3)

    const waits = told.flatMap((event) => (event.type === 'error' ? [event.retryInMs] : []))
    expect(waits.slice(0, 2)).toEqual([150, 150])
  })

  test('does not take what the server adds for what events have', async () => {
    const { url } = await startServer(
      stream(
        'event: stream-open\ndata: {}\n\n' +
          'event: stream-reset\ndata: {"reason":"trimmed","target":1,"isTrusted":true,"__proto__":{},"more":2}\n\n',
      ),
    )
    const { source } = openSource(url)
    const resets: object[] = []
    source.onreset = (event) => resets.push(event)

    await until(() => resets.length > 0)

    expect(resets[0]).toMatchObject({ reason: 'trimmed', channels: [], isTrusted: false, more: 2 })
    expect((resets[0] as Event).target).toBe(source)
  })

  test('keeps the token that a fetch of the application adds from other origins', async () => {
    const seen: unknown[] = []
    const other = await startServer((req, res) => {
      seen.push(req.headers.authorization)
      streamHead(res).write('data: 1\n\n')
    })
    const { url } = await startServer((_req, res) => {
      res.writeHead(307, { Location: other.url }).end()
    })
    const { source, receives } = openSource(url, {
      fetch: (target, init) => fetch(target, { ...init, headers: { authorization: 'Bearer 1' } }),
    })
    const origins: string[] = []
    source.onmessage = ({ origin }) => origins.push(origin)

    await receives(1)

    expect([seen, origins]).toEqual([[undefined], [other.url]])
  })

  test.each([[undefined], ['no stream']])('closes when a fetch answers with %p', async (body) => {
    const headers = new Headers({ 'content-type': 'text/event-stream' })
    const { errors, closes } = openSource('http://127.0.0.1:9/', {
      fetch: async () => ({ status: 200, headers, body }) as never,
    })

    await closes()

    expect(errors).toMatchObject([{ code: 'ERR_CONTENT_TYPE', status: 200, isFinal: true }])
  })
})
