import type { RequestListener } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import { setUp } from '../support/app.js'
import { startServer } from '../support/server.js'
import { connect } from '../support/sse-client.js'

describe('errors', () => {
  test('of channel functions and authorize go to next with their status, sync or async', async () => {
    const { eventStream, app, errors, serve } = setUp()
    const teapot = Object.assign(new Error('teapot'), { status: 418 })
    const fail = () => {
      throw teapot
    }
    app.get('/sync', eventStream(fail))
    app.get(
      '/async',
      eventStream(async () => fail()),
    )
    app.get('/authorize', eventStream('a', { authorize: fail }))
    app.get('/authorize-async', eventStream('a', { authorize: async () => fail() }))
    const request = await serve()
    for (const path of ['/sync', '/async', '/authorize', '/authorize-async']) {
      const client = await request(path)
      expect([client.status, client.headers['content-type']]).toEqual([
        418,
        'text/html; charset=utf-8',
      ])
    }
    expect(errors).toEqual([teapot, teapot, teapot, teapot])
  })

  test('authorize decides for each channel, and false is 403', async () => {
    const { eventStream, app, serve } = setUp()
    const asked: string[] = []
    const authorize = async (req: { url?: string | undefined }, channel: string) => {
      asked.push(`${req.url} ${channel}`)
      return channel !== 'secret'
    }
    app.get('/open', eventStream('a', 'b', { authorize }))
    app.get('/closed', eventStream('a', 'secret', { authorize }))
    app.get('/sloppy', eventStream('a', { authorize: (() => undefined) as never }))
    const request = await serve()
    expect((await request('/open')).status).toBe(200)
    expect((await request('/closed')).status).toBe(403)
    expect((await request('/sloppy')).status).toBe(403)
    expect(asked).toEqual(['/open a', '/open b', '/closed a', '/closed secret'])
    expect(eventStream.connections()).toHaveLength(1)
  })

  test('without next are answered with their status', async () => {
    const { eventStream } = setUp()
    const { url } = await startServer(eventStream('room-{id}') as RequestListener)
    const client = await connect(url)
    await client.end()
    expect([client.status, client.headers['content-type']]).toEqual([
      400,
      'text/plain; charset=utf-8',
    ])
    expect(client.text).toMatch(/needs one value for {id}/)
    const wrongMethod = await connect(url, { method: 'DELETE' })
    expect([wrongMethod.status, wrongMethod.headers.allow]).toEqual([405, 'GET, HEAD, POST'])
  })

  test('of the application without next say nothing of their cause, and end no process', async () => {
    const { eventStream } = setUp({ onError: () => undefined })
    const unhandled: unknown[] = []
    const note = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', note)
    const handler = eventStream(() => {
      throw new Error('password: 1234')
    })
    const { url } = await startServer((req, res) => {
      // As many do: nobody waits for it.
      void handler(req, res)
    })
    const client = await connect(url)
    await client.end()
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect([client.status, client.text, unhandled]).toEqual([
      500,
      'The event stream cannot be served.\n',
      [],
    ])
  })

  test('of a middleware that wraps write end its response, and no other', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/broken', (_req, res, next) => {
      const write = res.write.bind(res)
      res.write = ((chunk: Buffer) => {
        if (String(chunk).includes('data: 2')) throw new Error('broken')
        return write(chunk)
      }) as never
      next()
    })
    app.get('/:which', eventStream('a'))
    const request = await serve()
    const [broken, fine] = [await request('/broken'), await request('/fine')]
    await Promise.all([broken.opened(), fine.opened()])
    for (const data of [1, 2, 3]) {
      await eventStream.publishEvent('a', { data })
      await new Promise((resolve) => setImmediate(resolve))
    }
    await fine.received(3)
    await broken.end()
    expect([broken.data, fine.data]).toEqual([[1], [1, 2, 3]])
    expect(eventStream.connections()).toHaveLength(1)
  })

  test('run rejects before the head, and leaves the answer to its caller', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/run', async (req, res) => {
      try {
        await eventStream.run(req, res, [])
      } catch (error) {
        res.status(499).json({ code: Object(error).code })
      }
    })
    const client = await (await serve())('/run')
    await client.end()
    expect([client.status, client.text]).toEqual([499, '{"code":"ERR_NO_CHANNEL"}'])
  })

  test('a response that has begun is refused', async () => {
    const { eventStream, app, serve } = setUp()
    const rejected: unknown[] = []
    app.get('/begun', async (req, res) => {
      res.write('hello')
      await eventStream.run(req, res, 'a').catch((error: unknown) => rejected.push(error))
      res.end()
    })
    const client = await (await serve())('/begun')
    await client.end()
    expect([client.text, rejected]).toMatchObject(['hello', [{ code: 'ERR_HEAD_SENT' }]])
  })

  test('a malformed Host does no harm', async () => {
    const { eventStream, app, serve } = setUp()
    app.get('/events', eventStream('a'))
    const client = await (await serve())('/events?lastEventId=%', { headers: { Host: '://[' } })
    expect(client.status).toBe(200)
  })
})
