import { inBackground, keepInBackground } from '../../background.js'
import type { EntryId } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { quoteName } from '../../core/log-names.js'
import { checkWhole } from '../../core/options.js'
import { encodeEnding, endId, isEndId } from '../../core/stream-end.js'
import type { LogListener, Page, PageLimit, ReadFrom } from '../../log/event-log.js'
import type { Intake, IntakeLog } from '../../log/intake.js'
import { randomNonce } from '../../log/nonce.js'
import type {
  Claim,
  Claimed,
  Lease,
  Produced,
  Production,
  StreamInfo,
  StreamLog,
} from '../../log/stream-log.js'
import { elect, settleMs, waitFor } from './election.js'
import { MinimalFollowers } from './minimal-followers.js'
import {
  headOf,
  infoOf,
  isEnded,
  parseState,
  type StreamState,
  streamKeys,
  withEnd,
} from './minimal-format.js'
import { decideEnd, MinimalProducer, writeState } from './minimal-producer.js'
import { MinimalReader } from './minimal-reader.js'
import { Store, type StoreOptions } from './store.js'
import { originOf, refuseChannels } from './streams-only.js'

export interface MinimalStreamLogOptions extends StoreOptions {
  /** What all keys and pub/sub channels begin with. */
  readonly prefix: string
  /**
   * Milliseconds between two looks at a stream that is followed, in case a message was lost.
   * @defaultValue 5000
   */
  readonly pollMs?: number | undefined
}

/** Milliseconds that the count of who wants to produce is kept: past this there is a stream, or its producer died. */
const claimAgeMs = 60_000
/** Streams whose leases are watched; those that were not looked at for longest go first. */
const maxWatched = 10_000

const orphaned = encodeEnding({ state: 'orphaned' })

/**
 * Streams in a store of which nothing is asked but GET, SET with EX, INCR, PUBLISH and SUBSCRIBE. The store
 * has no clock for us: a lease has run out for a process that has seen its stream unchanged for so long.
 *
 * @throws EventStreamError `ERR_OPTION` when `pollMs` is not a whole number above 0.
 */
export function minimalStreamLog(options: MinimalStreamLogOptions): StreamLog {
  return keepInBackground(inBackground(() => new MinimalStreamLog(options)))
}

class MinimalStreamLog implements StreamLog, IntakeLog {
  readonly intake: Intake
  readonly #store: Store
  readonly #prefix: string
  readonly #reader: MinimalReader
  readonly #followers: MinimalFollowers
  readonly #producers = new Map<string, MinimalProducer>()
  /** Since when a stream is as it is, by the clock of this process. */
  readonly #watched = new Map<string, { readonly is: string; readonly since: number }>()

  constructor({ prefix, pollMs = 5000, ...options }: MinimalStreamLogOptions) {
    checkWhole('pollMs', pollMs, 1)
    this.#prefix = prefix
    this.#store = new Store(options)
    this.intake = this.#store.intake
    this.#reader = new MinimalReader(this.#store)
    const host = {
      store: this.#store,
      liveOf: (channel: string) => this.#keys(channel).live,
      look: async (channel: string) => {
        const state = await this.#look(channel)
        return { head: this.#headOf(channel, state), tail: state?.tail ?? [] }
      },
    }
    this.#followers = new MinimalFollowers(host, pollMs)
  }

  append(): Promise<never> {
    return refuseChannels()
  }

  closeChannel(): Promise<never> {
    return refuseChannels()
  }

  async claim(channel: string, claim: Claim): Promise<Claimed> {
    const { token, from } = claim
    const state = await this.#look(channel)
    if (state === undefined) return this.#begin(channel, claim)
    if (from !== undefined && state.token === token && !isEnded(state)) {
      return this.#own(channel, claim)
    }
    return claimed(state, token)
  }

  async produce(channel: string, production: Production): Promise<Produced> {
    const producer = await this.#producer(channel, production.token)
    if (typeof producer === 'string') return producer
    const produced = await producer.produce(production)
    const goesOn = produced === 'appended' || produced === 'diverged'
    if (!goesOn || isEndId(production.entries.at(-1)?.id ?? '')) this.#producers.delete(channel)
    return produced
  }

  async renew(leases: readonly Lease[]): Promise<readonly boolean[]> {
    this.#store.checkOpen()
    return Promise.all(
      leases.map(async ({ channel, token, leaseMs }) => {
        const producer = await this.#producer(channel, token)
        const holds = typeof producer !== 'string' && (await producer.renew(leaseMs))
        if (typeof producer !== 'string' && !holds) this.#producers.delete(channel)
        return holds
      }),
    )
  }

  async endStream(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    const state = await this.#look(channel)
    return state && infoOf(await this.#end(channel, state, ending, settleMs))
  }

  async inspect(channel: string): Promise<StreamInfo | undefined> {
    const state = await this.#look(channel)
    return state && infoOf(state)
  }

  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const state = await this.#look(channel)
    if (state !== undefined) return this.#reader.read(this.#keys(channel), state, from, limit)
    const head = originOf(channel)
    const isKnown = typeof from === 'object' || from === 'earliest' || from === head
    return { entries: [], gap: isKnown ? undefined : 'unknown', head }
  }

  async heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    this.#store.checkOpen()
    return Promise.all(
      channels.map(async (channel) => this.#headOf(channel, await this.#look(channel))),
    )
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    this.#store.checkOpen()
    return this.#followers.follow(channel, listener)
  }

  async close(): Promise<void> {
    this.#followers.close()
    this.#producers.clear()
    await this.#store.close()
  }

  #keys(channel: string) {
    return streamKeys(this.#prefix, channel)
  }

  #headOf(channel: string, state: StreamState | undefined): EntryId {
    return state === undefined ? originOf(channel) : headOf(state)
  }

  async #load(channel: string): Promise<StreamState | undefined> {
    const text = await this.#store.get(this.#keys(channel).state)
    const state = parseState(text)
    if (text !== undefined && state === undefined) {
      this.intake.drop(`The state of the stream ${quoteName(channel)}`, 'it counts as lost')
    }
    return state
  }

  /** How a stream stands, once it has been ended if its lease has run out. */
  async #look(channel: string): Promise<StreamState | undefined> {
    const state = await this.#load(channel)
    if (state === undefined || isEnded(state)) {
      this.#watched.delete(channel)
      return state
    }
    const is = `${state.epoch} ${state.renewals}`
    const watched = this.#watched.get(channel)
    const since = watched?.is === is ? watched.since : performance.now()
    if (performance.now() - since > state.leaseMs) return this.#end(channel, state, orphaned, 0)
    this.#watched.delete(channel)
    this.#watched.set(channel, { is, since })
    const [oldest] = this.#watched.keys()
    if (this.#watched.size > maxWatched && oldest !== undefined) this.#watched.delete(oldest)
    return state
  }

  /** Makes a stream where there is none. */
  async #begin(channel: string, claim: Claim): Promise<Claimed> {
    const { claim: key } = this.#keys(channel)
    for (;;) {
      const elected = await elect(this.#store, key, () => this.#load(channel))
      if ('decision' in elected) return claimed(elected.decision, claim.token)
      await this.#store.set(key, '1', Math.min(claimAgeMs, claim.limits.maxAgeMs))
      // It may have been there before this one was elected, if that took long.
      const found = await this.#load(channel)
      if (found !== undefined) return claimed(found, claim.token)
      // Whoever waits for it may have taken it for dead: then it stands again.
      if (performance.now() - elected.electedAt < settleMs / 2) return this.#own(channel, claim)
    }
  }

  /** Writes a stream that is the claimer's. */
  async #own(channel: string, { token, leaseMs, limits, from }: Claim): Promise<Claimed> {
    const origin = from?.origin ?? originOf(channel)
    const head = from?.head ?? origin
    const state: StreamState = {
      token,
      epoch: randomNonce().toString(36),
      origin,
      startedAt: Date.now(),
      leaseMs,
      ageMs: limits.maxAgeMs,
      renewals: 0,
      before: head,
      firstPage: 0,
      page: -1,
      pageBefore: head,
      stored: head,
      tail: [],
    }
    const keys = this.#keys(channel)
    this.#producers.set(channel, await MinimalProducer.begin(this.#store, keys, state))
    return { outcome: 'owned', info: infoOf(state) }
  }

  /** The producer of that token, which may have begun in another process; or why there is none. */
  async #producer(
    channel: string,
    token: string,
  ): Promise<MinimalProducer | 'missing' | 'taken' | 'ended'> {
    const known = this.#producers.get(channel)
    if (known?.token === token) return known
    const state = await this.#look(channel)
    if (state === undefined) return 'missing'
    if (state.token !== token) return 'taken'
    const producer = await MinimalProducer.load(this.#store, this.#keys(channel), state)
    this.#producers.set(channel, producer)
    return producer
  }

  /** @param waitMs - How long the producer may take to put the end behind what it has produced meanwhile. */
  async #end(
    channel: string,
    state: StreamState,
    ending: EncodedEvent,
    waitMs: number,
  ): Promise<StreamState> {
    if (isEnded(state)) return state
    const producer = this.#producers.get(channel)
    if (producer?.epoch === state.epoch) {
      await producer.end(ending)
      this.#producers.delete(channel)
      return (await this.#load(channel)) ?? state
    }
    const keys = this.#keys(channel)
    const end = { key: keys.end(state.epoch), ageMs: 2 * state.ageMs }
    const own = { by: '', ...ending }
    const mark = await decideEnd(this.#store, end, own)
    const ended = async () => {
      const now = await this.#load(channel)
      return now !== undefined && isEnded(now) ? now : undefined
    }
    // Whoever decided is the one to put it in place.
    const found = await waitFor(ended, mark === own ? waitMs : waitMs + settleMs)
    if (found !== undefined) return found
    const now = (await this.#load(channel)) ?? state
    if (now.epoch !== state.epoch || isEnded(now)) return now
    const placed = withEnd(now, endId(headOf(now)), mark)
    await writeState(this.#store, keys, placed, placed.tail.slice(-1))
    return placed
  }
}

function claimed(state: StreamState, token: string): Claimed {
  const own = state.token === token ? 'owned' : 'taken'
  return { outcome: isEnded(state) ? 'ended' : own, info: infoOf(state) }
}
