import type { Acknowledged, Journal } from './journal.js'
import { readCursor, seqOf } from './position.js'

/** What one client is sent in one block. */
export interface Block {
  readonly event: string | undefined
  readonly data: string
  readonly id: string | undefined
}

/** What a client has of one channel since it was last told that something is missing. */
interface Run {
  id: string
  readonly first: number
  last: number
  /** Skipped so far. */
  readonly holes: Set<number>
}

interface Reset {
  readonly channel: string
  readonly at: number
  /** Where the client goes on. */
  readonly seq: number
}

/** Ids of what a log has, by channel. */
export type Kept = ReadonlyMap<string, ReadonlySet<string>>

/** What one client gets, over all its connections, compared with what it must get. */
export class Ledger {
  delivered = 0
  duplicated = 0
  reordered = 0
  readonly resets: Reset[] = []
  readonly channels: readonly string[]
  readonly #journal: Journal
  readonly #runs = new Map<string, Run>()
  /** Where it began in each channel: what is up to there was published before it came. */
  readonly #starts = new Map<string, number>()
  /** By producer, a byte for each number. */
  readonly #got = new Map<string, Uint8Array>()
  /** Of runs that have ended, and of positions that were not what the client had. */
  #lost = 0

  constructor(channels: readonly string[], journal: Journal) {
    this.channels = channels
    this.#journal = journal
  }

  take({ event, data, id }: Block): void {
    if (event === 'stream-open') {
      // Without an id, a reset follows.
      if (id !== undefined) this.#opened(readCursor(id, this.channels))
    } else if (id === undefined) {
      throw new Error(`A block without an id: ${event} ${data}`)
    } else if (event === 'stream-reset') {
      const { channels } = JSON.parse(data) as { channels: string[] }
      this.#reset(readCursor(id, this.channels), channels)
    } else {
      const [channel, producer, n] = JSON.parse(data) as [string, string, number]
      this.#event(readCursor(id, this.channels), channel, producer, n)
    }
  }

  /** Whether it is where the channels' logs end. */
  isAt(heads: ReadonlyMap<string, string>): boolean {
    return this.channels.every((channel) => this.#runs.get(channel)?.id === heads.get(channel))
  }

  /**
   * Events that the client has not got, in the end, though nobody told it so.
   *
   * @param kept - What the log has of each channel, where it may have lost what it had acknowledged: that is not counted here,
   *   see `untold`. A client that had come to one of them must be told, or it is a fork in the journal.
   */
  lost(heads: ReadonlyMap<string, string>, kept?: Kept): number {
    let count = this.#lost
    for (const channel of this.channels) {
      const run = this.#runs.get(channel)
      const head = heads.get(channel) ?? ''
      count += run?.holes.size ?? 0
      if (run?.id !== head) count += Math.max(1, seqOf(head) - (run?.last ?? 0))
      const holes = run?.holes ?? new Set()
      const history = kept?.get(channel) ?? this.#journal.historyOf(channel, head)
      count += this.#missed(channel, history).filter(
        ({ id }) => !holes.has(seqOf(id)) && (kept === undefined || history.has(id)),
      ).length
    }
    return count
  }

  /** Acknowledged events that the log has lost, and that the client neither got nor was told of. */
  untold(kept: Kept): number {
    return this.channels.reduce((count, channel) => {
      const ids = kept.get(channel) ?? new Set()
      return count + this.#missed(channel, ids).filter(({ id }) => !ids.has(id)).length
    }, 0)
  }

  /** How far it is. */
  seqAt(channel: string): number {
    return this.#runs.get(channel)?.last ?? Number.POSITIVE_INFINITY
  }

  has(producer: string, n: number): boolean {
    return this.#got.get(producer)?.[n] === 1
  }

  /**
   * Acknowledged events that did not come, and were not told of.
   *
   * @param ids - What is left of the channel.
   */
  #missed(channel: string, ids: ReadonlySet<string>): readonly Acknowledged[] {
    return this.#journal.acknowledged.filter(
      (it) =>
        it.channel === channel &&
        !this.has(it.producer, it.n) &&
        !this.#isBeforeStart(it) &&
        !this.#wasTold(it, ids.has(it.id)),
    )
  }

  #isBeforeStart({ channel, id }: Acknowledged): boolean {
    return seqOf(id) <= (this.#starts.get(channel) ?? 0)
  }

  /**
   * Whether a reset told of it. One that came before the acknowledgment may have, as acknowledgments
   * can be late: of what is before the reset's position, or was lost together with its history.
   */
  #wasTold({ channel, id, sentAt, ackedAt }: Acknowledged, isKept: boolean): boolean {
    const isBefore = ({ at, seq }: Reset) => at >= sentAt && (!isKept || seq >= seqOf(id))
    return this.resets.some(
      (reset) => reset.channel === channel && (reset.at >= ackedAt || isBefore(reset)),
    )
  }

  #opened(positions: ReadonlyMap<string, string>): void {
    for (const [channel, id] of positions) {
      const run = this.#runs.get(channel)
      if (run === undefined) {
        this.#starts.set(channel, seqOf(id))
        this.#begin(channel, id)
      } else this.#expectAt(channel, id)
    }
  }

  #reset(positions: ReadonlyMap<string, string>, named: readonly string[]): void {
    for (const [channel, id] of positions) {
      if (named.includes(channel)) {
        this.#begin(channel, id)
        this.resets.push({ channel, at: Date.now(), seq: seqOf(id) })
      } else this.#expectAt(channel, id)
    }
  }

  #event(positions: ReadonlyMap<string, string>, own: string, producer: string, n: number): void {
    this.delivered += 1
    for (const [channel, id] of positions) {
      if (channel === own) this.#advance(own, id, `${producer}:${n}`)
      else this.#expectAt(channel, id)
    }
    this.#gets(producer, n)
  }

  #begin(channel: string, id: string): void {
    this.#lost += this.#runs.get(channel)?.holes.size ?? 0
    const seq = seqOf(id)
    this.#runs.set(channel, { id, first: seq, last: seq, holes: new Set() })
  }

  #advance(channel: string, id: string, key: string): void {
    const run = this.#runs.get(channel)
    if (run === undefined) throw new Error('An event came before the stream was open.')
    const seq = seqOf(id)
    if (seq <= run.last) {
      if (seq <= run.first || run.holes.delete(seq)) this.reordered += 1
      else this.duplicated += 1
      return
    }
    for (let hole = run.last + 1; hole < seq; hole++) run.holes.add(hole)
    this.#journal.saw(channel, id, seq === run.last + 1 ? run.id : undefined, key)
    run.last = seq
    run.id = id
  }

  /** A position that is not where the client is would, when it comes back, skip or repeat something. */
  #expectAt(channel: string, id: string): void {
    const run = this.#runs.get(channel)
    if (run?.id === id) return
    const ahead = seqOf(id) - (run?.last ?? 0)
    if (ahead < 0) this.duplicated += 1
    else this.#lost += Math.max(1, ahead)
    this.#begin(channel, id)
  }

  #gets(producer: string, n: number): void {
    let got = this.#got.get(producer)
    if (got === undefined || got.length <= n) {
      const longer = new Uint8Array(Math.max(1024, 2 * n))
      longer.set(got ?? [])
      this.#got.set(producer, longer)
      got = longer
    }
    got[n] = 1
  }
}
