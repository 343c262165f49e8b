import { type Block, blockReader } from './block-reader.js'
import { EventSourceError, toError } from './errors.js'
import type { SourceEvent } from './events.js'
import { type EventSourceOptions, type Limits, maxTimerMs } from './options.js'
import { checkResponse } from './response.js'

/** What a server's `retry` is taken as at least, or it could make every client ask all the time. */
const leastRetryMs = 100

/** Milliseconds up to which those that are woken at the same time wait. */
const wakeJitterMs = 250

/** Silence for longer than this part of `silenceMs` is worth a look when the page wakes. */
const suspiciousPart = 1 / 3

/** What a connection is for. */
export interface ConnectionHost {
  readonly options: EventSourceOptions
  readonly limits: Limits
  /** Is awaited before anything else. */
  prepare(): Promise<void>
  request(signal: AbortSignal): Promise<Response>
  tell(event: SourceEvent): void
  /** What it throws ends this try. */
  take(block: Block): void
  /** All blocks of one read have been taken. @returns When there is room for more. */
  settled(): Promise<void> | undefined
  /** @param retryInMs - undefined when this was the last try. */
  failed(error: EventSourceError, retryInMs?: number): Promise<void>
  /** The server has said that there is nothing more to come. */
  finish(): void
}

/** Asks for a stream, and for ever again, until it is stopped. Used once. */
export class Connection {
  readonly #host: ConnectionHost
  #isStopped = false
  /** Of the try under way. */
  #abort: AbortController | undefined
  #heardAt = 0
  /** Nobody wants to hear more at the moment. */
  #isPaused = false
  #failures = 0
  #hasDelivered = false
  #retryMs: number | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Ends the wait under way. */
  #goOn: (() => void) | undefined
  #mayWake = false

  constructor(host: ConnectionHost) {
    this.#host = host
  }

  async run(): Promise<void> {
    await this.#host.prepare()
    while (!this.#isStopped) {
      let cause: unknown
      try {
        await this.#try()
      } catch (error) {
        cause = error
      }
      if (!this.#isStopped) await this.#fail(toError(cause))
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#abort?.abort()
    this.#goOn?.()
  }

  /** Tries at once if it waits, and looks whether it still hears something. */
  wake(): void {
    if (this.#mayWake) {
      this.#mayWake = false
      this.#setTimer(Math.random() * wakeJitterMs, () => this.#goOn?.())
    } else if (this.#silentFor() > this.#host.limits.silenceMs * suspiciousPart) this.#silent()
  }

  /** Ends by an error, or because it was stopped. */
  async #try(): Promise<void> {
    const abort = new AbortController()
    const { signal } = abort
    this.#abort = abort
    this.#hasDelivered = false
    this.#heardAt = Date.now()
    this.#watch()
    try {
      // What the application's functions and `fetch` do about the signal is theirs.
      await Promise.race([this.#read(signal), rejectionOf(signal)])
    } finally {
      abort.abort()
      clearTimeout(this.#timer)
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const host = this.#host
    const response = await host.request(signal)
    signal.throwIfAborted()
    if (!(await checkResponse(response, host.options.retryOn))) {
      signal.throwIfAborted()
      host.finish()
      return
    }
    signal.throwIfAborted()
    host.tell({ type: 'open' })
    const feed = blockReader({
      maxEventBytes: host.limits.maxEventBytes,
      onBlock: (block) => {
        // A listener may have closed the source, and more was read already.
        if (signal.aborted) return
        this.#hasDelivered = true
        host.take(block)
      },
      onRetry: (ms) => {
        this.#retryMs = ms
      },
    })
    const reader = response.body?.getReader()
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true }
      signal.throwIfAborted()
      if (done) throw new EventSourceError('ERR_CONNECTION', 'The server has ended the stream.')
      this.#heardAt = Date.now()
      feed(value)
      const room = host.settled()
      if (room === undefined) continue
      this.#isPaused = true
      await room
      this.#isPaused = false
      this.#heardAt = Date.now()
    }
  }

  async #fail(error: EventSourceError): Promise<void> {
    if (error.isFinal) {
      this.stop()
      return this.#host.failed(error)
    }
    const waitMs = this.#waitAfter(error)
    await this.#host.failed(error, waitMs)
    if (this.#isStopped) return
    await new Promise<void>((resolve) => {
      this.#goOn = resolve
      this.#mayWake = error.retryAfterMs === undefined
      this.#setTimer(waitMs, resolve)
    })
    this.#mayWake = false
    clearTimeout(this.#timer)
  }

  #waitAfter(error: EventSourceError): number {
    const { minRetryMs, maxRetryMs } = this.#host.limits
    const { code, retryAfterMs } = error
    // What could not be taken comes again, so having come so far is no progress.
    if (this.#hasDelivered && !['ERR_EVENT_TOO_LARGE', 'ERR_STREAM'].includes(code)) {
      this.#failures = 0
    }
    const failures = this.#failures++
    // The application has decided that it is worth another try.
    if (retryAfterMs === 0 && failures === 0) return 0
    const least = Math.min(leastRetryMs, minRetryMs)
    const base = Math.max(this.#retryMs ?? minRetryMs, least)
    const jitterMs = Math.random() * Math.min(base * 2 ** failures, maxRetryMs)
    return jitterMs + (retryAfterMs ?? 0)
  }

  #watch(): void {
    const { silenceMs } = this.#host.limits
    const left = silenceMs - this.#silentFor()
    if (left <= 0) this.#silent()
    else this.#setTimer(left, () => this.#watch())
  }

  #silentFor(): number {
    // A clock that was set back says nothing.
    return this.#isPaused ? 0 : Math.max(Date.now() - this.#heardAt, 0)
  }

  #silent(): void {
    const message = 'Nothing came for too long, not even a keep-alive.'
    this.#abort?.abort(new EventSourceError('ERR_SILENCE', message))
  }

  #setTimer(ms: number, run: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(run, Math.min(ms, maxTimerMs))
  }
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
