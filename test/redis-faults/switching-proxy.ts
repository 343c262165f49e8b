import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

type Pair = readonly [client: Socket, upstream: Socket]

/** One address for servers that take each other's place. */
export class SwitchingProxy {
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  #port: number

  private constructor(server: Server, port: number) {
    this.#server = server
    this.#port = port
    server.on('connection', (client) => this.#take(client))
  }

  /** @param port - Of the first one, on 127.0.0.1. */
  static async start(port: number): Promise<SwitchingProxy> {
    const server = createServer({ noDelay: true })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new SwitchingProxy(server, port)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Commands get to the server, and their replies are lost, until `switchTo`. */
  mute(): void {
    for (const [client, upstream] of this.#pairs) upstream.unpipe(client).pause()
  }

  /** Cuts all connections; new ones go to another server. */
  switchTo(port: number): void {
    this.#port = port
    for (const pair of this.#pairs) reset(pair)
  }

  close(): void {
    this.#server.close()
    for (const pair of this.#pairs) reset(pair)
  }

  #take(client: Socket): void {
    const upstream = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    const pair: Pair = [client, upstream]
    this.#pairs.add(pair)
    client.pipe(upstream).pipe(client)
    for (const socket of pair) {
      // It closes then.
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#pairs.delete(pair)
        reset(pair)
      })
    }
  }
}

function reset(pair: Pair): void {
  for (const socket of pair) socket.resetAndDestroy()
}
