import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import type { Transform } from 'node:stream'
import { constants, createBrotliDecompress, createUnzip } from 'node:zlib'
import type { Target } from './options.js'
import { StreamRecord } from './record.js'

/** One request beside the usual one. */
export interface ProbeOptions {
  readonly method?: 'HEAD' | undefined
  /** Take no compressed answer. By default what browsers take. */
  readonly identity?: boolean | undefined
  /** Sent as `Last-Event-ID`. */
  readonly lastEventId?: string | undefined
  /** Sent as `?lastEventId=`. */
  readonly lastEventIdInQuery?: string | undefined
}

/** One redirect that was followed. */
export interface Hop {
  readonly status: number
  readonly from: URL
  readonly to: URL
}

/** How a stream ended that the other side ended. */
export interface StreamEnd {
  readonly atMs: number
  /** Whether the connection broke in the middle of the response. */
  readonly isCut: boolean
}

interface Waiter {
  check(): void
}

const maxHops = 5
const redirects = [301, 302, 303, 307, 308]

/** One request and what comes of it, redirects followed, as a browser would ask for a stream. */
export class Probe {
  readonly hops: Hop[] = []
  readonly record = new StreamRecord()
  /** Where the answer comes from. */
  url: URL
  head: IncomingMessage | undefined
  /** Milliseconds from when the request was sent, on an open connection, to the head. */
  headMs: number | undefined
  end: StreamEnd | undefined
  /** Why there is no head. */
  failure: NodeJS.ErrnoException | undefined
  /** Whether the body is in an encoding that cannot be read here, or is not in the one that it says. */
  isUnreadable = false
  /** Of these, the latter. */
  isCorrupt = false
  readonly #target: Target
  readonly #options: ProbeOptions
  readonly #waiters = new Set<Waiter>()
  #method: string
  #body: string
  #headers: Readonly<Record<string, string[]>>
  #request: ClientRequest | undefined
  #sentAt = 0
  #isClosed = false

  private constructor(target: Target, options: ProbeOptions) {
    this.#target = target
    this.#options = options
    this.#method = options.method ?? target.method
    this.#body = target.body
    this.#headers = target.headers
    this.url = new URL(target.url)
    const { lastEventIdInQuery } = options
    if (lastEventIdInQuery !== undefined) {
      this.url.searchParams.set('lastEventId', lastEventIdInQuery)
    }
  }

  static open(target: Target, options: ProbeOptions = {}): Probe {
    const probe = new Probe(target, options)
    probe.#send()
    return probe
  }

  /** Of an event stream. */
  get isStream(): boolean {
    const { statusCode, headers } = this.head ?? {}
    return (
      statusCode === 200 && /^text\/event-stream\s*(;|$)/i.test(headers?.['content-type'] ?? '')
    )
  }

  get isOver(): boolean {
    return this.end !== undefined || this.failure !== undefined
  }

  get ageMs(): number {
    return performance.now() - this.#sentAt
  }

  /** Waits until something is so. @returns Whether it is; it is not when nothing more can come. */
  until(condition: (probe: Probe) => boolean, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(condition(this)), Math.max(0, ms))
      const settle = (value: boolean) => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
        resolve(value)
      }
      const waiter = {
        check: () => {
          if (condition(this)) settle(true)
          else if (this.isOver || this.#isClosed) settle(false)
        },
      }
      this.#waiters.add(waiter)
      waiter.check()
    })
  }

  /** Takes the request back. What has come stays. */
  close(): void {
    this.#isClosed = true
    this.#request?.destroy()
    this.#changed()
  }

  #send(): void {
    const { protocol } = this.url
    const send = protocol === 'https:' ? httpsRequest : httpRequest
    const request = send(this.url, {
      method: this.#method,
      agent: false,
      headers: this.#requestHeaders(),
    })
    this.#request = request
    this.#sentAt = performance.now()
    request.on('socket', (socket: Socket) => {
      // What it takes to get there is not the server's.
      socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => {
        this.#sentAt = performance.now()
      })
    })
    request.on('response', (response) => this.#onResponse(request, response))
    request.on('error', (error) => {
      if (this.#isClosed || request !== this.#request || this.head !== undefined) return
      this.failure = error
      this.#changed()
    })
    request.end(this.#method === 'POST' ? this.#body : undefined)
  }

  #requestHeaders(): Record<string, string | string[]> {
    const { identity = false, lastEventId } = this.#options
    const { origin } = this.#target
    return {
      'cache-control': 'no-cache',
      'user-agent': 'headwater-doctor',
      ...this.#headers,
      accept: 'text/event-stream',
      'accept-encoding': identity ? 'identity' : 'gzip, deflate, br, zstd',
      connection: 'keep-alive',
      ...(this.#method === 'POST' ? { 'content-length': `${Buffer.byteLength(this.#body)}` } : {}),
      ...(origin === undefined ? {} : { origin }),
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    }
  }

  #onResponse(request: ClientRequest, response: IncomingMessage): void {
    const to = redirectOf(response, this.url)
    if (to !== undefined && this.hops.length < maxHops) {
      this.#follow(request, response.statusCode as number, to)
      return
    }
    this.head = response
    this.headMs = this.ageMs
    this.#read(response)
    this.#changed()
  }

  #follow(request: ClientRequest, status: number, to: URL): void {
    this.hops.push({ status, from: this.url, to })
    // What is meant for one origin is nobody else's.
    if (to.origin !== this.url.origin) {
      this.#headers = {}
      this.#body = ''
    }
    if (status <= 303 && this.#method === 'POST') this.#method = 'GET'
    this.url = to
    this.#request = undefined
    request.destroy()
    if (!this.#isClosed) this.#send()
  }

  #read(response: IncomingMessage): void {
    const take = (bytes: Uint8Array) => {
      if (this.#isClosed) return
      this.record.push(bytes, this.ageMs)
      this.#changed()
    }
    const encoding = encodingOf(response)
    const decoder = decoderOf(encoding)
    this.isUnreadable = encoding !== undefined && decoder === undefined
    response.on('data', (bytes) => {
      if (decoder !== undefined) decoder.write(bytes)
      else if (!this.isUnreadable) take(bytes)
    })
    decoder?.on('data', take)
    decoder?.on('error', () => {
      this.isUnreadable = true
      this.isCorrupt = true
    })
    // The end says whether it was complete.
    response.on('error', () => undefined)
    response.on('close', () => {
      decoder?.destroy()
      if (this.#isClosed) return
      this.end = { atMs: this.ageMs, isCut: !response.complete }
      this.#changed()
    })
  }

  #changed(): void {
    for (const waiter of [...this.#waiters]) waiter.check()
  }
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage, from: URL): URL | undefined {
  const { location = '' } = headers
  if (!redirects.includes(statusCode) || location === '' || !URL.canParse(location, from.href)) {
    return undefined
  }
  const to = new URL(location, from)
  to.username = ''
  to.password = ''
  return /^https?:$/.test(to.protocol) ? to : undefined
}

/** How a body is compressed: `gzip`. */
export function encodingOf({ headers }: IncomingMessage): string | undefined {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
  return encoding === '' || encoding === 'identity' ? undefined : encoding
}

function decoderOf(encoding: string | undefined): Transform | undefined {
  if (encoding === 'gzip' || encoding === 'deflate') {
    return createUnzip({ finishFlush: constants.Z_SYNC_FLUSH })
  }
  return encoding === 'br' ? createBrotliDecompress() : undefined
}
