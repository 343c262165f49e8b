import type { EventStream, MemoryEventLogOptions } from '../../src/index.js'
import type { CountedLog, FollowCounts } from '../support/wrap-log.js'

/** What the event stream of a scene is doing. */
interface Sight extends Readonly<FollowCounts> {
  /** Of every connection, the oldest first. */
  readonly states: readonly string[]
  /** Connections that listen to the channel. */
  readonly listeners: number
}

/** What a behaviour does with the event stream of its scene, which may be in another process. */
export interface Control {
  /**
   * Publishes events one by one, numbered from the first to the last number.
   *
   * @param isBig - Whether the data is `{ n, filler }`, and not the number alone.
   * @returns The most bytes that waited in memory for the first connection, seen after each event.
   */
  publish(from: number, to: number, isBig?: boolean): Promise<number>
  look(): Promise<Sight>
  /** Ends all streams, and forgets all events. */
  close(): Promise<void>
}

const channel = 'room-7'
export const maxQueueBytes = 200_000
/** What every event of a behaviour fits into. */
export const logLimits: MemoryEventLogOptions = { maxEvents: 10_000, maxBytes: 100_000_000 }

/** What makes an event big. */
export const filler = 'x'.repeat(10_000)

/** Of `EventStream`, whichever build of this package it is from. */
type Controlled = Pick<EventStream, 'publishEvent' | 'connections' | 'count' | 'close'>

/** @param counted - The event stream's log. */
export function controlOf(eventStream: Controlled, { log, counts }: CountedLog): Control {
  return {
    async publish(from, to, isBig = false) {
      let queuedBytes = 0
      for (let n = from; n <= to; n++) {
        await eventStream.publishEvent(channel, { data: isBig ? { n, filler } : n })
        queuedBytes = Math.max(queuedBytes, eventStream.connections()[0]?.queuedBytes ?? 0)
      }
      return queuedBytes
    },
    async look() {
      const states = eventStream.connections().map(({ state }) => state)
      return { states, listeners: eventStream.count(channel), ...counts }
    },
    async close() {
      await eventStream.close({ graceMs: 0 })
      await log.close()
    },
  }
}
