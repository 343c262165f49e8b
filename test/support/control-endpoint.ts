import type { IncomingMessage, ServerResponse } from 'node:http'
import { type RunningServer, startServer } from './server.js'

/** An item as it came to a proxy's control endpoint. */
export interface PublishedItem {
  readonly channel: string
  readonly id?: string
  readonly 'prev-id'?: string
  readonly 'no-seq'?: boolean
  readonly formats: {
    readonly 'http-stream': { readonly content?: string; readonly action?: string }
  }
  readonly meta?: Readonly<Record<string, string>>
}

/** What the endpoint does with a request. By default it takes it. */
type Behaviour = (res: ServerResponse, req: IncomingMessage) => unknown

/** The control endpoint of a proxy that holds nobody: it keeps what is published, and misbehaves. */
export class ControlEndpoint {
  /** Items of each request, in the order of their arrival. */
  readonly requests: PublishedItem[][] = []
  readonly bytes: number[] = []
  readonly authorizations: (string | undefined)[] = []
  /** Requests that were not answered yet, now, and the most there were at once. */
  underWay = 0
  mostUnderWay = 0
  behave: Behaviour = (res) => res.end('Published\n')
  #server: RunningServer

  private constructor(server: RunningServer) {
    this.#server = server
  }

  /** Ends with the test. */
  static async start(): Promise<ControlEndpoint> {
    const server = await startServer((req, res) => void endpoint.#take(req, res))
    const endpoint = new ControlEndpoint(server)
    return endpoint
  }

  /** As a GRIP URL. */
  get url(): string {
    return `${this.#server.url}/?iss=proxy&key=changeme`
  }

  get items(): readonly PublishedItem[] {
    return this.requests.flat()
  }

  /** Content of all items of a channel that have ids, in the order of their arrival. */
  contents(channel: string): (string | undefined)[] {
    return this.items
      .filter((item) => item.channel === channel && item.id !== undefined)
      .map(({ formats }) => formats['http-stream'].content)
  }

  /** Listens no more, as when the proxy has ended. */
  stop(): Promise<void> {
    return this.#server.close()
  }

  /** Listens again, at the same port. */
  async restart(): Promise<void> {
    const port = Number(new URL(this.#server.url).port)
    this.#server = await startServer((req, res) => void this.#take(req, res), port)
  }

  async #take(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.underWay += 1
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay)
    res.on('close', () => {
      this.underWay -= 1
    })
    const body = (await req.setEncoding('utf8').toArray()).join('')
    this.requests.push(JSON.parse(body).items)
    this.bytes.push(Buffer.byteLength(body))
    this.authorizations.push(req.headers.authorization)
    this.behave(res, req)
  }
}
