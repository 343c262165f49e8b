import { type ClientRequest, request } from 'node:http'
import { createParser } from 'eventsource-parser'
import type { AppProcess } from './app-process.js'
import type { Ledger } from './ledger.js'

/** What is counted of all clients together. */
export interface Tally {
  reconnects: number
  /** Open streams that ended, though neither the client nor its app process was killed. */
  endedByServer: number
  /** Requests that were told to come back later. */
  sentAway: number
}

/** A client as a browser is, that comes back to any of the processes. */
export class Client {
  readonly ledger: Ledger
  readonly #pick: () => AppProcess
  readonly #tally: Tally
  #lastEventId = ''
  #request: ClientRequest | undefined
  #retry: NodeJS.Timeout | undefined
  #isOpen = false
  #wasCut = false
  #isStopped = false
  /** A block that cannot be: a fault of its own. */
  error: unknown

  constructor(ledger: Ledger, pick: () => AppProcess, tally: Tally) {
    this.ledger = ledger
    this.#pick = pick
    this.#tally = tally
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  connect(): void {
    const app = this.#pick()
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
    })
    const req = request(`${app.url}/${this.ledger.channels.join(',')}`, {
      agent: false,
      headers: {
        Accept: 'text/event-stream',
        ...(this.#lastEventId === '' ? {} : { 'Last-Event-ID': this.#lastEventId }),
      },
    })
    this.#request = req
    req.on('response', (res) => {
      if (res.statusCode !== 200) this.error ??= new Error(`Status ${res.statusCode}`)
      res.setEncoding('utf8').on('data', (text: string) => parser.feed(text))
      res.on('error', () => undefined)
      res.on('close', () => {
        if (this.#wasCut || app.isKilled) return
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
    this.#wasCut = true
    this.#request?.destroy()
  }

  #comeBack(awayMs: number): void {
    this.#isOpen = false
    this.#request = undefined
    if (this.#isStopped) return
    this.#tally.reconnects += 1
    this.#retry = setTimeout(() => this.connect(), awayMs + 5 + Math.random() * 100)
  }
}
