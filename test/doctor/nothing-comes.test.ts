import { afterEach, expect, test } from '@jest/globals'
import { setUp } from '../support/app.js'
import { describeWithVarnish } from '../support/describe-with-varnish.js'
import { startServer } from '../support/server.js'
import { Varnish } from '../support/varnish.js'
import { bad, look } from './look.js'

/** Longer than a server is silent that sends keep-alives. */
const seconds = 21
const timeoutMs = 60_000

test(
  'a stream of which nothing comes within a keep-alive is a problem, whatever holds it back',
  async () => {
    const { url } = await startServer((req, res) => {
      res.writeHead(200, {
        'Content-Type': 'text/event-stream',
        'Cache-Control': 'no-store, no-transform',
      })
      // The beginning of an event, which never ends.
      if (req.url === '/part') res.write('data: hel')
      else res.flushHeaders()
    })
    const found = await Promise.all(['/', '/part'].map((path) => look(url + path, { seconds })))
    for (const findings of found) {
      expect(bad(findings)).toMatchObject({ buffering: 'problem' })
      expect(findings.buffering?.what).toMatch(/no event and no keep-alive came for 2\d s/)
    }
  },
  timeoutMs,
)

describeWithVarnish('the doctor behind Varnish', () => {
  let varnish: Varnish | undefined

  afterEach(() => varnish?.stop())

  test(
    'tells of do_gzip, which holds events back, and calls nothing of it ok',
    async () => {
      const { app, eventStream } = setUp({ keepAliveMs: 15_000 })
      app.get('/', eventStream('a'))
      const { url } = await startServer(app)
      varnish = await Varnish.start(
        url,
        'sub vcl_backend_response { set beresp.do_gzip = true; set beresp.do_stream = true; }',
      )
      const findings = await look(varnish.url, { seconds })
      expect(bad(findings)).toMatchObject({ buffering: 'problem' })
      expect(findings.compression?.level).not.toBe('ok')
    },
    timeoutMs,
  )
})
