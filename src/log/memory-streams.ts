import { inBackground } from '../background.js'
import { formatEntryId } from '../core/entry-id.js'
import type { EncodedEvent } from '../core/event.js'
import { encodeEnding, endId, isEndId } from '../core/stream-end.js'
import type { StoredEvent } from './event-log.js'
import type { MemoryChannel, MemoryStream } from './memory-channel.js'
import { randomNonce } from './nonce.js'
import {
  type Claim,
  type Claimed,
  type Produced,
  type Production,
  type StreamInfo,
  sharedToken,
} from './stream-log.js'

/** Gets what was added to a channel. */
type Added = (channel: MemoryChannel, entries: readonly StoredEvent[]) => void

/** The rules of streams, on channels in memory. */
export class MemoryStreams {
  readonly #added: Added

  constructor(added: Added) {
    this.#added = added
  }

  claim(channel: MemoryChannel, { token, leaseMs, limits, from }: Claim): Claimed {
    const now = performance.now()
    this.expire(channel)
    const { stream } = channel
    if (stream === undefined || (stream.token === token && from !== undefined && !channel.closed)) {
      channel.stream = {
        token,
        origin: from?.origin ?? channel.head,
        startedAt: stream?.startedAt ?? Date.now(),
        leaseUntil: now + leaseMs,
        limits,
      }
      if (from !== undefined && from.head !== channel.head) channel.restart(from.head)
      this.#watch(channel, channel.stream)
    }
    const info = infoOf(channel) as StreamInfo
    if (info.end !== undefined) return { outcome: 'ended', info }
    return { outcome: channel.stream?.token === token ? 'owned' : 'taken', info }
  }

  produce(channel: MemoryChannel, { token, leaseMs, limits, entries }: Production): Produced {
    this.expire(channel)
    const { stream } = channel
    if (stream === undefined) return 'missing'
    if (stream.token !== token) return 'taken'
    const last = entries.at(-1) as StoredEvent
    if (channel.closed) return isSame(channel.last, last) ? 'appended' : 'ended'
    if (channel.head === last.id) return 'appended'
    if (channel.head !== entries[0]?.prevId) return 'diverged'
    const now = performance.now()
    this.#renew(channel, stream, leaseMs)
    stream.limits = limits
    for (const entry of entries) channel.add(entry, now)
    channel.closed = isEndId(last.id)
    if (channel.closed) clearTimeout(channel.lease)
    this.#added(channel, entries)
    return 'appended'
  }

  renew(channel: MemoryChannel | undefined, token: string, leaseMs: number): boolean {
    if (channel === undefined) return false
    this.expire(channel)
    if (channel.stream?.token !== token || channel.closed) return false
    channel.usedAt = performance.now()
    this.#renew(channel, channel.stream, leaseMs)
    return true
  }

  end(channel: MemoryChannel | undefined, ending: EncodedEvent): StreamInfo | undefined {
    if (channel?.stream === undefined) return undefined
    this.expire(channel)
    if (!channel.closed) this.#end(channel, ending)
    return infoOf(channel)
  }

  inspect(channel: MemoryChannel | undefined): StreamInfo | undefined {
    if (channel === undefined) return undefined
    this.expire(channel)
    return infoOf(channel)
  }

  /** Drops a stream that has ended. */
  drop(channel: MemoryChannel): boolean {
    this.expire(channel)
    if (channel.stream === undefined || !channel.closed) return false
    channel.stream = undefined
    channel.closed = false
    channel.restart(formatEntryId(0, randomNonce()))
    // Its head is elsewhere.
    for (const listener of [...channel.listeners]) listener.suspect()
    return true
  }

  /** Ends a stream whose lease has run out. */
  expire(channel: MemoryChannel): void {
    const { stream, closed } = channel
    if (stream === undefined || closed || stream.leaseUntil > performance.now()) return
    this.#end(channel, encodeEnding({ state: 'orphaned' }))
  }

  #renew(channel: MemoryChannel, stream: MemoryStream, leaseMs: number): void {
    const until = performance.now() + leaseMs
    const isSooner = until < stream.leaseUntil
    stream.leaseUntil = until
    // A lease that was made longer is seen to be so when its timer comes.
    if (isSooner) this.#watch(channel, stream)
  }

  /** Nobody may look, and whoever follows is to be told all the same. */
  #watch(channel: MemoryChannel, stream: MemoryStream): void {
    clearTimeout(channel.lease)
    const expire = () => {
      this.expire(channel)
      if (!channel.closed) this.#watch(channel, stream)
    }
    const ms = stream.leaseUntil - performance.now() + 1
    channel.lease = inBackground(() => setTimeout(expire, ms).unref())
  }

  #end(channel: MemoryChannel, { event, data }: EncodedEvent): void {
    const entry = { id: endId(channel.head), prevId: channel.head, event, data }
    channel.usedAt = performance.now()
    channel.add(entry, channel.usedAt)
    channel.closed = true
    clearTimeout(channel.lease)
    this.#added(channel, [entry])
  }
}

/** All ends behind one entry have the same id. */
function isSame(end: StoredEvent | undefined, given: StoredEvent): boolean {
  return end?.id === given.id && end.data === given.data
}

function infoOf({ stream, head, closed, last }: MemoryChannel): StreamInfo | undefined {
  if (stream === undefined) return undefined
  const { origin, startedAt, token } = stream
  const isShared = token === sharedToken
  return { origin, head, startedAt, end: closed ? last : undefined, isShared }
}
