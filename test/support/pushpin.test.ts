import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { afterEach, expect, test } from '@jest/globals'
import { describeWithPushpin } from './describe-with-pushpin.js'
import { isRunning } from './is-running.js'
import { Pushpin, type PushpinOptions } from './pushpin.js'
import { startServer } from './server.js'
import { spawnTypeScript } from './spawn-typescript.js'
import { connect, type SseClient } from './sse-client.js'
import { until } from './until.js'

const takeOverMs = 100

describeWithPushpin('Pushpin', () => {
  const started: Pushpin[] = []
  const clients: SseClient[] = []

  const start = async (options?: PushpinOptions) => {
    const pushpin = await Pushpin.start(options)
    started.push(pushpin)
    return pushpin
  }

  const startOrigin = async (listener: RequestListener) => {
    const { server } = await startServer(listener)
    return (server.address() as AddressInfo).port
  }

  /**
   * A stream that is held: what is published comes. One that Pushpin 1.36 publishes to while it takes it over
   * from the origin never gets anything, and nothing tells when it has: hence the pause before each try.
   */
  const hold = async (pushpin: Pushpin) => {
    for (let tries = 1; ; tries++) {
      const client = await connect(`${pushpin.url}/`)
      clients.push(client)
      const isHeld = async () => {
        await setTimeout(takeOverMs)
        await pushpin.publish({ channel: 'a', formats: { 'http-stream': { content: ': held\n' } } })
        return client.text.includes(': held')
      }
      try {
        await until(isHeld, 2000)
        return client
      } catch (error) {
        if (tries === 3) throw error
        client.destroy()
      }
    }
  }

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy()
    for (const pushpin of started.splice(0)) await pushpin.stop()
  })

  test('passes requests on to the origin, with its signature', async () => {
    const origin = await startOrigin((req, res) => {
      res.end(`${req.method} ${req.url} ${typeof req.headers['grip-sig']}`)
    })
    const { url } = await start({ origin })
    const response = await fetch(`${url}/path?query`)
    expect(await response.text()).toBe('GET /path?query string')
  })

  test('delivers what is published to the streams that it holds', async () => {
    const pushpin = await start({ origin: await startOrigin(answerWithHold) })
    const [one, two] = [await hold(pushpin), await hold(pushpin)]
    expect(one.headers['grip-hold']).toBeUndefined()
    await pushpin.publish(item('a', 1), item('b', 2), item('a', 3))
    expect((await one.received(2)).map(({ data }) => data)).toEqual(['1', '3'])
    expect((await two.received(2)).map(({ data }) => data)).toEqual(['1', '3'])
  })

  test('says so when it does not accept an item', async () => {
    const pushpin = await start()
    await expect(pushpin.publish({ channel: 'a' })).rejects.toThrow('400: ')
  })

  test('routes to further origins, and takes settings', async () => {
    const [a, b] = [
      await startOrigin((_, res) => void res.end('a')),
      await startOrigin((req, res) => void res.end(String(req.headers['grip-sig']))),
    ]
    const { url, gripUrl, controlUrl } = await start({
      origin: a,
      routes: [`*,path_beg=/b 127.0.0.1:${b}`],
      sigKey: 'a&b',
      proxy: { sig_iss: 'me' },
    })
    expect(await (await fetch(url)).text()).toBe('a')
    const [, claims = ''] = (await (await fetch(`${url}/b`)).text()).split('.')
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({ iss: 'me' })
    expect(gripUrl).toBe(`${controlUrl}/?iss=pushpin&key=a%26b`)
  })

  test('is ready at once, each time', async () => {
    const origin = await startOrigin(answerWithHold)
    for (let n = 0; n < 5; n++) {
      const pushpin = await start({ origin })
      const client = await hold(pushpin)
      await pushpin.publish(item('a', n))
      expect((await client.received(1))[0]?.data).toBe(String(n))
      client.destroy()
      await pushpin.stop()
    }
  })

  test('is killed as a whole, and starts again at the same ports', async () => {
    const pushpin = await start({ origin: await startOrigin(answerWithHold) })
    const { pids, url, controlUrl } = pushpin
    const client = await hold(pushpin)
    await pushpin.kill()
    await client.end()
    expect(pids.filter(isRunning)).toEqual([])
    await expect(fetch(url)).rejects.toThrow()
    await expect(pushpin.publish(item('a', 1))).rejects.toThrow()

    await pushpin.restart()
    expect([pushpin.url, pushpin.controlUrl]).toEqual([url, controlUrl])
    const next = await hold(pushpin)
    await pushpin.publish(item('a', 2))
    expect((await next.received(1))[0]?.data).toBe('2')
  })

  test('restarts while it runs', async () => {
    const pushpin = await start()
    const { pids } = pushpin
    await pushpin.restart()
    expect(pids.filter(isRunning)).toEqual([])
    expect(pushpin.pids.filter(isRunning)).toHaveLength(pids.length)
  })

  test('leaves no process behind when it stops', async () => {
    const pushpin = await start()
    const { pids } = pushpin
    expect(pids.length).toBeGreaterThan(3)
    expect(pids.every(isRunning)).toBe(true)
    await pushpin.stop()
    await pushpin.stop()
    expect(pids.filter(isRunning)).toEqual([])
  })

  test('says so when its port is taken, or its configuration is wrong', async () => {
    const { port } = await start()
    await expect(start({ port })).rejects.toThrow('Address already in use')
    await expect(start({ handler: { stats_spec: 'none' } })).rejects.toThrow('Pushpin has ended')
  })

  test('does not outlive the process that started it, which is killed', async () => {
    const starter = spawnTypeScript(`
      import { Pushpin } from './pushpin.js'
      Pushpin.start().then(({ pids }) => console.log(JSON.stringify(pids)))
      setInterval(() => undefined, 1000)`)
    const [line] = await once(starter.stdout, 'data')
    const pids = JSON.parse(line) as number[]
    expect(pids.every(isRunning)).toBe(true)
    starter.kill('SIGKILL')
    await until(() => !pids.some(isRunning))
  })
})

const answerWithHold: RequestListener = (_, res) => {
  res.setHeader('Content-Type', 'text/event-stream')
  res.setHeader('Grip-Hold', 'stream')
  res.setHeader('Grip-Channel', 'a')
  res.end(': open\n\n')
}

function item(channel: string, data: number) {
  return { channel, formats: { 'http-stream': { content: `data: ${data}\n\n` } } }
}
