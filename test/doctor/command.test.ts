import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { unreachable } from '../../src/doctor/unreachable.js'
import { setUp } from '../support/app.js'
import { cli, cliIn } from '../support/cli.js'
import { startServer } from '../support/server.js'
import { certificate } from '../transports/certificate.js'
import { begin } from './look.js'

const startEventStream = async () => {
  const { app, eventStream } = setUp()
  app.get('/events', eventStream('a'))
  return `${(await startServer(app)).url}/events`
}

test('prints that all is well, and ends with 0', async () => {
  const url = await startEventStream()
  const { text, code } = await cli('doctor', url, '--seconds', '2')
  expect(text).toMatch(new RegExp(`^${url}\n\nok       status          200 after `))
  expect(text).toMatch(/\n\nAll is well\.\n$/)
  expect(code).toBe(0)
})

test('prints problems with what to do, in narrow lines without colours, and ends with 1', async () => {
  const { url } = await startServer((_req, res) => {
    begin(res, { 'Content-Type': 'text/html', 'Cache-Control': 'no-cache' }).end()
  })
  const { text, code } = await cli('doctor', url.replace('//', '//me:passw0rd@'), '--seconds', '2')
  expect(text).toMatch(/\nproblem {2}content-type {4}It is "text\/html"/)
  expect(text).toMatch(/\n {25}> Send Content-Type: text\/event-stream\./)
  expect(text).toMatch(/\n1 problem, no warnings\.\n$/i)
  expect(text).not.toContain('\x1b')
  expect(text).not.toContain('passw0rd')
  expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThan(100)
  expect(code).toBe(1)
})

test('prints JSON', async () => {
  const { url } = await startServer((_req, res) => void res.writeHead(401).end())
  const args = ['--json', '--post', '--header', 'Authorization: Bearer s3cret']
  const { text, code } = await cli('doctor', `${url}/?token=t0ken`, ...args)
  expect(JSON.parse(text)).toMatchObject({
    url: `${url}/?…`,
    seconds: 40,
    findings: [{ check: 'status', level: 'problem', fix: expect.any(String) }],
    problems: 1,
    warnings: 0,
  })
  expect(text).not.toMatch(/s3cret|t0ken/)
  expect(code).toBe(1)
})

test.each([
  [[], /^Give one URL/],
  [['http://a.example', 'http://b.example'], /^Give one URL/],
  [['events'], /^The URL is none/],
  [['ftp://me:passw0rd@a.example'], /^The URL begins with ftp:/],
  [['http://a.example', '--header', 's3cret'], /^Header 1 is none/],
  [['http://a.example', '--header', 'A: b', '--header', 'C d: s3cret'], /^Header 2 is none/],
  [['http://a.example', '--header', 'Last-Event-ID: s3cret'], /is set by the checks/],
  [['http://a.example', '--seconds', '0'], /^seconds is 0/],
  [['http://a.example', '--seconds', 'soon'], /^seconds is NaN/],
  [['http://a.example', '--connections', '1000'], /^connections is 1000/],
  [['http://a.example', '--origin', 'a.example'], /^The origin is none/],
  [['http://a.example', '--hedaer', 'A: s3cret'], /^Unknown option '--hedaer'/],
])('ends with 2 when the usage is wrong: %j', async (args, message) => {
  const { text, code } = await cli('doctor', ...args)
  expect(text).toMatch(message)
  expect(text).not.toMatch(/passw0rd|s3cret|\n {4}at /)
  expect(code).toBe(2)
})

test('ends with 2 when nothing listens', async () => {
  const { url, close } = await startServer(() => undefined)
  await close()
  const { text, code } = await cli('doctor', url)
  expect(text).toMatch(
    /^127\.0\.0\.1:\d+ cannot be reached: nothing listens there \(ECONNREFUSED\)\.\n$/,
  )
  expect(code).toBe(2)
})

test.each([
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is of another host'],
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet'],
])('says of %s what no further authorities would mend', (code, reason) => {
  const failure = Object.assign(new Error('secret'), { code })
  expect(unreachable(new URL('https://a.example/events'), failure).message).toBe(
    `a.example cannot be reached: ${reason} (${code}).`,
  )
})

test('is in the help', async () => {
  const { text, code } = await cli('doctor', '--help')
  expect(text).toBe((await cli('--help')).text)
  expect(text).toMatch(/headwater doctor <url>/)
  expect(code).toBe(0)
})

describe('over TLS', () => {
  const servers: (HttpsServer | Http2SecureServer)[] = []
  let folder: string

  const start = async (server: HttpsServer | Http2SecureServer) => {
    servers.push(server)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  const trusting = async (url: string) => {
    const env = { NODE_EXTRA_CA_CERTS: join(folder, 'certificate.pem') }
    return (await cliIn(env, 'doctor', url, '--seconds', '2')).text
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doctor-'))
    await writeFile(join(folder, 'certificate.pem'), certificate.cert)
  })

  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  afterAll(() => rm(folder, { recursive: true }))

  test('tells whether HTTP/2 is spoken', async () => {
    const one = await start(createHttpsServer(certificate, (_req, res) => void begin(res)))
    expect(await trusting(one)).toMatch(/\nwarning {2}http\/2 {10}Not negotiated/)
    const two = createSecureServer({ ...certificate, allowHTTP1: true })
    two.on('request', (_req, res) => void begin(res as unknown as ServerResponse))
    expect(await trusting(await start(two))).toMatch(/\nok {7}http\/2 {10}Negotiated/)
  }, 30_000)

  test('says that a certificate is not trusted', async () => {
    const url = await start(createHttpsServer(certificate))
    const { text, code } = await cli('doctor', url)
    expect(text).toMatch(/its certificate is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\)/)
    expect(code).toBe(2)
  })
})
