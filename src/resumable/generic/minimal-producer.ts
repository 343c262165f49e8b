import type { EncodedEvent } from '../../core/event.js'
import { endId, isEndId } from '../../core/stream-end.js'
import type { StoredEvent } from '../../log/event-log.js'
import type { Produced, Production, StreamInfo } from '../../log/stream-log.js'
import { elect, settleMs } from './election.js'
import { lengthOf } from './entry-text.js'
import {
  type EndMark,
  encodeHint,
  encodeMark,
  encodeState,
  headOf,
  infoOf,
  isEnded,
  parseMark,
  parseState,
  type StreamKeys,
  type StreamState,
  withEnd,
} from './minimal-format.js'
import { type Draft, drafted, freePages, loadPages, writePages } from './minimal-pages.js'
import type { Store } from './store.js'

/** UTF-16 units up to which a message has what was produced. */
const maxHintLength = 16_384

type Pages = Pick<Draft, 'places' | 'page'>

/** One stream that is produced in this process. What is done to it is done one after the other. */
export class MinimalProducer {
  readonly #store: Store
  readonly #keys: StreamKeys
  #state: StreamState
  #pages: Pages
  #work: Promise<unknown> = Promise.resolve()

  constructor(store: Store, keys: StreamKeys, state: StreamState, pages: Pages) {
    this.#store = store
    this.#keys = keys
    this.#state = state
    this.#pages = pages
  }

  /** Begins a stream. */
  static async begin(store: Store, keys: StreamKeys, state: StreamState): Promise<MinimalProducer> {
    const { epoch, ageMs } = state
    // It may be as old as the pages; whoever ends the stream counts it up.
    await store.set(keys.end(epoch), '0', 2 * ageMs)
    const producer = new MinimalProducer(store, keys, state, { places: [], page: [] })
    await producer.#write(state, [])
    return producer
  }

  /** Goes on with a stream as it stands. */
  static async load(store: Store, keys: StreamKeys, state: StreamState): Promise<MinimalProducer> {
    return new MinimalProducer(store, keys, state, await loadPages(store, keys, state))
  }

  get token(): string {
    return this.#state.token
  }

  get epoch(): string {
    return this.#state.epoch
  }

  produce(production: Production): Promise<Produced> {
    return this.#inTurn(() => this.#produce(production))
  }

  /** @returns Whether the lease holds. */
  renew(leaseMs: number): Promise<boolean> {
    return this.#inTurn(async () => {
      if (isEnded(this.#state) || (await this.#fence()) !== undefined) return false
      const renewals = this.#state.renewals + 1
      await this.#write({ ...this.#state, leaseMs, renewals })
      return true
    })
  }

  end(ending: EncodedEvent): Promise<StreamInfo | 'taken' | 'missing'> {
    return this.#inTurn(async () => {
      if (!isEnded(this.#state)) {
        const fence = await this.#fence()
        if (fence === 'taken' || fence === 'missing') return fence
        const mark = { by: '', ...ending }
        if (fence !== 'ended') await this.#place(await decideEnd(this.#store, this.#end, mark))
      }
      return infoOf(this.#state)
    })
  }

  get #end(): EndKey {
    const { epoch, ageMs } = this.#state
    return { key: this.#keys.end(epoch), ageMs: 2 * ageMs }
  }

  #inTurn<Result>(body: () => Promise<Result>): Promise<Result> {
    const done = this.#work.then(body)
    this.#work = done.catch(() => undefined)
    return done
  }

  async #produce({ leaseMs, limits, entries }: Production): Promise<Produced> {
    const last = entries.at(-1) as StoredEvent
    const end = isEndId(last.id) ? last : undefined
    if (isEnded(this.#state)) return this.#isLast(last) ? 'appended' : 'ended'
    const since = performance.now()
    const fence = await this.#fence(end)
    if (fence !== undefined) return fence
    if (headOf(this.#state) === last.id) return 'appended'
    if (headOf(this.#state) !== entries[0]?.prevId) return 'diverged'
    if (end !== undefined) {
      const { event, data } = end
      const mark = await decideEnd(this.#store, this.#end, { by: this.token, event, data })
      if (!this.#isOurs(mark, end)) {
        await this.#place(mark)
        return 'ended'
      }
    }
    const renewals = this.#state.renewals + 1
    const state = { ...this.#state, leaseMs, renewals, ageMs: limits.maxAgeMs }
    const body = end === undefined ? entries : entries.slice(0, -1)
    const draft = drafted({ state, ...this.#pages }, body, limits)
    await writePages(this.#store, this.#keys, draft)
    await this.#write(end ? withEnd(draft.state, end.id, end) : draft.state, entries)
    this.#pages = draft
    await freePages(this.#store, this.#keys, draft)
    // Somebody may have ended it meanwhile, and written a state that this one has replaced.
    const isLate = performance.now() - since > settleMs / 2
    if (isLate && end === undefined) await this.#fence()
    return 'appended'
  }

  #isLast(entry: StoredEvent): boolean {
    const last = this.#state.tail.at(-1)
    return last?.id === entry.id && last.data === entry.data
  }

  #isOurs(mark: EndMark, end: EncodedEvent | undefined): boolean {
    return mark.by === this.token && mark.data === end?.data
  }

  /** Why this is the producer no more. An end that somebody has decided is put in place. */
  async #fence(end?: EncodedEvent): Promise<'ended' | 'taken' | 'missing' | undefined> {
    const text = await this.#store.get(this.#end.key)
    const mark = parseMark(text)
    if (mark !== undefined && !this.#isOurs(mark, end)) {
      await this.#place(mark)
      return 'ended'
    }
    if (text !== undefined) return undefined
    const found = parseState(await this.#store.get(this.#keys.state))
    if (found === undefined) return 'missing'
    return found.epoch === this.epoch && found.token === this.token ? undefined : 'taken'
  }

  async #place(mark: EndMark): Promise<void> {
    const state = withEnd(this.#state, endId(headOf(this.#state)), mark)
    await this.#write(state, state.tail.slice(-1))
  }

  /** @param news - What others are told of. */
  async #write(state: StreamState, news?: readonly StoredEvent[]): Promise<void> {
    await writeState(this.#store, this.#keys, state, news)
    this.#state = state
  }
}

/** Writes a state, and tells who follows. */
export async function writeState(
  store: Store,
  keys: StreamKeys,
  state: StreamState,
  news?: readonly StoredEvent[],
): Promise<void> {
  await store.set(keys.state, encodeState(state), state.ageMs)
  if (news === undefined) return
  const hint = encodeHint(lengthOf(news) > maxHintLength ? [] : news, headOf(state))
  // Whoever does not get it looks after a while.
  store.publish(keys.live, hint).catch(() => undefined)
}

interface EndKey {
  readonly key: string
  readonly ageMs: number
}

/** @returns The end that counts: this one, unless there was another before. */
export async function decideEnd(
  store: Store,
  { key, ageMs }: EndKey,
  mark: EndMark,
): Promise<EndMark> {
  const decided = async () => parseMark(await store.get(key))
  const elected = await elect(store, key, decided)
  if ('decision' in elected) return elected.decision
  await store.set(key, encodeMark(mark), ageMs)
  return mark
}
