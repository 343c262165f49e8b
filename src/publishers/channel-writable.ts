import { Writable } from 'node:stream'
import type { NewEvent } from '../core/event.js'
import { checkNames, checkWhole } from '../core/options.js'
import type { Publisher } from './publisher.js'
import { isStored } from './unawaited.js'

export interface ChannelWritableOptions {
  /**
   * Events that may wait before `write` returns false. They are published in one batch.
   * @defaultValue 64
   */
  readonly highWaterMark?: number | undefined
}

type Callback = (error?: Error | null) => void

/**
 * An object stream that publishes to one channel. A write is done when the event is accepted, so a
 * source that is piped in is never faster than the log, or a GRIP proxy. An event that cannot be
 * published destroys the stream with the error; what was still waiting is not published either. A
 * proxy that is away does not: its clients have what is in the log when it is back.
 */
export class ChannelWritable extends Writable {
  readonly #publisher: Publisher
  readonly #channel: string

  /** @throws EventStreamError `ERR_OPTION`. */
  constructor(publisher: Publisher, channel: string, options: ChannelWritableOptions = {}) {
    checkNames('createChannelWritable', options, ['highWaterMark'])
    const { highWaterMark = 64 } = options
    checkWhole('highWaterMark', highWaterMark, 1)
    super({ objectMode: true, highWaterMark })
    this.#publisher = publisher
    this.#channel = channel
  }

  override _write(event: NewEvent, _encoding: BufferEncoding, callback: Callback): void {
    this.#publish([event], callback)
  }

  override _writev(chunks: readonly { readonly chunk: NewEvent }[], callback: Callback): void {
    this.#publish(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  #publish(events: readonly NewEvent[], callback: Callback): void {
    this.#publisher.publish(this.#channel, events).then(
      // Outside the promise: what a listener throws must not become its rejection.
      () => process.nextTick(callback),
      (error: unknown) => {
        if (isStored(error)) process.nextTick(callback)
        else process.nextTick(callback, error instanceof Error ? error : new Error(String(error)))
      },
    )
  }
}
