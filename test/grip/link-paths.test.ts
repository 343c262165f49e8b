import { randomUUID } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import { Router } from 'express'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import {
  gripHeadersOf,
  lastOf,
  linkOf,
  proxyHeaders,
  setUpBehindProxy,
} from '../support/played-proxy.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'

describe('the path of a recovery link', () => {
  test('is that of linkHandler, in front of what asks for a cookie', async () => {
    const { eventStream, app, serve, errors } = setUpBehindProxy({ gripLinkPath: '/event-links' })
    app.get('/event-links', eventStream.linkHandler())
    app.use((req, res, next) => {
      if (req.headers.cookie === undefined) res.status(401).end()
      else next()
    })
    app.get('/events', eventStream('a'))
    const { open, follow, direct } = await serve()
    const held = await open('/events', { headers: { Cookie: 'session=1' } })
    const link = linkOf(held)
    expect(link).toMatch(/^\/event-links\?grip-link=/)
    await eventStream.publishEvent('a', { data: 1 })
    const answer = await follow(link, lastOf(held))
    expect([answer.status, answer.data]).toEqual([200, [1]])
    const there = await follow(link.replace('/event-links', '/events'), lastOf(held))
    const browser = await direct(link, { headers: { Cookie: 'session=1', Accept: 'text/html' } })
    const played = await direct(link, { headers: { 'Grip-Last': lastOf(held) } })
    const forged = await follow(link, lastOf(held), { 'Grip-Sig': 'garbage' })
    const throughProxy = await follow(link, undefined, { Cookie: 'session=1' })
    const noLink = await follow('/event-links', lastOf(held))
    expect(there.status).toBe(401)
    const refused = [browser, played, forged, throughProxy, noLink]
    expect(refused.map((answer) => [answer.status, gripHeadersOf(answer), answer.data])).toEqual(
      refused.map(() => [403, [], []]),
    )
    expect(errors.map((error) => Object(error).code)).toEqual([
      'ERR_GRIP_LINK',
      'ERR_GRIP_LINK',
      'ERR_GRIP_SIGNATURE',
      'ERR_GRIP_LINK',
      'ERR_GRIP_LINK',
    ])
  })

  test('begins with what the proxy takes away', async () => {
    const { eventStream, app, serve } = setUpBehindProxy({ gripBasePath: '/api/' })
    app.get('/events', eventStream('a'))
    const { open } = await serve()
    expect(linkOf(await open('/events?x=1'))).toMatch(/^\/api\/events\?grip-link=/)
    const both = setUpBehindProxy({ gripBasePath: '/api', gripLinkPath: '/links' })
    both.app.get('/events', both.eventStream('a'))
    expect(linkOf(await (await both.serve()).open('/events'))).toMatch(/^\/api\/links\?grip-link=/)
  })

  test('is the whole one where routers are mounted', async () => {
    const { eventStream, app, serve } = setUpBehindProxy()
    const router = Router()
    router.get('/:id', eventStream('{id}'))
    app.use('/outer', Router().use('/inner', router))
    const { open, follow } = await serve()
    const held = await open('/outer/inner/a')
    expect(linkOf(held)).toMatch(/^\/outer\/inner\/a\?grip-link=/)
    await eventStream.publishEvent('a', { data: 1 })
    expect((await follow(linkOf(held), lastOf(held))).data).toEqual([1])
  })

  test.each([
    ['//evil.example/events', '/evil.example/events'],
    ['///events', '/events'],
    ['/a>b"c<d\\e', '/a%3Eb%22c%3Cd%5Ce'],
    ['/%3E%22%20%E2%82%AC/100%25', '/%3E%22%20%E2%82%AC/100%25'],
    ['http://evil.example/events', '/evil.example/events'],
    ['/a;b/c,d', '/a%3Bb/c%2Cd'],
    ["/a'b(c)*+=:@$&!~[]|{}^`", "/a'b(c)*+=:@$&!~[]|{}^`"],
  ])('leaves no way out of its header, or to elsewhere: %s', async (path, expected) => {
    const { eventStream } = setUpBehindProxy()
    const handler = eventStream('a')
    const { url } = await startServer((req, res) => void handler(req, res))
    const { hostname, port } = new URL(url)
    const headers = { Accept: '*/*', ...proxyHeaders() }
    const link = await new Promise<string>((resolve, reject) => {
      const sent = httpRequest({ hostname, port, path, headers, agent: false }, (res) => {
        resolve(String(res.resume().headers['grip-link']))
      })
      sent.on('error', reject).end()
    })
    expect(link).toMatch(/^<[^<>"\s]+>; rel=next; timeout=1$/)
    expect(link.slice(1, link.indexOf('?'))).toBe(expected)
    expect(new URL(link.slice(1, link.indexOf('>')), url).origin).toBe(url)
  })
})

describeWithPushpin('a stream behind Pushpin', () => {
  const grip = usePushpin()

  test.each([
    ['commas and semicolons', '/events/a,b;c=d'],
    ['what is encoded', '/events/%2C%3B%20%3E%22%25%E2%82%AC'],
    ['other characters', "/events/a'b(c)*+=:@$&!~[]{}`"],
  ])('may have %s in its path', async (_what, path) => {
    const { eventStream, app, connect } = grip.setUp({ gripPollMs: 1000 })
    const channel = randomUUID()
    app.get('/events/:id', eventStream(`${channel}-{id}`))
    const client = await (await connect(path)).opened()
    await until(() => grip.links.some(({ headers }) => `${headers['grip-last']}`.includes(channel)))
    const id = decodeURIComponent(path.slice('/events/'.length))
    await eventStream.publishEvent(`${channel}-${id}`, { data: 1 })
    await client.received(1)
    expect([client.data, client.ended]).toEqual([[1], false])
  })
})
