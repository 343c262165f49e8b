import { encodeCursor } from '../core/cursor.js'
import { isEndOf } from '../core/stream-end.js'
import { endBlock } from '../core/wire.js'
import type { Gap } from '../log/event-log.js'
import type { Observer } from '../observe/observer.js'
import type { ActiveChannel, ChannelListener } from './active-channel.js'
import type { EncodedEntry } from './channel-tail.js'
import { resetFields } from './reset.js'
import { Frame } from './sink.js'

/** Gets the frames of a feed while it is live. */
export interface LiveReader {
  /** Its place in the feed; the feed keeps it. */
  liveIndex: number
  /** @returns False to leave the feed: the reader has this frame and wants no other. */
  deliver(frame: Frame, now: number): boolean
  /** Nothing will come any more. */
  end(): void
}

/** Bytes of one frame, but for its last event: what a slow client may get beyond its queue. */
const maxFrameLength = 65_536

/**
 * All connections of one set of channels. The live ones share every frame, and with it the cursor:
 * they are at the channels' live positions by definition. What is pushed within one tick becomes
 * one frame.
 */
export class Feed implements ChannelListener {
  readonly key: string
  readonly channels: readonly ActiveChannel[]
  readonly encodedNames: readonly string[]
  readonly #schedule: (feed: Feed) => void
  readonly #live: LiveReader[] = []
  readonly #observer: Observer
  #pending = ''
  /** Of what waits. */
  #pendingEvents = 0
  /** Connections that have or will have a place here. */
  members = 0

  /** @param schedule - Called when something waits to be flushed at the end of the tick. */
  constructor(
    key: string,
    channels: readonly ActiveChannel[],
    observer: Observer,
    schedule: (feed: Feed) => void,
  ) {
    this.key = key
    this.channels = channels
    this.encodedNames = channels.map((channel) => channel.encodedName)
    this.#observer = observer
    this.#schedule = schedule
  }

  /** The live position in all channels. */
  cursor(): string {
    return encodeCursor(
      this.encodedNames,
      (index) => (this.channels[index] as ActiveChannel).position,
    )
  }

  /** Whether all of its channels are streams that have ended. */
  get isOver(): boolean {
    return this.channels.every(({ name, position }) => isEndOf(name, position))
  }

  push({ fields, isLoss }: EncodedEntry, channel: ActiveChannel): void {
    if (this.#live.length === 0) return
    if (isLoss) this.#observer.reset([channel.name], 'unknown', this.#live.length)
    else this.#pendingEvents += 1
    this.#add(fields)
  }

  reset(channel: ActiveChannel, gap: Gap): void {
    if (this.#live.length === 0) return
    this.#observer.reset([channel.name], gap, this.#live.length)
    this.#add(resetFields([channel.name], gap))
  }

  /** Takes in a reader that is at the live position. */
  join(reader: LiveReader): void {
    // What waits was published before the reader's position.
    this.flush()
    reader.liveIndex = this.#live.length
    this.#live.push(reader)
  }

  leave(reader: LiveReader): void {
    const { liveIndex } = reader
    if (liveIndex === -1) return
    reader.liveIndex = -1
    const last = this.#live.pop() as LiveReader
    if (last === reader) return
    this.#live[liveIndex] = last
    last.liveIndex = liveIndex
  }

  flush(): void {
    if (this.#pending === '') return
    const frame = new Frame(this.#pending)
    this.#pending = ''
    const { counters } = this.#observer
    counters.deliveries += this.#pendingEvents * this.#live.length
    counters.writtenBytes += frame.length * this.#live.length
    this.#pendingEvents = 0
    const now = performance.now()
    // Backwards, because a reader that leaves is replaced by the last one.
    for (let i = this.#live.length - 1; i >= 0; i--) {
      const reader = this.#live[i] as LiveReader
      if (!reader.deliver(frame, now)) this.leave(reader)
    }
    if (this.isOver) for (const reader of [...this.#live]) reader.end()
  }

  #add(fields: string): void {
    if (this.#pending === '') this.#schedule(this)
    this.#pending += endBlock(fields, this.cursor())
    if (this.#pending.length >= maxFrameLength) this.flush()
  }
}
