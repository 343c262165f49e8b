import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { TcpProxy } from './tcp-proxy.js'
import { until } from './until.js'

/** One end of a connection, and what has come to it. */
class End {
  text = ''
  ended = false
  closed = false
  errorCode: string | undefined
  readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text) => {
      this.text += text
    })
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('close', () => {
      this.closed = true
    })
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      this.errorCode = code
    })
  }
}

describe('TcpProxy', () => {
  const accepted: End[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(new End(socket)))
  let proxy: TcpProxy

  beforeEach(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    proxy = await TcpProxy.start(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`)
  })

  afterEach(async () => {
    await proxy.close()
    for (const { socket } of accepted.splice(0)) socket.destroy()
    server.close()
    await once(server, 'close')
  })

  const open = () => new End(connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }))

  const openBoth = async () => {
    const client = open()
    await until(() => accepted.length > 0)
    return [client, accepted[0] as End] as const
  }

  test('keeps all of a URL but host and port', async () => {
    expect(proxy.url).toBe(`redis://127.0.0.1:${proxy.port}`)
    const other = await TcpProxy.start('redis://:p%40ss@localhost:6379/2')
    expect(other.url).toBe(`redis://:p%40ss@127.0.0.1:${other.port}/2`)
    await other.close()
  })

  test('passes on data, and that a side has no more to send', async () => {
    const [client, upstream] = await openBoth()
    client.socket.end('question')
    await until(() => upstream.ended)
    const answer = 'x'.repeat(1_000_000)
    upstream.socket.end(answer)
    await until(() => client.closed)
    expect([upstream.text, client.text === answer, client.errorCode]).toEqual([
      'question',
      true,
      undefined,
    ])
    await until(() => proxy.connections === 0)
  })

  test('resets the connections that there are, and new ones until it is healed', async () => {
    const [client, upstream] = await openBoth()
    proxy.cut()
    await until(() => client.closed && upstream.closed)
    expect([client.errorCode, upstream.errorCode]).toEqual(['ECONNRESET', 'ECONNRESET'])
    const refused = open()
    await until(() => refused.closed)
    expect([refused.errorCode, accepted.length]).toEqual(['ECONNRESET', 1])
    proxy.heal()
    const healed = open()
    healed.socket.write('hello')
    await until(() => accepted[1]?.text === 'hello')
  })

  test('passes nothing on while it is frozen, and all of it once it is thawed', async () => {
    const [client, upstream] = await openBoth()
    proxy.freeze()
    const late = open()
    await once(late.socket, 'connect')
    await new Promise((resolve) => client.socket.end('to the server', () => resolve(undefined)))
    await new Promise((resolve) => upstream.socket.write('to the client', resolve))
    await roundTrips(20)
    expect([client.text, upstream.text, upstream.ended, client.closed]).toEqual([
      '',
      '',
      false,
      false,
    ])
    proxy.thaw()
    await until(() => upstream.ended && client.text !== '')
    expect([client.text, upstream.text]).toEqual(['to the client', 'to the server'])
    late.socket.write('late')
    await until(() => accepted[1]?.text === 'late')
  })

  test('tells a side that the other has gone, which it did not while it was frozen', async () => {
    const [client, upstream] = await openBoth()
    proxy.freeze()
    client.socket.resetAndDestroy()
    await roundTrips(20)
    expect(upstream.closed).toBe(false)
    proxy.thaw()
    await until(() => upstream.closed)
  })

  test('can be cut while it is frozen', async () => {
    const [client, upstream] = await openBoth()
    proxy.freeze()
    proxy.cut()
    await until(() => client.closed && upstream.closed)
  })

  test('resets a connection when the server is not there', async () => {
    const nowhere = await TcpProxy.start(proxy.url)
    await proxy.close()
    const client = new End(connect(nowhere.port, '127.0.0.1'))
    await until(() => client.closed)
    expect(client.errorCode).toBe('ECONNRESET')
    await nowhere.close()
  })

  /** Lets other connections do what the one under test should not. */
  async function roundTrips(count: number): Promise<void> {
    const echo = createServer((socket) => socket.pipe(socket))
    await once(echo.listen(0, '127.0.0.1'), 'listening')
    const socket = connect((echo.address() as AddressInfo).port, '127.0.0.1')
    for (let n = 0; n < count; n++) {
      socket.write('x')
      await once(socket, 'data')
    }
    socket.end()
    echo.close()
    await once(echo, 'close')
  }
})
