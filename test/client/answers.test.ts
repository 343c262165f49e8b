import type { RequestListener } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { inTurn, openSource, stream, streamHead } from './open-source.js'

describe('the client, by what the server answers', () => {
  test('ends when there is nothing more to come', async () => {
    const { url } = await startServer((_req, res) => res.writeHead(204).end())
    const { source, told, closes } = openSource(url)

    await closes()

    expect(told).toEqual([{ type: 'end' }])
    expect(source.readyState).toBe(2)
  })

  test('gives up with one error on what will not pass, and tells status and body', async () => {
    let requests = 0
    const { url } = await startServer((_req, res) => {
      requests += 1
      res.writeHead(403, { 'Content-Type': 'text/plain' }).end('x'.repeat(100_000))
    })
    const { errors, closes } = openSource(url)

    await closes()

    expect(errors).toEqual([
      expect.objectContaining({
        ...{ code: 'ERR_STATUS', status: 403, body: 'x'.repeat(1000), isFinal: true },
      }),
    ])
    expect(requests).toBe(1)
  })

  test('gives up on what is no event stream', async () => {
    const { url } = await startServer((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>')
    })
    const { errors, closes } = openSource(url)

    await closes()

    expect(errors).toEqual([
      expect.objectContaining({
        ...{ code: 'ERR_CONTENT_TYPE', status: 200, body: '<!doctype html>', isFinal: true },
      }),
    ])
  })

  test('gives up on a stream of another type, which does not end', async () => {
    const { url } = await startServer((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/plain' }).write('data: 1\n\n')
    })
    const { errors, closes } = openSource(url, { silenceMs: 4000 })

    await closes()

    expect(errors).toMatchObject([{ code: 'ERR_CONTENT_TYPE', body: 'data: 1\n\n', isFinal: true }])
  })

  test('takes an event stream with parameters in its type', async () => {
    const { url } = await startServer((_req, res) => {
      res
        .writeHead(200, { 'Content-Type': 'Text/Event-Stream; charset=utf-8' })
        .write('data: 1\n\n')
    })

    await openSource(url).receives(1)
  })

  test.each([408, 425, 429, 500, 502, 503])('comes back after %s', async (status) => {
    const refuse = (_req: unknown, res: Parameters<typeof streamHead>[0]) => {
      res.writeHead(status, { 'Content-Type': 'text/html' }).end('not now')
    }
    const { url } = await startServer(inTurn(refuse, refuse, stream('data: 1\n\n')))
    const { errors, receives } = openSource(url)

    await receives(1)

    expect(errors).toEqual(
      [1, 2].map(() => expect.objectContaining({ status, body: 'not now', isFinal: false })),
    )
  })

  test('stays away as long as Retry-After says in seconds, whatever wakes it', async () => {
    const at: number[] = []
    const { url } = await startServer((req, res) => {
      at.push(performance.now())
      if (at.length === 1) res.writeHead(429, { 'Retry-After': '1' }).end()
      else stream('data: 1\n\n')(req, res)
    })
    const { errors, receives } = openSource(url)

    await receives(1)

    expect(errors[0]).toMatchObject({ status: 429, retryAfterMs: 1000 })
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(990)
  })

  test('stays away until the date that Retry-After says', async () => {
    const { url } = await startServer((_req, res) => {
      const date = new Date(Date.now() + 100_000).toUTCString()
      res.writeHead(503, { 'Retry-After': date }).end()
    })
    const { told } = openSource(url)

    await until(() => told.length === 1)

    const [event] = told as unknown as [{ retryInMs: number }]
    expect(event.retryInMs).toBeGreaterThan(98_000)
    expect(event.retryInMs).toBeLessThan(101_000)
  })

  test('asks for headers anew when a hook wants to try again: 401, then a renewed token', async () => {
    let token = 'old'
    const seen: (string | undefined)[] = []
    const { url } = await startServer((req, res) => {
      seen.push(req.headers.authorization)
      if (req.headers.authorization === 'Bearer new') stream('data: 1\n\n')(req, res)
      else res.writeHead(401).end()
    })
    const { errors, receives } = openSource(url, {
      headers: async () => ({ Authorization: `Bearer ${token}` }),
      retryOn: ({ status }) => {
        token = 'new'
        return status === 401 ? true : undefined
      },
      minRetryMs: 30_000,
    })

    await receives(1)

    expect(seen).toEqual(['Bearer old', 'Bearer new'])
    expect(errors).toMatchObject([{ status: 401, isFinal: false }])
  })

  test('tries again at once when a hook wants it, also after the stream was lost', async () => {
    const refuse: RequestListener = (_req, res) => res.writeHead(401).end()
    const { url } = await startServer(
      inTurn(
        (_req, res) => streamHead(res).end('retry: 100\ndata: 1\n\n'),
        refuse,
        (_req, res) => streamHead(res).end('data: 2\n\n'),
        refuse,
        stream('data: 3\n\n'),
      ),
    )
    const { told, receives } = openSource(url, { retryOn: () => true })

    await receives(3)

    const waits = told.flatMap((event) =>
      event.type === 'error' && event.error.status === 401 ? [event.retryInMs] : [],
    )
    expect(waits).toEqual([0, 0])
  })

  test('takes 401 as final otherwise', async () => {
    const { url } = await startServer((_req, res) => res.writeHead(401).end())
    const { errors, closes } = openSource(url, { headers: async () => ({}) })

    await closes()

    expect(errors).toMatchObject([{ status: 401, isFinal: true }])
  })

  test('lets a hook make an error final that would pass', async () => {
    const { url } = await startServer((_req, res) => res.writeHead(500).end())
    const { errors, closes } = openSource(url, { retryOn: () => false })

    await closes()

    expect(errors).toMatchObject([{ status: 500, isFinal: true }])
  })

  test('sends method, body and headers again with each request, and what functions give then', async () => {
    const requests: unknown[] = []
    const { url } = await startServer(async (req, res) => {
      let body = ''
      for await (const chunk of req) body += chunk
      requests.push([req.method, req.url, req.headers['x-n'], req.headers.accept, body])
      if (requests.length < 2) res.destroy()
      else stream('data: 1\n\n')(req, res)
    })
    let n = 0
    const { receives } = openSource(async () => `${url}/${++n}`, {
      method: 'POST',
      headers: () => ({ 'X-N': String(n) }),
      body: async () => `body ${n}`,
    })

    await receives(1)

    expect(requests).toEqual(
      [1, 2].map((i) => ['POST', `/${i}`, String(i), 'text/event-stream', `body ${i}`]),
    )
  })

  test('comes back when a function of the application fails', async () => {
    const { url } = await startServer(stream('data: 1\n\n'))
    const away = new Error('The token service is away.')
    let n = 0
    const { errors, receives } = openSource(url, {
      headers: async () => {
        n += 1
        if (n === 1) throw away
        return {}
      },
    })

    await receives(1)

    expect(errors).toMatchObject([{ code: 'ERR_CONNECTION', cause: away, isFinal: false }])
  })
})

describe('the client, redirected', () => {
  const headers = { Authorization: 'Bearer secret', 'X-Api-Key': 'secret', Cookie: 'a=secret' }

  test('sends its headers to the same origin only, and reconnects to where it began', async () => {
    const seen: unknown[] = []
    const other = await startServer((req, res) => {
      seen.push(['other', req.url, JSON.stringify(req.headers).includes('secret')])
      streamHead(res).end('data: 1\nid: 5\n\n')
    })
    const { url } = await startServer((req, res) => {
      seen.push([req.url, req.headers['x-api-key'], req.headers['last-event-id']])
      const location = req.url === '/' ? '/next' : `${other.url}/end`
      res.writeHead(307, { Location: location }).end()
    })
    const { receives } = openSource(url, { headers })

    await receives(2)

    expect(seen.slice(0, 6)).toEqual([
      ['/', 'secret', undefined],
      ['/next', 'secret', undefined],
      ['other', '/end', false],
      ['/', 'secret', '5'],
      ['/next', 'secret', '5'],
      ['other', '/end', false],
    ])
  })

  test('keeps secrets back when another origin redirects to the first one', async () => {
    const seen: unknown[] = []
    const origin = { url: '' }
    const other = await startServer((_req, res) => {
      res.writeHead(302, { Location: `${origin.url}/end` }).end()
    })
    const { url } = await startServer((req, res) => {
      if (req.url === '/') res.writeHead(302, { Location: other.url }).end()
      else {
        seen.push(JSON.stringify(req.headers).includes('secret'))
        stream('data: 1\n\n')(req, res)
      }
    })
    origin.url = url

    await openSource(url, { headers }).receives(1)

    expect(seen).toEqual([false])
  })

  test.each([
    ['in a circle', '/'],
    ['to what is no server', 'data:text/event-stream,data: 1%0A%0A'],
    ['to what is no address', 'http://['],
  ])('gives up when it is sent %s', async (_name, location) => {
    const { url } = await startServer((_req, res) => {
      res.writeHead(302, { Location: location }).end()
    })
    const { errors, closes } = openSource(url)

    await closes()

    expect(errors).toMatchObject([{ code: 'ERR_REDIRECT', isFinal: true }])
  })

  test.each([
    [303, 'GET', ''],
    [307, 'POST', 'body'],
  ])('after %s goes on as %s', async (status, method, body) => {
    const seen: unknown[] = []
    const { url } = await startServer(async (req, res) => {
      if (req.url === '/') {
        res.writeHead(status, { Location: '/next' }).end()
        return
      }
      let text = ''
      for await (const chunk of req) text += chunk
      seen.push([req.method, text])
      stream('data: 1\n\n')(req, res)
    })

    await openSource(url, { method: 'POST', body: 'body' }).receives(1)

    expect(seen).toEqual([[method, body]])
  })
})
