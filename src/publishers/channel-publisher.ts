import { checkChannel } from '../core/channels.js'
import type { NewEvent } from '../core/event.js'
import { ChannelWritable, type ChannelWritableOptions } from './channel-writable.js'
import type { Published, Publisher } from './publisher.js'
import { publishUnawaited } from './unawaited.js'

/** Publishes to one channel: events of which the compiler knows, where the event stream is told its channels. */
export class ChannelPublisher<Event = NewEvent> {
  readonly channel: string
  readonly #publisher: Publisher
  readonly #onError: (error: unknown) => void

  /**
   * @param onError - Gets what `publish` cannot.
   * @throws EventStreamError `ERR_CHANNEL` when the name is none.
   */
  constructor(publisher: Publisher, channel: string, onError: (error: unknown) => void) {
    this.#publisher = publisher
    this.channel = checkChannel(channel)
    this.#onError = onError
  }

  /**
   * @returns The event's id, once every reader can have it.
   * @throws EventStreamError as {@link Publisher.publish}.
   */
  async publishEvent(event: Event): Promise<Published> {
    const [published] = await this.#publisher.publish(this.channel, [event as NewEvent])
    return published as Published
  }

  /** Publishes an event that nobody waits for: see `publish` of event streams. */
  publish(event: Event): void {
    publishUnawaited(this.#publisher, this.channel, event as NewEvent, this.#onError)
  }

  /** A stream that publishes what is written to it: objects `{ event, data }`. */
  createWritable(options?: ChannelWritableOptions): ChannelWritable {
    return new ChannelWritable(this.#publisher, this.channel, options)
  }
}
