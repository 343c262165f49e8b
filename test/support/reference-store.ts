import { type EntryId, formatEntryId, nonceOf, seqOf } from '../../src/core/entry-id.js'
import type {
  Appended,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  StoredEvent,
} from '../../src/log/event-log.js'
import type { KnownTail } from '../../src/log/known-tails.js'
import type { Looked, StoredPage } from '../../src/log/losses.js'

interface Loss {
  readonly mark: EntryId
  readonly markedAt: number
  readonly fork: EntryId
  readonly first: number
  readonly nonces: readonly number[]
}

interface Channel {
  readonly began: number
  head: EntryId
  /** All that were ever appended in this history. */
  entries: readonly StoredEvent[]
  losses: readonly Loss[]
}

/** What an append gave. */
export interface StoreAppended {
  readonly appended: readonly Appended[]
  readonly wasLost: boolean
  /** What followers are told of: with a mark, where one was made. */
  readonly told: readonly StoredEvent[]
}

/**
 * What stores do about losses, in the fewest words: the scripts of Redis and the functions of Postgres do the same. It
 * goes back to what it was when it is told to. Its clock moves on with each use.
 */
export class ReferenceStore {
  readonly maxEvents: number
  readonly #channels = new Map<string, Channel>()
  #clock = 0
  #nonces = 0

  constructor(maxEvents: number) {
    this.maxEvents = maxEvents
  }

  readonly now = (): number => {
    this.#clock += 1
    return this.#clock
  }

  /** @returns Goes back to what is there now. */
  save(): () => void {
    const saved = [...this.#channels].map(([name, channel]) => [name, { ...channel }] as const)
    return () => {
      this.#channels.clear()
      for (const [name, channel] of saved) this.#channels.set(name, { ...channel })
    }
  }

  append(name: string, entries: readonly NewEntry[], asked: string): StoreAppended {
    const channel = this.#find(name)
    const told: StoredEvent[] = []
    const [id = '', age] = asked.split(' ')
    const wasLost = asked !== '' && this.#hasLost(channel, id, Number(age))
    if (wasLost) {
      const tail = {
        channel: name,
        first: seqOf(id),
        nonces: [nonceOf(id)],
        ageMs: () => Number(age),
      }
      told.push(...this.#markLoss(channel, tail))
    }
    const appended = entries.map(({ event, data }) => {
      const entry = { id: this.#nextId(channel), prevId: channel.head, event, data }
      this.#add(channel, entry)
      told.push(entry)
      return { id: entry.id, prevId: entry.prevId, duplicate: false }
    })
    return { appended, wasLost, told }
  }

  read(name: string, from: ReadFrom, { maxEvents }: PageLimit): StoredPage {
    const channel = this.#find(name)
    const kept = this.kept(name)
    const page = (start: number, gap: Page['gap']): StoredPage => ({
      entries: kept.slice(start, start + maxEvents),
      gap,
      head: channel.head,
      end: channel.head,
      losses: gap === 'unknown' ? channel.losses.map(lineOf).join('\n') : '',
    })
    if (from === 'earliest') return page(0, undefined)
    if (typeof from === 'object') return page(Math.max(0, kept.length - from.last), undefined)
    if (from === channel.head) return page(kept.length, undefined)
    const index = kept.findIndex(({ prevId }) => prevId === from)
    if (index !== -1) return page(index, undefined)
    const isOld = seqOf(from) < seqOf(kept[0]?.prevId ?? channel.head)
    return page(0, isOld ? 'trimmed' : 'unknown')
  }

  /** Whether an entry is among those that are known to be lost. */
  isLost(name: string, id: EntryId): boolean {
    return this.#find(name).losses.some(
      ({ first, nonces }) => nonces[seqOf(id) - first] === nonceOf(id),
    )
  }

  head(name: string): EntryId {
    return this.#find(name).head
  }

  kept(name: string): readonly StoredEvent[] {
    return this.#find(name).entries.slice(-this.maxEvents)
  }

  look(tail: KnownTail): Looked {
    const channel = this.#channels.get(tail.channel)
    if (channel === undefined || this.#isNew(channel, tail.ageMs())) return 'absent'
    return this.#hasLost(channel, lastOf(tail), tail.ageMs()) ? { head: channel.head } : 'kept'
  }

  /** @returns Also what followers are told of. */
  mark(tail: KnownTail): { readonly looked: Looked; readonly told: readonly StoredEvent[] } {
    const looked = this.look(tail)
    if (typeof looked === 'string') return { looked, told: [] }
    const told = this.#markLoss(this.#find(tail.channel), tail)
    return { looked: { head: this.head(tail.channel) }, told }
  }

  #find(name: string): Channel {
    let channel = this.#channels.get(name)
    if (channel === undefined) {
      const head = formatEntryId(0, this.#nonce())
      channel = { began: this.now(), head, entries: [], losses: [] }
      this.#channels.set(name, channel)
    }
    return channel
  }

  #isNew({ began }: Channel, ageMs: number): boolean {
    return began > this.now() - ageMs
  }

  #hasLost(channel: Channel, id: EntryId, ageMs: number): boolean {
    return !this.#has(channel, id) && !this.#isNew(channel, ageMs)
  }

  #has({ entries, head }: Channel, id: EntryId): boolean {
    if (id === head) return true
    const kept = entries.slice(-this.maxEvents)
    const here = kept.find((entry) => seqOf(entry.id) === seqOf(id))
    if (here !== undefined || seqOf(id) >= seqOf(head)) return here?.id === id
    const [first] = kept
    return first === undefined || seqOf(id) < seqOf(first.prevId) || first.prevId === id
  }

  #markLoss(channel: Channel, tail: KnownTail): readonly StoredEvent[] {
    const { first, nonces, ageMs } = tail
    const isKept = nonces.map((nonce, i) => this.#has(channel, formatEntryId(first + i, nonce)))
    const low = isKept.lastIndexOf(true) + 1
    const lost = first + low
    const since = this.now() - ageMs()
    const { head, losses } = channel
    const forkSeq = Math.min(seqOf(head), lost - 1)
    const behind = this.kept(tail.channel).find(({ id }) => seqOf(id) === forkSeq + 1)
    const fork = forkSeq === seqOf(head) ? head : behind?.prevId
    let [earlier] = losses
      .filter((it) => seqOf(it.mark) >= lost || (low === 0 && it.markedAt >= since))
      .sort((a, b) => seqOf(a.mark) - seqOf(b.mark))
    const told: StoredEvent[] = []
    if (earlier === undefined) {
      const mark: StoredEvent = {
        id: this.#nextId(channel),
        prevId: head,
        data: '',
        isLoss: true,
      }
      this.#add(channel, mark)
      told.push(mark)
      earlier = { mark: mark.id, markedAt: this.now(), fork: '', first: 0, nonces: [] }
    }
    const { mark, markedAt } = earlier
    const loss = { mark, markedAt, fork: fork ?? mark, first: lost, nonces: nonces.slice(low) }
    const isSaid = losses.some(
      (it) =>
        it.mark === mark &&
        it.first <= lost &&
        ` ${it.nonces.join(' ')} `.includes(` ${loss.nonces.join(' ')} `),
    )
    if (!isSaid) channel.losses = [loss, ...losses].slice(0, 8)
    return told
  }

  #add(channel: Channel, entry: StoredEvent): void {
    channel.entries = [...channel.entries, entry]
    channel.head = entry.id
  }

  #nextId({ head }: Channel): EntryId {
    return formatEntryId(seqOf(head) + 1, this.#nonce())
  }

  /** Not the same twice, and none that is near to another one. */
  #nonce(): number {
    this.#nonces += 1
    return Math.imul(this.#nonces, 0x9e37_79b1) >>> 0
  }
}

function lineOf({ mark, markedAt, fork, first, nonces }: Loss): string {
  return [mark, markedAt, fork, first, ...nonces].join(' ')
}

function lastOf({ first, nonces }: KnownTail): EntryId {
  return formatEntryId(first + nonces.length - 1, nonces.at(-1) as number)
}
