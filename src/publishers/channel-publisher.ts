import { checkChannel } from '../core/channels.js'
import type { NewEvent } from '../core/event.js'
import { ChannelWritable, type ChannelWritableOptions } from './channel-writable.js'
import type { Published, Publisher } from './publisher.js'

/** Publishes to one channel: events of which the compiler knows, where the event stream is told its channels. */
export class ChannelPublisher<Event = NewEvent> {
  readonly channel: string
  readonly #publisher: Publisher

  /** @throws EventStreamError `ERR_CHANNEL` when the name is none. */
  constructor(publisher: Publisher, channel: string) {
    this.#publisher = publisher
    this.channel = checkChannel(channel)
  }

  /**
   * @returns The event's id, once every reader can have it.
   * @throws EventStreamError as {@link Publisher.publish}.
   */
  async publishEvent(event: Event): Promise<Published> {
    const [published] = await this.#publisher.publish(this.channel, [event as NewEvent])
    return published as Published
  }

  /** A stream that publishes what is written to it: objects `{ event, data }`. */
  createWritable(options?: ChannelWritableOptions): ChannelWritable {
    return new ChannelWritable(this.#publisher, this.channel, options)
  }
}
