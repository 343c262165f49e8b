import type { EndEvent, ResetEvent } from '../client.js'
import { keepOf, type SharedOptions } from './options.js'
import type { Shared } from './registry.js'
import {
  type ConnectionState,
  type Message,
  newest,
  SharedSource,
  stateBefore,
  tellAll,
  type Watcher,
} from './shared-source.js'

export interface TextOptions extends SharedOptions {
  readonly textOf?: ((message: Message) => string | undefined) | undefined
}

/** How a stream has ended. Without `state` the server has only said that there is nothing more to come. */
export type StreamOutcome = Pick<EndEvent, 'state' | 'reason' | 'result' | 'event'>

/** What has come of a stream. */
export interface TextState {
  readonly text: string
  readonly events: readonly Message[]
  readonly end: StreamOutcome | undefined
  /** Why a part of it is missing, where it cannot be had. */
  readonly missing: string | undefined
}

const nothing: TextState = { text: '', events: [], end: undefined, missing: undefined }

/** Before anything was heard. */
export function textBefore(key: string | undefined): TextState & ConnectionState {
  return { ...stateBefore(key), ...nothing }
}

/** Who hears what comes, once it is in the text. */
export type TextWatcher = Pick<Watcher, 'take' | 'end' | 'changed'>

/** What has come of a stream that has an end, for all components that follow it. */
export class TextStream implements Shared, Watcher {
  readonly #source: SharedSource
  readonly #watchers = new Set<TextWatcher>()
  #text: TextState = nothing
  #hasStartedOver = false
  /** Of bytes, which may end within a character. */
  #decoder = new TextDecoder()

  constructor(url: string, options: TextOptions) {
    this.#source = new SharedSource(url, options)
  }

  set options(options: TextOptions) {
    this.#source.options = options
  }

  get state(): TextState & ConnectionState {
    return { ...this.#source.state, ...this.#text }
  }

  watch(watcher: TextWatcher): void {
    this.#watchers.add(watcher)
  }

  unwatch(watcher: TextWatcher): void {
    this.#watchers.delete(watcher)
  }

  resume(): void {
    this.#source.watch(this)
    this.#source.resume()
  }

  suspend(): void {
    this.#source.suspend()
    this.#source.unwatch(this)
  }

  restart(): void {
    this.#hasStartedOver = false
    this.#source.restart()
  }

  begin(): void {
    this.#text = nothing
    this.#decoder = new TextDecoder()
    this.changed()
  }

  take(message: Message): void {
    const options: TextOptions = this.#source.options
    const text = options.textOf ? options.textOf(message) : textIn(message, this.#decoder)
    if (text === undefined) {
      const events = newest([...this.#text.events, message], keepOf(options))
      this.#text = { ...this.#text, events }
    } else this.#text = { ...this.#text, text: this.#text.text + text }
    tellAll(this.#watchers, (watcher) => watcher.take(message))
  }

  /** What comes next is not what follows. From its beginning it is whole, unless that is what is gone. */
  reset({ reason }: ResetEvent): void {
    if (this.#hasStartedOver) this.#text = { ...this.#text, missing: reason }
    else {
      this.#hasStartedOver = true
      this.#source.restart()
    }
  }

  end(event: EndEvent): void {
    const { state, reason, result, event: name } = event
    // Without what there was not.
    const end = state ? { state, reason, result, event: name } : {}
    this.#text = { ...this.#text, end }
    tellAll(this.#watchers, (watcher) => watcher.end(event))
  }

  changed(): void {
    tellAll(this.#watchers, (watcher) => watcher.changed())
  }
}

/** @returns undefined for what is no chunk of text. */
function textIn(
  { type, data }: Message,
  decoder: InstanceType<typeof TextDecoder>,
): string | undefined {
  const isBytes = type === 'stream-bytes'
  if (!isBytes && type !== 'message') return undefined
  try {
    const json: unknown = JSON.parse(data)
    if (typeof json !== 'string') return undefined
    if (!isBytes) return json
    const bytes = Uint8Array.from(atob(json), (char) => char.charCodeAt(0))
    return decoder.decode(bytes, { stream: true })
  } catch {
    // Text that was published as it is.
    return isBytes ? undefined : data
  }
}
