import { inBackground, keepInBackground } from '../../background.js'
import type { EntryId } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { checkWhole } from '../../core/options.js'
import type { LogListener, Page, PageLimit, ReadFrom } from '../../log/event-log.js'
import type { Intake, IntakeLog } from '../../log/intake.js'
import type {
  Claim,
  Claimed,
  Lease,
  Produced,
  Production,
  StreamInfo,
  StreamLog,
} from '../../log/stream-log.js'
import { Store, type StoreOptions } from './store.js'
import { originOf, refuseChannels } from './streams-only.js'
import { parseDone, volatileKeys } from './volatile-format.js'
import { OwnedStream } from './volatile-owner.js'
import { Peers } from './volatile-peers.js'

export interface VolatileStreamLogOptions extends StoreOptions {
  /** What all keys and pub/sub channels begin with. */
  readonly prefix: string
  /**
   * Milliseconds that the store remembers a stream whose producer was found to be gone.
   * @defaultValue 86_400_000
   */
  readonly maxAgeMs?: number | undefined
  /**
   * Milliseconds without an answer after which a producer is taken for gone.
   * @defaultValue 5000
   */
  readonly replyTimeoutMs?: number | undefined
  /**
   * Milliseconds between two questions whether the producer of a stream that is followed is alive.
   * @defaultValue 3000
   */
  readonly aliveMs?: number | undefined
}

/**
 * Streams that stay with the process that produces them. The store learns that they began and that they have
 * ended; other processes ask the producer for what they want.
 *
 * @throws EventStreamError `ERR_OPTION` when a time is not a whole number above 0.
 */
export function volatileStreamLog(options: VolatileStreamLogOptions): StreamLog {
  return keepInBackground(inBackground(() => new VolatileStreamLog(options)))
}

class VolatileStreamLog implements StreamLog, IntakeLog {
  readonly intake: Intake
  readonly #store: Store
  readonly #prefix: string
  readonly #peers: Peers
  readonly #owned = new Map<string, OwnedStream>()

  constructor(options: VolatileStreamLogOptions) {
    const { prefix, maxAgeMs = 86_400_000, replyTimeoutMs = 5000, aliveMs = 3000 } = options
    for (const [name, value] of Object.entries({ maxAgeMs, replyTimeoutMs, aliveMs })) {
      checkWhole(name, value, 1)
    }
    this.#prefix = prefix
    this.#store = new Store(options)
    this.intake = this.#store.intake
    const keysOf = (channel: string) => volatileKeys(prefix, channel)
    this.#peers = new Peers({
      store: this.#store,
      prefix,
      keysOf,
      maxAgeMs,
      replyTimeoutMs,
      aliveMs,
    })
  }

  append(): Promise<never> {
    return refuseChannels()
  }

  closeChannel(): Promise<never> {
    return refuseChannels()
  }

  async claim(channel: string, claim: Claim): Promise<Claimed> {
    this.#store.checkOpen()
    const owned = this.#owned.get(channel)
    if (owned !== undefined) return owned.claim(claim)
    let decide: (stream: OwnedStream | undefined) => void = () => undefined
    const decided = new Promise<OwnedStream | undefined>((resolve) => {
      decide = resolve
    })
    const { ask } = volatileKeys(this.#prefix, channel)
    // Before anybody can know of the stream: who then asks finds somebody, and waits for the answer.
    const stopListening = await this.#store.listen(ask, (text) => {
      void decided.then((stream) => stream?.ask(text))
    })
    try {
      const isFirst = await this.#isFirst(channel)
      const stream = isFirst ? this.#own(channel, claim, stopListening) : undefined
      decide(stream)
      if (stream !== undefined) return await stream.begin(claim)
    } finally {
      decide(undefined)
      if (!(await decided)) stopListening()
    }
    const own = this.#owned.get(channel)
    if (own !== undefined) return own.claim(claim)
    const info = await this.#peers.info(channel)
    // It was there, and has expired since.
    if (info === undefined) return this.claim(channel, claim)
    return { outcome: info.end === undefined ? 'taken' : 'ended', info }
  }

  async produce(channel: string, production: Production): Promise<Produced> {
    this.#store.checkOpen()
    const owned = this.#owned.get(channel)
    if (owned !== undefined) return owned.produce(production)
    const info = await this.#peers.info(channel)
    if (info === undefined) return 'missing'
    return info.end === undefined ? 'taken' : 'ended'
  }

  async renew(leases: readonly Lease[]): Promise<readonly boolean[]> {
    this.#store.checkOpen()
    return Promise.all(
      leases.map(async (lease) => {
        const owned = this.#owned.get(lease.channel)
        return (await owned?.log.renew([lease]))?.[0] ?? false
      }),
    )
  }

  async endStream(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    this.#store.checkOpen()
    const owned = this.#owned.get(channel)
    return owned === undefined ? this.#peers.end(channel, ending) : owned.end(ending)
  }

  async inspect(channel: string): Promise<StreamInfo | undefined> {
    this.#store.checkOpen()
    const owned = this.#owned.get(channel)
    if (owned === undefined) return this.#peers.info(channel)
    return (await owned.log.inspect(channel)) as StreamInfo | undefined
  }

  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    this.#store.checkOpen()
    const owned = this.#owned.get(channel)
    return owned === undefined ? this.#peers.read(channel, from, limit) : owned.read(from, limit)
  }

  async heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    this.#store.checkOpen()
    return Promise.all(
      channels.map(async (channel) => (await this.inspect(channel))?.head ?? originOf(channel)),
    )
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    this.#store.checkOpen()
    const owned = this.#owned.get(channel)
    return owned === undefined
      ? this.#peers.follow(channel, listener)
      : owned.log.follow(channel, listener)
  }

  async close(): Promise<void> {
    await this.#peers.leave()
    await Promise.all([...this.#owned.values()].map((stream) => stream.forget()))
    await this.#store.close()
    this.#peers.close()
  }

  #own(channel: string, claim: Claim, stopListening: () => void): OwnedStream {
    const stream = new OwnedStream(
      {
        store: this.#store,
        keys: volatileKeys(this.#prefix, channel),
        channel,
        stopListening,
        onForgotten: () => {
          if (this.#owned.get(channel) === stream) this.#owned.delete(channel)
        },
      },
      claim,
    )
    this.#owned.set(channel, stream)
    return stream
  }

  /** Whether nobody has claimed a stream before. */
  async #isFirst(channel: string): Promise<boolean> {
    const { key } = volatileKeys(this.#prefix, channel)
    try {
      return (await this.#store.incr(key)) === 1
    } catch (error) {
      // What is left of a stream is no number to count on from.
      const value = await this.#store.get(key)
      if (value === undefined || parseDone(value) === undefined) throw error
      return false
    }
  }
}
