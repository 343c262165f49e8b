import { refuse } from '../client/check-options.js'
import { type EndEvent, EventSourceError } from '../client.js'
import { checkHookOptions } from './options.js'
import { graceMs, Registry } from './registry.js'
import { askFor, type ConnectionState, type Message } from './shared-source.js'
import {
  type TextOptions,
  type TextState,
  TextStream,
  type TextWatcher,
  textBefore,
} from './text-stream.js'
import { View } from './view.js'

const streams = new Registry<TextStream>(graceMs)

/** The options of `useResumableStream`, without the types of its events. */
export interface TextViewOptions extends TextOptions {
  readonly stopUrl?: string | URL | undefined
  readonly onStop?: (() => unknown) | undefined
  readonly onEvent?: ((event: never) => void) | undefined
  readonly onEnd?: ((end: EndEvent) => void) | undefined
}

export interface TextSnapshot extends TextState, ConnectionState {
  stop(): Promise<void>
  restart(): void
}

/** A stream that has an end, as one component sees it. */
export class TextView extends View<TextStream, TextSnapshot> implements TextWatcher {
  #options: TextViewOptions
  readonly #url: string
  readonly #before: TextState & ConnectionState

  /** @throws EventSourceError `ERR_OPTION`. */
  constructor(key: string | undefined, url: string, options: TextViewOptions) {
    super(streams, key)
    checkHookOptions(options, 'textOf', 'stopUrl', 'onStop', 'onEvent', 'onEnd')
    this.#options = options
    this.#url = url
    this.#before = textBefore(key)
  }

  set options(options: TextViewOptions) {
    this.#options = options
    if (this.held) this.held.options = options
  }

  protected make(): TextStream {
    return new TextStream(this.#url, this.#options)
  }

  protected attach(stream: TextStream): void {
    stream.options = this.#options
    stream.watch(this)
  }

  protected detach(stream: TextStream): void {
    stream.unwatch(this)
  }

  protected look(stream: TextStream | undefined): TextSnapshot {
    return { ...(stream?.state ?? this.#before), stop: this.stop, restart: this.restart }
  }

  readonly restart = (): void => this.held?.restart()

  readonly stop = async (): Promise<void> => {
    const { onStop, stopUrl, headers, withCredentials, fetch = globalThis.fetch } = this.#options
    const credentials = withCredentials ? 'include' : this.#options.credentials
    if (onStop) {
      await onStop()
      return
    }
    if (stopUrl === undefined) {
      refuse('Give stopUrl or onStop, to stop a stream.')
    }
    const init = { method: 'POST', headers: await askFor(headers), credentials }
    const { ok, status } = await fetch(stopUrl, init as RequestInit)
    if (ok) return
    throw new EventSourceError('ERR_STATUS', `Stopping was answered ${status}.`, { status })
  }

  take(message: Message): void {
    this.show()
    this.#options.onEvent?.(message as never)
  }

  end(event: EndEvent): void {
    this.show()
    this.#options.onEnd?.(event)
  }

  changed(): void {
    this.show()
  }
}
