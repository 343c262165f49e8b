import { once } from 'node:events'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from '@jest/globals'
import { shareTabs } from '../../src/client.js'
import { startServer } from '../support/server.js'
import { spawnTypeScript } from '../support/spawn-typescript.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { inTurn, openSource, stream, streamHead } from './open-source.js'

describe('the client, by what becomes of its connection', () => {
  test('goes on behind an event of a channel that is named like the end of a stream', async () => {
    const { url } = await startServer((_req, res) => {
      streamHead(res).write(
        'event: stream-open\ndata: {}\nid: 1-9\n\n' +
          'event: stream-end\ndata: {"state":"completed"}\nid: 2-10\n\n' +
          'event: stream-end\ndata: {"state":"completed"}\nid: a~3-0*b~4-10\n\n',
      )
    })
    const { source, receives, closes } = openSource(url)
    const ends: unknown[] = []
    source.onend = (event) => ends.push(event)

    await receives(1)
    await closes()

    expect(ends).toHaveLength(1)
  })

  test('is an EventSource', async () => {
    const { url } = await startServer(stream('data: 1\nid: 7\n\nevent: tick\ndata: {"n":2}\n\n'))
    const { source } = openSource(url)
    const heard: unknown[] = []
    source.onopen = ({ type }) => heard.push([type, source.readyState])
    source.onmessage = ({ type, data, lastEventId }) => heard.push([type, data, lastEventId])
    source.addEventListener('tick', ({ type, json, lastEventId }) => {
      heard.push([type, json, lastEventId])
    })
    const removed = () => heard.push('removed')
    source.addEventListener('tick', removed)
    source.removeEventListener('tick', removed)
    heard.push(source.readyState)

    await until(() => heard.length === 4)

    expect(heard).toEqual([0, ['open', 1], ['message', '1', '7'], ['tick', { n: 2 }, '7']])
    expect([source.CONNECTING, source.OPEN, source.CLOSED]).toEqual([0, 1, 2])
    expect(source.url).toBe(`${url}/`)
  })

  test('calls the handlers among its options, from the beginning', async () => {
    const { url } = await startServer(
      inTurn(
        (_req, res) => {
          streamHead(res).write('event: stream-open\ndata: {}\n\ndata: 1\n\n')
          res.end('event: stream-reset\ndata: {"channels":["a"],"reason":"trimmed"}\n\n')
        },
        (_req, res) => res.writeHead(204).end(),
      ),
    )
    const heard: string[] = []
    const note = ({ type }: { type: string }) => heard.push(type)
    const handlers = { onOpen: note, onMessage: note, onError: note, onReset: note, onEnd: note }
    const { source, closes } = openSource(url, handlers)

    await closes()

    expect(heard).toEqual(['open', 'message', 'reset', 'error', 'end'])
    expect(source.onreset).toBe(note)
    expect(openSource(url).source.onreset).toBeNull()
  })

  test('comes back after the server has ended the stream, with the last id', async () => {
    const ids: unknown[] = []
    const { url } = await startServer((req, res) => {
      ids.push(req.headers['last-event-id'])
      streamHead(res).end(`retry: 30\ndata: ${ids.length}\nid: n${ids.length}\n\nid: half`)
    })
    const { told, receives } = openSource(url, { minRetryMs: 100_000 })

    await receives(3)

    expect(ids.slice(0, 3)).toEqual([undefined, 'n1', 'n2'])
    expect(told.slice(0, 2)).toMatchObject([
      { type: 'open' },
      { type: 'error', error: { code: 'ERR_CONNECTION' }, retryInMs: expect.any(Number) },
    ])
  })

  test('sends no position after an empty id, and any Unicode as bytes', async () => {
    const ids: unknown[] = []
    const answers = ['data: 1\nid: 世\n\n', 'data: 2\nid\n\n', 'data: 3\n\n']
    const { url } = await startServer((req, res) => {
      const id = req.headers['last-event-id']
      ids.push(id && Buffer.from(String(id), 'latin1').toString())
      streamHead(res).end(answers[ids.length - 1])
    })

    await openSource(url).receives(3)

    expect(ids.slice(0, 3)).toEqual([undefined, '世', undefined])
  })

  test('sends the position as a parameter where that is asked for', async () => {
    const urls: unknown[] = []
    const { url } = await startServer((req, res) => {
      urls.push([req.url, req.headers['last-event-id']])
      streamHead(res).end('data: 1\nid: a&b\n\n')
    })

    await openSource(`${url}/?x=1&lastEventId=old#hash`, { sendPosition: 'query' }).receives(2)

    expect(urls.slice(0, 2)).toEqual([
      ['/?x=1&lastEventId=old', undefined],
      ['/?x=1&lastEventId=a%26b', undefined],
    ])
  })

  test('comes back when the server is not there yet, and after it was restarted', async () => {
    const taken = await startServer(stream(''))
    const port = Number(new URL(taken.url).port)
    await taken.close()
    const { errors, receives } = openSource(taken.url)
    await until(() => errors.length >= 3)

    const first = await startServer(stream('data: 1\n\n'), port)
    await receives(1)
    await first.close()
    await startServer(stream('data: 2\n\n'), port)

    expect(await receives(2)).toEqual(['1', '2'])
    expect(errors.every(({ code, isFinal }) => code === 'ERR_CONNECTION' && !isFinal)).toBe(true)
  })

  test('waits longer after each failure up to a limit, at random, and less once something came', async () => {
    let n = 0
    const { url } = await startServer((_req, res) => {
      n += 1
      if (n === 12) streamHead(res).end('data: 1\n\n')
      else res.destroy()
    })
    const { told } = openSource(url, { minRetryMs: 1, maxRetryMs: 40 })
    const waits = () =>
      told.flatMap((event) => (event.type === 'error' ? [event.retryInMs ?? Number.NaN] : []))

    await until(() => waits().length >= 14)

    expect(
      waits()
        .slice(0, 11)
        .every((ms, i) => ms >= 0 && ms <= Math.min(2 ** i, 40)),
    ).toBe(true)
    expect(new Set(waits()).size).toBeGreaterThan(10)
    expect(waits()[11]).toBeLessThanOrEqual(1)
  })

  test('leaves a connection that has become silent, before its head and behind it', async () => {
    let n = 0
    const { url } = await startServer((_req, res) => {
      n += 1
      // The first one is not answered at all.
      if (n === 2) streamHead(res).write('data: 1\n\n')
      if (n === 3) streamHead(res).write('data: 2\n\n')
    })
    const { errors, receives } = openSource(url, { silenceMs: 100 })

    await receives(2)

    expect(errors.slice(0, 2).map(({ code }) => code)).toEqual(['ERR_SILENCE', 'ERR_SILENCE'])
  })

  test('leaves a connection whose network is gone', async () => {
    const { url } = await startServer(stream('data: 1\n\n'))
    const proxy = await TcpProxy.start(url)
    try {
      const { errors, receives } = openSource(proxy.url, { silenceMs: 200 })
      await receives(1)

      proxy.freeze()
      await until(() => errors.length > 0)
      proxy.thaw()

      await receives(2)
      expect(errors[0]).toMatchObject({ code: 'ERR_SILENCE' })
    } finally {
      await proxy.close()
    }
  })

  test('delivers all events of the application once, whatever their names are', async () => {
    const names = ['stream-started', 'streaming', 'stream-ending', '*', 'open', 'last']
    const blocks = names.map((name) => `event: ${name}\ndata: ${name}\n\n`)
    const { url } = await startServer(
      stream(`event: stream-open\ndata: {}\nid: 0-1\n\n${blocks.join('')}`),
    )
    const { data } = openSource(url)

    await until(() => data.at(-1) === 'last')

    expect(data).toEqual(names)
  })

  test('takes a comment for a sign of life', async () => {
    let requests = 0
    const { url } = await startServer((_req, res) => {
      requests += 1
      streamHead(res).write(':\n')
      let n = 0
      const timer = setInterval(() => {
        n += 1
        res.write(n < 20 ? ':\n' : 'data: 1\n\n')
      }, 40)
      res.on('close', () => clearInterval(timer))
    })

    await openSource(url, { silenceMs: 400 }).receives(1)

    expect(requests).toBe(1)
  })

  test('keeps a connection of its own where tabs cannot share one', async () => {
    const { url } = await startServer(stream('data: 1\n\n'))

    expect(await openSource(url, { tabs: shareTabs() }).receives(1)).toEqual(['1'])
  })

  test('reads what no HTTP server would send without falling over', async () => {
    const garbage = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end('SSH-2.0-OpenSSH_9.2\r\n')
    }).listen(0, '127.0.0.1')
    await once(garbage, 'listening')
    const { port } = garbage.address() as { port: number }
    const { errors } = openSource(`http://127.0.0.1:${port}`)

    await until(() => errors.length > 1)

    expect(errors[0]).toMatchObject({ code: 'ERR_CONNECTION', isFinal: false })
    garbage.close()
  })

  test('tells a listener that throws apart from the others, and reports what it throws', async () => {
    const { url } = await startServer(stream('data: 1\n\ndata: 2\n\n'))
    const script = `
      import { createEventSource } from '../../src/client-node.js'
      process.on('uncaughtException', ({ message }) => console.log(message))
      const source = createEventSource(process.argv[1])
      source.onmessage = ({ data }) => { throw new Error('broken by ' + data) }
      source.addEventListener('message', ({ data }) => {
        console.log('heard ' + data)
        if (data === '2') source.close()
      })
    `
    const child = spawnTypeScript(script, url)

    expect((await text(child.stdout)).trim().split('\n').sort()).toEqual([
      ...['broken by 1', 'broken by 2', 'heard 1', 'heard 2'],
    ])
  })

  test('refuses an address that is none at once, and tells of one that a function gives', async () => {
    expect(() => openSource('/events')).toThrow('Invalid URL')
    const { errors } = openSource(() => '/events')

    await until(() => errors.length > 0)

    expect(errors[0]).toMatchObject({ code: 'ERR_CONNECTION', cause: { name: 'SyntaxError' } })
  })

  test.each([
    ['a limit of 0', () => openSource('http://a', { silenceMs: 0 })],
    ['a limit that is no number', () => openSource('http://a', { maxRetryMs: Number.NaN })],
  ])('refuses %s at once', (_name, open) => {
    expect(open).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }))
  })
})
