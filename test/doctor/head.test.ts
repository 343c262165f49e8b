import { expect, test } from '@jest/globals'
import { diagnose } from '../../src/doctor/diagnose.js'
import { checkTarget } from '../../src/doctor/options.js'
import { startServer } from '../support/server.js'
import { bad, begin, look } from './look.js'

test.each([
  [204, /is over/],
  [401, /refuses this client/],
  [404, /no event stream is served there/],
  [429, /without Retry-After/],
  [500, /not the status of an event stream/],
  [502, /a proxy got no answer/],
])('tells of the status %i', async (status, what) => {
  const { url } = await startServer((_req, res) => void res.writeHead(status).end())
  const findings = await look(url)
  expect(bad(findings)).toEqual({ status: 'problem' })
  expect(findings.status?.what).toMatch(what)
})

test.each([
  ['text/html', /"text\/html": browsers refuse/],
  ['text/event-stream-like', /browsers refuse/],
  ['text/event-stream;charset=windows-1252', /Chromium refuses/],
])('tells of the content type %s', async (type, what) => {
  const { url } = await startServer((_req, res) => void begin(res, { 'Content-Type': type }).end())
  expect((await look(url))['content-type']).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(what),
  })
})

test('takes a content type with parameters', async () => {
  const type = 'Text/Event-Stream; charset=UTF-8'
  const { url } = await startServer((_req, res) => void begin(res, { 'Content-Type': type }))
  expect(bad(await look(url))).toEqual({})
})

test.each([
  ['', /There is none/],
  ['public, max-age=60', /may keep the stream/],
  ['no-cache', /may compress the stream/],
])('tells of the Cache-Control %j', async (control, what) => {
  const { url } = await startServer((_req, res) => void begin(res, { 'Cache-Control': control }))
  const findings = await look(url)
  expect(bad(findings)).toEqual({ 'cache-control': 'warning' })
  expect(findings['cache-control']?.what).toMatch(what)
})

test('tells of an answer from a cache, and of one that was collected before', async () => {
  const body = 'retry: 2000\nid: 1\ndata: hello\n\n'
  const headers = { Age: '7', 'Content-Length': String(body.length) }
  const { url } = await startServer((_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', ...headers }).end(body)
  })
  expect(bad(await look(url))).toMatchObject({ cache: 'problem', framing: 'problem' })
})

test('tells of a body that ends with its connection', async () => {
  const { url } = await startServer((_req, res) => {
    res.useChunkedEncodingByDefault = false
    res.removeHeader('Transfer-Encoding')
    begin(res)
  })
  expect(bad(await look(url))).toEqual({ framing: 'warning' })
})

test('follows a redirect to another origin without what is for this one', async () => {
  const seen: unknown[] = []
  const other = await startServer((req, res) => {
    seen.push(req.headers.authorization, req.headers.cookie)
    begin(res)
  })
  const { url } = await startServer((_req, res) => {
    res.writeHead(307, { Location: `${other.url}/there?secret=1` }).end()
  })
  expect(bad(await look(url))).toEqual({ redirect: 'warning' })
  const headers = ['Cookie: session=s3cret']
  const findings = await look(url.replace('//', '//me:passw0rd@'), { headers })
  expect(findings.redirect).toMatchObject({
    level: 'problem',
    what: `307 to "${other.url}/there?…": another origin. Credentials were not sent there.`,
  })
  expect(seen.filter((value) => value !== undefined)).toEqual([])
})

test('tells of a redirect at the same origin, and of one that makes GET of POST', async () => {
  const { url } = await startServer((req, res) => {
    if (req.url === '/there') begin(res)
    else res.writeHead(302, { Location: '/there' }).end()
  })
  expect(bad(await look(url))).toEqual({ redirect: 'warning' })
  expect((await look(url, { post: true })).redirect).toMatchObject({
    level: 'problem',
    what: expect.stringMatching(/GET instead of POST/),
  })
})

test('ends a circle of redirects, and tells of each of them once', async () => {
  const { url } = await startServer((_req, res) => void res.writeHead(302, { Location: '/' }).end())
  const { findings } = await diagnose(checkTarget({ url: `${url}/`, seconds: 1, connections: 0 }))
  expect(findings).toMatchObject([
    { check: 'redirect', level: 'warning', what: `302 to "${url}/".` },
    {
      check: 'status',
      level: 'problem',
      what: expect.stringMatching(/a redirect that leads nowhere, or too many/),
    },
  ])
})

test('sends headers, user and password, and shows none of them, whatever the server sends back', async () => {
  const { url } = await startServer((req, res) => {
    const { authorization, cookie } = req.headers
    res.writeHead(200, { 'Content-Type': `${authorization} ${cookie} \x9b31m` }).end()
  })
  const login = Buffer.from('me:passw0rd').toString('base64')
  const findings = await look(url.replace('//', '//me:passw0rd@'), {
    headers: ['Cookie: session=s3cret'],
  })
  const text = JSON.stringify(findings)
  expect(text).toContain('It is')
  for (const secret of [login, 'passw0rd', 's3cret', '\x9b']) expect(text).not.toContain(secret)
})

test.each([
  ['cut short', 'k3y'.repeat(40)],
  ['percent-encoded', 'a+b/c=d+e/f='],
  ['percent-encoded and cut short', 'k3y/'.repeat(40)],
])('shows no part of a header that a server sends back %s', async (_how, secret) => {
  const { url } = await startServer((req, res) => {
    const echo = encodeURIComponent(String(req.headers['x-key']))
    if (req.url === '/') res.writeHead(302, { Location: `/login/${echo}` }).end()
    else res.writeHead(200, { 'Content-Type': `text/html; for=${echo}` }).end()
  })
  const found = await look(url, { headers: [`X-Key: ${secret}`] })
  expect(found.redirect?.what).toMatch(/^302 to "http:.*\/login\/…"\.$/)
  expect(found['content-type']?.what).toMatch(/^It is "text\/html; for=…"/)
})

const page = 'https://app.example'

test.each([
  [{}, 'problem', /There is no Access-Control-Allow-Origin/],
  [{ 'Access-Control-Allow-Origin': '*' }, 'ok', /without cookies/],
  [{ 'Access-Control-Allow-Origin': 'https://other.example' }, 'problem', /other\.example/],
  [{ 'Access-Control-Allow-Origin': page }, 'warning', /without Vary/],
  [
    { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Credentials': 'true' },
    'problem',
    /browsers refuse/,
  ],
  [
    {
      'Access-Control-Allow-Origin': page,
      'Access-Control-Allow-Credentials': 'true',
      Vary: 'Origin',
    },
    'ok',
    /also with cookies/,
  ],
])('judges the CORS headers %j', async (headers, level, what) => {
  const { url } = await startServer((_req, res) => void begin(res, { ...headers }))
  expect((await look(url, { origin: `${page}/path` })).cors).toMatchObject({
    level,
    what: expect.stringMatching(what),
  })
})
