import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { createParser } from 'eventsource-parser'
import { until } from './until.js'

export interface ReceivedEvent {
  readonly event: string
  readonly data: string
  readonly id: string | undefined
}

export interface ClientOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly lastEventId?: string | undefined
  /** Takes the request back. */
  readonly signal?: AbortSignal
  /** Read nothing until `resume` is called. */
  readonly paused?: boolean
}

/** One HTTP response, read as an event stream: what a test looks at instead of a browser. */
export class SseClient {
  /** Events of the application. */
  readonly events: ReceivedEvent[] = []
  /** Events of the stream itself, such as `stream-open`. */
  readonly control: ReceivedEvent[] = []
  text = ''
  retryMs: number | undefined
  lastEventId = ''
  ended = false
  readonly #res: IncomingMessage

  constructor(res: IncomingMessage, paused: boolean) {
    this.#res = res
    const parser = createParser({
      onEvent: ({ event = 'message', data, id }) => {
        if (id !== undefined) this.lastEventId = id
        const list = event.startsWith('stream-') ? this.control : this.events
        list.push({ event, data, id })
      },
      onRetry: (ms) => {
        this.retryMs = ms
      },
    })
    res.setEncoding('utf8')
    res.on('data', (text: string) => {
      this.text += text
      parser.feed(text)
    })
    res.on('close', () => {
      this.ended = true
    })
    res.on('error', () => undefined)
    if (paused) res.pause()
  }

  get status(): number {
    return this.#res.statusCode ?? 0
  }

  get headers(): IncomingHttpHeaders {
    return this.#res.headers
  }

  /** The data of the application's events, as JSON. */
  get data(): unknown[] {
    return this.events.map(({ data }) => JSON.parse(data))
  }

  /** Waits until so many events of the application have come. */
  async received(count: number): Promise<readonly ReceivedEvent[]> {
    await until(() => this.events.length >= count)
    return this.events
  }

  async opened(): Promise<this> {
    await until(() => this.control.length > 0)
    return this
  }

  async end(): Promise<void> {
    await until(() => this.ended)
  }

  pause(): void {
    this.#res.pause()
  }

  resume(): void {
    this.#res.resume()
  }

  destroy(): void {
    this.#res.destroy()
  }
}

/** Sends a request and resolves with its head. */
export function connect(url: string, options: ClientOptions = {}): Promise<SseClient> {
  const { method = 'GET', headers = {}, lastEventId, paused = false, signal } = options
  const cursor = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId }
  return new Promise((resolve, reject) => {
    const req = request(url, {
      method,
      agent: false,
      ...(signal === undefined ? {} : { signal }),
      headers: { Accept: 'text/event-stream', ...cursor, ...headers },
    })
    req.on('response', (res) => resolve(new SseClient(res, paused)))
    req.on('error', reject)
    req.end()
  })
}
