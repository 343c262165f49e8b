import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/** The two ends of one connection through the proxy. */
interface Pair {
  readonly client: Socket
  readonly upstream: Socket
}

/** Stands in front of a server of any protocol over TCP, to take its network away. */
export class TcpProxy {
  readonly port: number
  #target: URL
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  readonly #delayMs: number
  #accepted = 0
  #isCut = false
  #isFrozen = false

  private constructor(target: URL, server: Server, delayMs: number) {
    this.#target = target
    this.#server = server
    this.#delayMs = delayMs
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => this.#take(client))
  }

  /**
   * @param target - URL of the server, with its port: `redis://127.0.0.1:6379`.
   * @param delayMs - Milliseconds that what is sent takes to either side.
   */
  static async start(target: string, delayMs = 0): Promise<TcpProxy> {
    // Each side may say that it has no more to send, and still receive.
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new TcpProxy(new URL(target), server, delayMs)
  }

  /** That of the server, but for host and port, and without a slash behind it. */
  get url(): string {
    const url = new URL(this.#target)
    url.hostname = '127.0.0.1'
    url.port = String(this.port)
    return url.href.replace(/\/$/, '')
  }

  /** Open connections. */
  get connections(): number {
    return this.#pairs.size
  }

  /** Connections that were ever accepted. */
  get accepted(): number {
    return this.#accepted
  }

  /** Resets all connections, and each new one until `heal`. */
  cut(): void {
    this.#isCut = true
    for (const pair of this.#pairs) reset(pair)
  }

  heal(): void {
    this.#isCut = false
  }

  /** Connections from now on are to another server. */
  leadTo(target: string): void {
    this.#target = new URL(target)
  }

  /**
   * Keeps connections and accepts new ones, but passes nothing on, either way, until `thaw`: neither
   * data nor that one side has gone.
   */
  freeze(): void {
    this.#isFrozen = true
    for (const pair of this.#pairs) stop(pair)
  }

  /**
   * Passes nothing on, for good, over connections that are open. New ones work.
   *
   * @param places - Which of them, in the order they came; by default all.
   */
  strand(places?: readonly number[]): void {
    this.#isFrozen = false
    const pairs = [...this.#pairs].filter((_pair, i) => places?.includes(i) ?? true)
    for (const pair of pairs) stop(pair)
  }

  /** Passes on all that came meanwhile. */
  thaw(): void {
    this.#isFrozen = false
    for (const pair of this.#pairs) flow(pair, this.#delayMs)
  }

  /** Stops listening and resets all connections. May be called twice. */
  async close(): Promise<void> {
    this.cut()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #take(client: Socket): void {
    this.#accepted += 1
    if (this.#isCut) {
      client.on('error', () => undefined)
      client.resetAndDestroy()
      return
    }
    const upstream = connect({
      host: this.#target.hostname,
      port: Number(this.#target.port),
      allowHalfOpen: true,
      noDelay: true,
    })
    const pair = { client, upstream }
    this.#pairs.add(pair)
    for (const socket of [client, upstream]) {
      // It closes then.
      socket.on('error', () => undefined)
      socket.on('close', (hadError) => this.#closed(pair, hadError))
    }
    if (!this.#isFrozen) flow(pair, this.#delayMs)
  }

  #closed(pair: Pair, hadError: boolean): void {
    if (hadError && !this.#isFrozen) reset(pair)
    if (pair.client.closed && pair.upstream.closed) this.#pairs.delete(pair)
  }
}

function flow(pair: Pair, delayMs: number): void {
  const { client, upstream } = pair
  if (client.destroyed || upstream.destroyed) {
    reset(pair)
    return
  }
  pass(client, upstream, delayMs)
  pass(upstream, client, delayMs)
}

function stop({ client, upstream }: Pair): void {
  client.unpipe().pause()
  upstream.unpipe().pause()
}

function pass(from: Socket, to: Socket, delayMs: number): void {
  if (delayMs === 0) from.pipe(to)
  else from.pipe(late(delayMs)).pipe(to)
}

/** As on a long way: what is sent is late by so much, however much else is on the way. */
function late(delayMs: number): Transform {
  return new Transform({
    transform(chunk, _encoding, done) {
      setTimeout(() => this.push(chunk), delayMs)
      done()
    },
    flush: (done) => void setTimeout(done, delayMs),
  })
}

function reset({ client, upstream }: Pair): void {
  client.resetAndDestroy()
  upstream.resetAndDestroy()
}

/**
 * One outage after the other: how each begins and ends, and what the message of the one before it says.
 *
 * @param silence - What is said of a server that does not answer.
 */
export function outages(silence: RegExp): readonly ['cut' | 'freeze', 'heal' | 'thaw', RegExp][] {
  const broken = /ECONNRESET|ECONNREFUSED|[Cc]losed|terminated|hang up/
  return [
    ['freeze', 'thaw', broken],
    ['cut', 'heal', silence],
    ['freeze', 'thaw', broken],
  ]
}
