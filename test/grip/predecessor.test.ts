import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { signHs256 } from '../support/grip-signature.js'
import { gripHeadersOf } from '../support/played-proxy.js'

const unique = () => randomUUID().slice(0, 8)

describeWithPushpin('behind a Pushpin, unlike in the predecessor,', () => {
  const grip = usePushpin()

  test('a signature that is not from the proxy is refused, also to those who know how it looks', async () => {
    const { eventStream, app, direct } = grip.setUp()
    app.get('/events', eventStream('a'))
    for (const signature of ['garbage', signHs256('wrong'), signHs256('')]) {
      const client = await direct('/events', { headers: { 'Grip-Sig': signature } })
      await client.end()
      expect([client.status, gripHeadersOf(client)]).toEqual([403, []])
    }
  })

  test('the headers of the proxy are of no use to its clients', async () => {
    const { eventStream, app, connect } = grip.setUp()
    app.get('/events/:id', eventStream('{id}'))
    const headers = { 'Grip-Sig': 'garbage', 'Grip-Last': 'events-a; last-id=0-1' }
    const client = await (await connect(`/events/${unique()}`, { headers })).opened()
    expect([client.status, gripHeadersOf(client)]).toEqual([200, []])
    expect(grip.requests[0]?.headers).not.toHaveProperty('grip-last')
  })

  test.each(['%2C', '%2C%20', '%3B%20prev-id=9%2C', '%22%2C', '%0A', '*'])(
    'a route parameter with %s subscribes to nothing else',
    async (separator) => {
      const { eventStream, app, connect } = grip.setUp()
      app.get('/u/:id', eventStream('user-{id}'))
      const [mine, other] = [unique(), unique()]
      const path = `/u/${mine}${separator}events-user-${other}${separator}events-secret-${other}`
      const client = await connect(path)
      if (separator === '%0A') {
        expect([client.status, gripHeadersOf(client)]).toEqual([400, []])
        return
      }
      await client.opened()
      for (const channel of [`user-${other}`, `user-${mine}`, `secret-${other}`]) {
        await eventStream.publishEvent(channel, { data: 'secret' })
      }
      const id = decodeURIComponent(path.slice('/u/'.length))
      await eventStream.publishEvent(`user-${id}`, { data: 'mine' })
      await client.received(1)
      expect([client.data, client.ended]).toEqual([['mine'], false])
    },
  )

  test('a route parameter with a parameter of the proxy does not end the stream', async () => {
    const { eventStream, app, connect } = grip.setUp()
    app.get('/u/:id', eventStream('user-{id}'))
    const mine = `${unique()}; prev-id=9`
    const client = await (await connect(`/u/${encodeURIComponent(mine)}`)).opened()
    for (const data of [1, 2]) await eventStream.publishEvent(`user-${mine}`, { data })
    await client.received(2)
    expect([client.data, client.ended, grip.links]).toEqual([[1, 2], false, []])
  })

  test('a line break in a route parameter is a 400, and the process lives', async () => {
    const { eventStream, app, connect, direct } = grip.setUp()
    app.get('/u/:id', eventStream('user-{id}'))
    const headers = { 'Grip-Sig': signHs256('changeme') }
    for (const path of ['/u/a%0Ab', '/u/a%0D%0Ab', '/u/a%00b', '/u/%7F']) {
      const [proxied, played] = [await connect(path), await direct(path, { headers })]
      expect([path, proxied.status, played.status]).toEqual([path, 400, 400])
    }
    const client = await (await connect(`/u/${unique()}`)).opened()
    expect(client.status).toBe(200)
  })

  test.each(['a\rdata: injected\r\r', 'a\ndata: injected', 'a\0'])(
    'an event named %j is rejected, and nobody gets anything of it',
    async (event) => {
      const { eventStream, app, connect } = grip.setUp()
      app.get('/events/:id', eventStream('{id}'))
      const channel = unique()
      const client = await (await connect(`/events/${channel}`)).opened()
      const rejected = eventStream.publishEvent(channel, { event, data: 1 })
      await expect(rejected).rejects.toMatchObject({ code: 'ERR_FIELD' })
      await eventStream.publishEvent(channel, { data: 'a\rb\n%I', event: '%s%%' })
      expect(await client.received(1)).toMatchObject([{ event: '%s%%', data: '"a\\rb\\n%I"' }])
      expect(client.text).not.toContain('injected')
    },
  )
})
