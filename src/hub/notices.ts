import { parseJson } from '../core/json.js'
import { noticeName } from '../core/log-names.js'
import type { EventLog } from '../log/event-log.js'
import { unreadable } from '../log/intake.js'
import { ActiveChannel } from './active-channel.js'

export interface NoticesOptions {
  readonly log: EventLog
  /** What they are about. */
  readonly topic: string
  readonly onNotice: (text: string) => void
  readonly onError: (error: unknown) => void
}

/** What the processes that share a log tell one another: a channel of the log. */
export class Notices {
  readonly #options: NoticesOptions
  readonly #name: string
  #channel: ActiveChannel | undefined
  #beginning: Promise<ActiveChannel> | undefined
  #opening: Promise<void> | undefined
  /** Whether all that came between `begin` and `open` is told. */
  #isHeard = false

  constructor(options: NoticesOptions) {
    this.#options = options
    this.#name = noticeName(options.topic)
  }

  /** Tells all processes that have called `open`, this one too. */
  async publish(text: string): Promise<void> {
    await this.#options.log.append(this.#name, [{ data: JSON.stringify(text) }])
  }

  /** Whether anything was published that the log still has. */
  async hasAny(): Promise<boolean> {
    const onePlace = { maxEvents: 1, maxLength: 1 }
    const { entries } = await this.#options.log.read(this.#name, { last: 1 }, onePlace)
    return entries.length > 0
  }

  /** Resolves when nothing that is published from now on is missed: whoever opens them is told of it. */
  async begin(): Promise<void> {
    await this.#begin()
  }

  /** Resolves when what is published is told as it comes; what came since `begin` is told behind that. */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  /** Opens them, and resolves when what was published before that is told. */
  async hear(): Promise<void> {
    await this.open()
    if (this.#isHeard) return
    await this.#channel?.resync()
    this.#isHeard = this.#channel !== undefined
  }

  #take(fields: string): void {
    const { topic, onNotice, onError } = this.#options
    const text = parseJson(fields.replace(/^data: /, ''))
    if (typeof text === 'string') onNotice(text)
    else onError(unreadable(`A notice about ${topic}`, 'it is ignored'))
  }

  close(): void {
    this.#channel?.close()
    this.#channel = undefined
    this.#beginning = undefined
    this.#opening = undefined
    this.#isHeard = false
  }

  #begin(): Promise<ActiveChannel> {
    if (this.#beginning !== undefined) return this.#beginning
    const beginning = this.#locate()
    this.#beginning = beginning
    const isCurrent = () => this.#beginning === beginning
    beginning.then(
      (channel) => {
        if (isCurrent()) this.#channel = channel
        else channel.close()
      },
      () => {
        if (isCurrent()) this.#beginning = undefined
      },
    )
    return beginning
  }

  async #locate(): Promise<ActiveChannel> {
    const { log, onError } = this.#options
    const [head] = await log.heads([this.#name])
    const channel = new ActiveChannel(this.#name, log, onError, head)
    channel.listeners.add({
      // What was lost with the log can be told to nobody.
      push: ({ fields, isLoss }) => {
        if (!isLoss) this.#take(fields)
      },
      reset: () => undefined,
    })
    return channel
  }

  async #open(): Promise<void> {
    const channel = await this.#begin()
    await channel.follow()
    channel.resync().catch(this.#options.onError)
  }
}
