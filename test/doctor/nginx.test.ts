import { afterEach, expect, test } from '@jest/globals'
import { setUp } from '../support/app.js'
import { describeWithNginx } from '../support/describe-with-nginx.js'
import { Nginx } from '../support/nginx.js'
import { startServer } from '../support/server.js'
import { bad, begin, look } from './look.js'

describeWithNginx('the doctor behind nginx', () => {
  const started: Nginx[] = []

  const startNginx = async (origin: string, ...location: string[]) => {
    const nginx = await Nginx.start({ origin, location })
    started.push(nginx)
    return nginx.url
  }

  /** An event stream at `/`. */
  const startEventStream = async () => {
    const { app, eventStream } = setUp()
    app.get('/', eventStream('a'))
    return (await startServer(app)).url
  }

  afterEach(async () => {
    for (const nginx of started.splice(0)) await nginx.stop()
  })

  test('finds nothing wrong with an event stream behind nginx as it comes', async () => {
    const url = await startNginx(await startEventStream())
    expect(bad(await look(url, { seconds: 2, connections: 4 }))).toEqual({})
  })

  test('tells of nginx that buffers another server', async () => {
    const origin = await startServer((req, res) => {
      begin(res)
      if (req.method === 'HEAD') res.end()
    })
    const url = await startNginx(origin.url)
    const findings = await look(url)
    expect(bad(findings)).toEqual({ buffering: 'problem' })
    expect(findings.buffering?.what).toMatch(
      /^HEAD is answered \(200\), and no head of the stream came/,
    )
  })

  test('tells of nginx that is told to ignore X-Accel-Buffering', async () => {
    const ignoring = 'proxy_ignore_headers X-Accel-Buffering;'
    const url = await startNginx(await startEventStream(), ignoring)
    expect(bad(await look(url))).toEqual({ buffering: 'problem' })
  })

  test('tells of nginx that empties Last-Event-ID', async () => {
    const emptying = 'proxy_set_header Last-Event-ID "";'
    const url = await startNginx(await startEventStream(), emptying)
    expect(bad(await look(url, { seconds: 2 }))).toEqual({ 'last-event-id': 'problem' })
  })

  test('tells of nginx that cuts silent streams off', async () => {
    const url = await startNginx(await startEventStream(), 'proxy_read_timeout 1s;')
    const findings = await look(url, { seconds: 20 })
    expect(bad(findings)).toEqual({ idle: 'problem' })
    expect(findings.idle?.what).toMatch(/was cut off after 1(\.\d)? s/)
  })

  test('tells that nginx finds no server', async () => {
    const { url: origin, close } = await startServer(() => undefined)
    await close()
    expect((await look(await startNginx(origin))).status?.what).toMatch(/a proxy got no answer/)
  })
})
