import { type ClientRequest, request } from 'node:http'
import { createParser } from 'eventsource-parser'
import type { Ledger } from './ledger.js'

/** A server that clients connect to. */
export interface Place {
  readonly url: string
  /** So that it is no wonder when its streams end. */
  readonly isKilled: boolean
  /** Whether it may answer an error, which clients come back from. */
  readonly mayRefuse?: boolean
}

/** What is counted of all clients together. */
export interface Tally {
  reconnects: number
  /** Open streams that ended, though neither the client nor its server was killed. */
  endedByServer: number
  /** Requests that were told to come back later. */
  sentAway: number
  /** Requests that were answered an error. */
  refused: number
  /** Open streams on which nothing came for too long, so that the client gave them up. */
  silences: number
}

export function newTally(): Tally {
  return { reconnects: 0, endedByServer: 0, sentAway: 0, refused: 0, silences: 0 }
}

export interface ResumingClientOptions {
  /** To wait as long as `retry` says, as browsers do. By default it comes back within 105 ms. */
  readonly heedsRetry?: boolean
  /** Milliseconds without a sign of life, after which it comes back. By default it waits forever. */
  readonly silenceMs?: number
}

/** What browsers wait that have not been told. */
const browserRetryMs = 3000

/** A client as a browser is, that comes back to any of the servers. */
export class ResumingClient {
  readonly ledger: Ledger
  readonly #pick: () => Place
  readonly #tally: Tally
  readonly #heedsRetry: boolean
  readonly #silenceMs: number | undefined
  #lastEventId = ''
  #retryMs = browserRetryMs
  #request: ClientRequest | undefined
  #retry: NodeJS.Timeout | undefined
  #watchdog: NodeJS.Timeout | undefined
  #isOpen = false
  #wasCut = false
  #isStopped = false
  /** A block that cannot be: a fault of its own. */
  error: unknown

  constructor(
    ledger: Ledger,
    pick: () => Place,
    tally: Tally,
    { heedsRetry = false, silenceMs }: ResumingClientOptions = {},
  ) {
    this.ledger = ledger
    this.#pick = pick
    this.#tally = tally
    this.#heedsRetry = heedsRetry
    this.#silenceMs = silenceMs
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  connect(): void {
    const place = this.#pick()
    this.#isOpen = false
    this.#wasCut = false
    const parser = createParser({
      onEvent: ({ event, data, id }) => {
        if (this.#wasCut) return
        if (id !== undefined) this.#lastEventId = id
        if (event === 'stream-open') this.#isOpen = true
        try {
          this.ledger.take({ event, data, id })
        } catch (error) {
          this.error ??= error
        }
      },
      onRetry: (ms) => {
        this.#retryMs = ms
      },
    })
    const req = request(`${place.url}/${this.ledger.channels.join(',')}`, {
      agent: false,
      headers: {
        Accept: 'text/event-stream',
        ...(this.#lastEventId === '' ? {} : { 'Last-Event-ID': this.#lastEventId }),
      },
    })
    this.#request = req
    req.on('response', (res) => {
      const isRefused = res.statusCode !== 200
      if (isRefused) this.#tally.refused += 1
      if (isRefused && !place.mayRefuse) this.error ??= new Error(`Status ${res.statusCode}`)
      res.setEncoding('utf8').on('data', (text: string) => {
        if (isRefused) return
        this.#watch()
        parser.feed(text)
      })
      res.on('error', () => undefined)
      res.on('close', () => {
        if (this.#wasCut || place.isKilled || isRefused) return
        if (this.#isOpen) this.#tally.endedByServer += 1
        else this.#tally.sentAway += 1
      })
    })
    // A refused connection: the process has just been killed.
    req.on('error', () => undefined)
    req.on('close', () => this.#comeBack(0))
    req.end()
  }

  /** Cuts the connection, in the middle of whatever is on its way, and comes back later. */
  cut(awayMs = 0): void {
    this.#wasCut = true
    this.#isOpen = false
    const req = this.#request
    if (req === undefined) return
    req.removeAllListeners('close')
    req.on('close', () => this.#comeBack(awayMs))
    req.destroy()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#retry)
    clearTimeout(this.#watchdog)
    this.#wasCut = true
    this.#request?.destroy()
  }

  #watch(): void {
    clearTimeout(this.#watchdog)
    if (this.#silenceMs === undefined || this.#isStopped) return
    this.#watchdog = setTimeout(() => {
      this.#tally.silences += 1
      this.cut()
    }, this.#silenceMs)
  }

  #comeBack(awayMs: number): void {
    clearTimeout(this.#watchdog)
    this.#isOpen = false
    this.#request = undefined
    if (this.#isStopped) return
    this.#tally.reconnects += 1
    const retryMs = this.#heedsRetry ? this.#retryMs : 5 + Math.random() * 100
    this.#retry = setTimeout(() => this.connect(), awayMs + retryMs)
  }
}
