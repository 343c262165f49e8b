import type { Block } from './block-reader.js'
import { Connection, type ConnectionHost } from './connection.js'
import { EventSourceError, toError } from './errors.js'
import { type SourceEvent, StreamMessage } from './events.js'
import { History, isSendable, isShort } from './history.js'
import type { Address, EventSourceOptions, Limits, PerRequest } from './options.js'
import type { Recovery } from './recover.js'
import { ask } from './request.js'
import type { Share, Tab } from './tabs.js'

/** The source that a session is of. */
export interface SessionHost {
  readonly address: PerRequest<Address>
  /** That, where it is no function. */
  readonly url: string
  /** The position behind what was dealt with. */
  readonly position: string
  /** Whether as many events wait as may. */
  readonly isFull: boolean
  /** @returns When that is no longer so. */
  room(): Promise<void>
  /** @param before - The position before it. */
  deliver(message: StreamMessage, before: string): void
  tell(event: SourceEvent): void
}

/** What one stream is to a source: where it is, what came already, and whom it hears it from. */
export class Session implements ConnectionHost, Tab {
  /** The position behind the last event that has come. */
  lastEventId = ''
  readonly options: EventSourceOptions
  readonly limits: Limits
  readonly #host: SessionHost
  readonly #history = new History()
  #loaded: Promise<void> | undefined
  #saved = ''
  #hasWarned = false
  /** The server has said by `stream-open` that its ids are cursors, and what its own events mean. */
  #isOurs = false
  #isRunning = false
  #connection: Connection | undefined
  #share: Share | undefined
  #recovery: Recovery | undefined

  constructor(host: SessionHost, options: EventSourceOptions, limits: Limits) {
    this.#host = host
    this.options = options
    this.limits = limits
  }

  start(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    this.connect()
    this.#share = this.options.tabs?.(this, this.#host.url)
  }

  stop(): void {
    this.#isRunning = false
    this.disconnect()
    this.#share?.leave()
    this.#share = undefined
    this.#recovery?.abort()
    this.#recovery = undefined
  }

  /** The network may be back, or the page was asleep. */
  wake(): void {
    // It starts the rest when it is done.
    if (this.#recovery) return
    this.start()
    this.#connection?.wake()
    this.#share?.ask()
  }

  /** Goes back, for the events after it to come once more. */
  goBackTo(position: string): void {
    if (position === this.lastEventId) return
    this.#history.clear()
    this.lastEventId = position
  }

  /** Has what was missed, and then goes on unless the stream has ended, or was stopped. */
  async recover(goesOn = true): Promise<void> {
    this.stop()
    await this.prepare()
    const recovery = this.options.recover?.(this)
    this.#recovery = recovery
    if (!recovery) throw new EventSourceError('ERR_OPTION', 'The option recover is missing.')
    await recovery.done
    if (this.#recovery !== recovery) return
    this.#recovery = undefined
    if (goesOn) this.start()
  }

  get isConnected(): boolean {
    return !!this.#connection
  }

  get isFull(): boolean {
    return this.#host.isFull
  }

  hasBeenAt(position: string): boolean {
    return position === this.lastEventId || (this.#isOurs && this.#history.has(position))
  }

  connect(): void {
    if (this.#connection) return
    this.#connection = new Connection(this)
    void this.#connection.run()
  }

  disconnect(): void {
    this.#connection?.stop()
    this.#connection = undefined
  }

  prepare(): Promise<void> {
    this.#loaded ??= this.#load()
    return this.#loaded
  }

  async #load(): Promise<void> {
    const { position, storage } = this.options
    await this.#attempt(async () => {
      const kept = position ?? (await storage?.load(this.#host.url)) ?? ''
      if (!isSendable(kept)) throw new EventSourceError('ERR_POSITION', 'The position is none.')
      this.lastEventId = kept
      this.#saved = kept
    })
  }

  save(): void {
    const { position, url } = this.#host
    const { storage } = this.options
    if (!storage || position === this.#saved) return
    this.#saved = position
    void this.#attempt(() => storage.save(url, position))
  }

  /** What goes wrong is told once. */
  async #attempt(run: () => void | Promise<void>): Promise<void> {
    try {
      await run()
    } catch (cause) {
      if (this.#hasWarned) return
      this.#hasWarned = true
      const error = toError(cause, 'ERR_STORAGE', 'The position cannot be kept.')
      this.#host.tell({ type: 'error', error })
    }
  }

  request(signal: AbortSignal): Promise<Response> {
    return ask(this, this.#host.address, 'text/event-stream', signal)
  }

  tell(event: SourceEvent): void {
    this.#share?.tell({ isOpen: event.type === 'open' })
    this.#host.tell(event)
  }

  settled(): Promise<void> | undefined {
    this.save()
    this.#share?.settle()
    return this.isFull ? this.#host.room() : undefined
  }

  take(block: Block): void {
    const { event: type = 'message', data, id } = block
    const isOpen = type === 'stream-open'
    this.#isOurs ||= isOpen
    // What the protocol has beside events of the application, and their bytes.
    const isControl = this.#isOurs && /^stream-(?!bytes)|^keep-alive$/.test(type)
    if (isControl && type === 'stream-error') {
      throw new EventSourceError('ERR_STREAM', 'The server cannot go on.')
    }
    const isKnown = id !== undefined && this.#isOurs && this.#history.visit(id)
    if (isKnown && !isControl) return
    const before = this.lastEventId
    if (id !== undefined && isShort(id)) this.lastEventId = id
    // Whoever is where the stream opens has all that was before.
    this.#share?.tell({ block, before: isOpen ? this.lastEventId : before })
    if (!isControl) this.#host.deliver(new StreamMessage(type, data, this.lastEventId), before)
    else if (type === 'stream-reset') {
      this.#host.tell({ channels: [], reason: 'unknown', ...parse(data), type: 'reset' })
    } else if (type === 'stream-end') this.finish(parse(data))
  }

  finish(ending: object = {}): void {
    this.stop()
    this.save()
    this.#host.tell({ ...ending, type: 'end' })
  }

  async failed(error: EventSourceError, retryInMs?: number): Promise<void> {
    const { isFinal, status } = error
    if (isFinal) this.stop()
    if (isFinal && this.options.recover && (status === 404 || status === 410)) {
      // If the stream has not ended by then, what it has answered is what to tell.
      await this.recover(false).catch(() => undefined)
    }
    this.tell({ type: 'error', error, retryInMs })
  }
}

function parse(data: string): object {
  try {
    return Object(JSON.parse(data))
  } catch {
    return {}
  }
}
