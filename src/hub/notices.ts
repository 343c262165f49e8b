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

  /** Resolves when nothing that is published from now on is missed. */
  open(): Promise<void> {
    if (this.#channel === undefined) {
      const { log, onError } = this.#options
      this.#channel = new ActiveChannel(this.#name, log, onError)
      this.#channel.listeners.add({
        push: ({ fields }) => this.#take(fields),
        // What was lost with the log can be told to nobody.
        reset: () => undefined,
      })
    }
    return this.#channel.open()
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
  }
}
