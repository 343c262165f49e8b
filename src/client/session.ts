import type { Block } from './block-reader.js'
import { refuse } from './check-options.js'
import { type Connection, type ConnectionHost, connect } from './connection.js'
import { EventSourceError, type EventSourceErrorCode, toError } from './errors.js'
import { ServerEvent, type SourceNews } from './events.js'
import { emptyHistory } from './history.js'
import { type Loops, openLoops } from './loops.js'
import type { Address, PerRequest, Settings } from './options.js'
import { page } from './page.js'
import { resolveUrl } from './request.js'
import type { Share, Tab } from './tabs.js'

/** What can be sent back, as any header can hold it: no longer than cursors are, and no control characters. */
const sendable = /^[\t -~\x80-\uffff]{0,4096}$/

/** Names of the protocol, beside `stream-end`. */
const control = /^(stream-(open|reset|error)|keep-alive)$/

/** Ids of ends: an event of a channel that is named `stream-end` ends nothing. */
const ofEnd = /^$|\d-0(\*|$)/

/** How often a service worker may answer in place of a server that was never heard, while the browser is online. */
const maxStrangers = 10

type Emit = (event: SourceNews | ServerEvent) => void

/** What one stream is to a source: where it is, what came already, and whom it hears it from. */
export class Session implements ConnectionHost, Tab {
  /** The position behind the last event that has come. */
  lastEventId = ''
  /** The address; empty where it is a function. */
  declare readonly url: string
  declare readonly options: Settings
  origin = ''
  history = emptyHistory()
  declare readonly loops: Loops<ServerEvent>
  /** Its own; undefined while it hears from another tab. */
  declare connection: Connection | undefined
  declare readonly address: PerRequest<Address>
  readonly #emit: Emit
  /** How often it may still be that a service worker has answered. */
  #strangers = maxStrangers
  #loaded: Promise<void> | undefined
  #saved = ''
  #told: EventSourceErrorCode | undefined
  /** The server has said by `stream-open` that its ids are cursors, and what its own events mean. */
  #isOurs = false
  /** Ends what was started. */
  #abort: AbortController | undefined
  #share: Share | undefined

  constructor(address: PerRequest<Address>, options: Settings, emit: Emit) {
    this.address = address
    this.url = typeof address === 'function' ? '' : resolveUrl(address).href
    this.options = options
    this.loops = openLoops(options.maxQueuedEvents, () => this.save())
    this.#emit = emit
  }

  /** The position behind what was dealt with. */
  get position(): string {
    return this.loops.position ?? this.lastEventId
  }

  start(): void {
    if (this.#abort) return
    const signal = this.#begin()
    this.connect()
    void this.#attempt('ERR_TABS', async () => {
      const { shareTabs, tabs = shareTabs } = this.options
      if (!tabs) return
      const { joinTabs } = await import('./tabs.js')
      if (!signal.aborted) this.#share = joinTabs(this, tabs, signal)
    })
  }

  stop(): void {
    this.save()
    this.disconnect()
    this.#abort?.abort()
    this.#abort = undefined
    this.#share = undefined
  }

  /** @returns What is aborted when this ends, or something else begins. */
  #begin(): AbortSignal {
    this.stop()
    this.#abort = new AbortController()
    return this.#abort.signal
  }

  /** The network may be back, or the page was asleep. */
  wake(): void {
    this.start()
    this.connection?.wake()
    this.#share?.ask()
  }

  /** Drops what waits for loops, for it to come once more. */
  goBack(): void {
    const position = this.loops.drop()
    if (position === undefined) return
    this.history = emptyHistory()
    this.lastEventId = position
  }

  /**
   * Has what was missed, and then goes on unless the stream has ended. Who closes the source meanwhile, or begins
   * something else, is not disturbed.
   *
   * @param error - What the stream has answered, for good: it is told, unless the stream has ended by what was missed.
   */
  async recover(error?: EventSourceError): Promise<void> {
    const signal = this.#begin()
    const { recover } = this.options
    try {
      if (!recover) refuse('No option recover.')
      await this.prepare()
      signal.throwIfAborted()
      await recover(this, signal, error)
    } catch (cause) {
      if (!error && !signal.aborted) throw cause
    }
    if (signal.aborted) return
    this.stop()
    if (error) this.tell({ type: 'error', error })
    else this.start()
  }

  connect(): void {
    this.connection ??= connect(this)
  }

  disconnect(): void {
    this.connection?.stop()
    this.connection = undefined
  }

  prepare(): Promise<void> {
    const { position, storage } = this.options
    this.#loaded ??= this.#attempt('ERR_STORAGE', async () => {
      const kept = String(position ?? (await storage?.load(this.url)) ?? '')
      if (!sendable.test(kept)) throw new EventSourceError('ERR_POSITION', 'No position.')
      this.lastEventId = kept
      this.#saved = kept
    })
    return this.#loaded
  }

  save(): void {
    const { position } = this
    if (position === this.#saved) return
    this.#saved = position
    void this.#attempt('ERR_STORAGE', () => this.options.storage?.save(this.url, position))
  }

  /** What goes wrong again and again is told once. */
  async #attempt(code: EventSourceErrorCode, run: () => void | Promise<void>): Promise<void> {
    try {
      await run()
    } catch (cause) {
      if (this.#told !== code) this.#emit({ type: 'error', error: toError(cause, code) })
      this.#told = code
    }
  }

  mayBeOffline(): boolean {
    const { onLine, serviceWorker } = page.navigator ?? {}
    return onLine === false || (!!serviceWorker?.controller && --this.#strangers > 0)
  }

  tell(event: SourceNews): void {
    if (event.type === 'open') this.#strangers = Infinity
    this.#share?.told(event)
    this.#emit(event)
  }

  settled(): Promise<void> {
    this.save()
    this.#share?.settle()
    return this.loops.room()
  }

  take(block: Block): void {
    const { event: type = 'message', data } = block
    // A copy, as a part of a text keeps all of it, and ids are kept for long.
    const id = block.id && ` ${block.id}`.slice(1)
    this.#isOurs ||= type === 'stream-open'
    // What the protocol has beside events of the application, and their bytes.
    const isControl =
      this.#isOurs && (type === 'stream-end' ? ofEnd.test(id ?? '') : control.test(type))
    if (isControl && type === 'stream-error') {
      throw new EventSourceError('ERR_STREAM', `${type} ${data}`)
    }
    const before = this.lastEventId
    if (id !== undefined && sendable.test(id)) {
      if (this.#isOurs && this.history.visit(id) && !isControl) return
      this.lastEventId = id
    }
    this.#share?.took(block, before)
    if (!isControl) {
      const { lastEventId, origin } = this
      const message = new ServerEvent(type, { data, lastEventId, origin })
      this.loops.push(message, before)
      this.#emit(message)
    } else if (type === 'stream-reset') {
      this.#emit({ channels: [], reason: 'unknown', ...parse(data), type: 'reset' })
    } else if (type === 'stream-end') this.finish(parse(data))
  }

  finish(ending?: object): void {
    this.#emit({ ...ending, type: 'end' })
  }

  async failed(cause: unknown, retryInMs: number): Promise<void> {
    const error = toError(cause)
    if (error.isFinal) await this.recover(error)
    else this.tell({ type: 'error', error, retryInMs })
  }
}

function parse(data: string): object {
  try {
    return Object(JSON.parse(data))
  } catch {
    return {}
  }
}
