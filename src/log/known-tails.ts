import { type EntryId, nonceOf, seqOf } from '../core/entry-id.js'
import { canEnd } from '../core/log-names.js'
import type { StoredEvent } from './event-log.js'

/** The last entries of a channel that this process knows to have been in the log, one behind the other. */
export interface KnownTail {
  readonly channel: string
  /** `seq` of the first of them. */
  readonly first: number
  readonly nonces: readonly number[]
  /** Milliseconds since this process learned of the last one: to be asked for when the question is sent, not before. */
  ageMs(): number
}

/** An entry's place. */
export type Link = Pick<StoredEvent, 'id' | 'prevId' | 'isUnreadable'>

/** Entries remembered of one channel; twice as many at most. */
const maxTail = 128

/** Of all channels: 8 bytes for each entry, and some 300 for each channel. */
const limits = { entries: 1_048_576, channels: 100_000 } as const

/**
 * Milliseconds after which an append asks again whether the log has what was known. A log that goes back breaks its
 * connections as a rule, and is asked at once over each new one.
 */
const askAgainMs = 1000

class Tail {
  readonly nonces: number[]
  first: number
  last: EntryId
  /** When the log was known to have the last one. */
  learnedAt: number
  /** The server that had what was known, when it was asked last. */
  foundOn: number | undefined
  /** When an append asked for it last. */
  askedAt = 0

  constructor(id: EntryId, learnedAt: number) {
    this.first = seqOf(id)
    this.nonces = [nonceOf(id)]
    this.last = id
    this.learnedAt = learnedAt
  }

  add(id: EntryId): void {
    this.nonces.push(nonceOf(id))
    this.last = id
  }

  /** @returns How many entries were forgotten. */
  trim(): number {
    const excess = this.nonces.length - maxTail
    if (excess < maxTail) return 0
    this.nonces.splice(0, excess)
    this.first += excess
    return excess
  }
}

/**
 * The ends of channels as this process knows them: entries that were acknowledged, delivered or read here. One of them
 * that the log has no more was lost. What a client says is never learned, as anybody may make up a position.
 */
export class KnownTails {
  readonly #tails = new Map<string, Tail>()
  readonly #now: () => number
  #entries = 0

  /** @param now - Milliseconds of a clock that never goes back. */
  constructor(now = () => performance.now()) {
    this.#now = now
  }

  get channels(): readonly string[] {
    return [...this.#tails.keys()]
  }

  /** The last entry that is known. */
  last(channel: string): EntryId | undefined {
    return this.#tails.get(channel)?.last
  }

  has(channel: string, id: EntryId): boolean {
    const tail = this.#tails.get(channel)
    return tail !== undefined && tail.nonces[seqOf(id) - tail.first] === nonceOf(id)
  }

  /** Whether another entry is known in the place of one of these. */
  contradict(channel: string, links: readonly Pick<Link, 'id'>[]): boolean {
    const tail = this.#tails.get(channel)
    if (tail === undefined) return false
    return links.some(({ id }) => {
      const known = tail.nonces[seqOf(id) - tail.first]
      return known !== undefined && known !== nonceOf(id)
    })
  }

  tail(channel: string): KnownTail | undefined {
    const tail = this.#tails.get(channel)
    if (tail === undefined) return undefined
    const { first, nonces, learnedAt } = tail
    return { channel, first, nonces: [...nonces], ageMs: () => this.#since(learnedAt) }
  }

  /**
   * What an append that is sent now asks the log for, `<id> <age in ms>`, or nothing.
   *
   * @param server - See `LossHost`.
   */
  asks(channel: string, server: number): string {
    const tail = this.#tails.get(channel)
    if (tail === undefined) return ''
    if (tail.foundOn === server && this.#since(tail.askedAt) < askAgainMs) return ''
    tail.askedAt = this.#now()
    return `${tail.last} ${this.#since(tail.learnedAt)}`
  }

  /** The log has what it was asked for. */
  wasThere(channel: string, server: number): void {
    const tail = this.#tails.get(channel)
    if (tail !== undefined) tail.foundOn = server
  }

  /**
   * The log has these entries, one behind the other. Where there is a hole between them and what is known, they are known
   * instead if that was found to be there.
   *
   * @param server - That has told of them, see `LossHost`.
   */
  learn(channel: string, links: readonly Link[], server: number): void {
    // Producers know what they have appended to streams.
    if (canEnd(channel)) return
    let tail = this.#tails.get(channel)
    for (const { id, prevId, isUnreadable } of links) {
      if (isUnreadable) {
        // What is behind it is known anew.
        this.forget(channel)
        tail = undefined
        continue
      }
      if (prevId !== tail?.last) {
        if (tail !== undefined && (tail.foundOn !== server || seqOf(id) <= seqOf(tail.last)))
          continue
        tail = this.#begin(channel, prevId, tail)
      }
      tail.add(id)
      tail.learnedAt = this.#now()
      this.#entries += 1 - tail.trim()
    }
    this.#shrink()
  }

  learnHead(channel: string, head: EntryId): void {
    if (canEnd(channel)) return
    const tail = this.#tails.get(channel)
    if (tail === undefined) this.#begin(channel, head, undefined)
    else if (tail.last === head) tail.learnedAt = this.#now()
    this.#shrink()
  }

  /** Nothing that was known counts any more. */
  beginAt(channel: string, head: EntryId): void {
    this.#begin(channel, head, this.#tails.get(channel))
  }

  forget(channel: string): void {
    this.#entries -= this.#tails.get(channel)?.nonces.length ?? 0
    this.#tails.delete(channel)
  }

  #begin(channel: string, id: EntryId, before: Tail | undefined): Tail {
    const tail = new Tail(id, this.#now())
    tail.foundOn = before?.foundOn
    tail.askedAt = before?.askedAt ?? 0
    this.#entries += 1 - (before?.nonces.length ?? 0)
    this.#tails.set(channel, tail)
    return tail
  }

  #since(time: number): number {
    return Math.floor(this.#now() - time)
  }

  #shrink(): void {
    while (this.#entries > limits.entries || this.#tails.size > limits.channels) {
      const [oldest] = this.#tails.keys()
      this.forget(oldest as string)
    }
  }
}
