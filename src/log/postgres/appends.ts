import { randomBytes } from 'node:crypto'
import { encodeChannelName } from '../../core/cursor.js'
import { EventStreamError, quote } from '../../core/errors.js'
import type { Appended, NewEntry, StoredEvent } from '../event-log.js'
import type { Losses } from '../losses.js'
import { randomNonce } from '../nonce.js'
import { checkUnproduced } from '../stream-log.js'
import { Batches } from './batches.js'
import { packEntries, parseAppended, partsOf, withoutRepetitions } from './format.js'
import { lockMs, type Task } from './link.js'
import type { Row } from './statements.js'

/** What appending needs of the log. */
export interface AppendHost {
  run(task: Task): Promise<readonly Row[]>
  readonly losses: Pick<Losses, 'asks' | 'appended'>
  /** See `LossHost`. */
  server(): number
  /** Tells followers, here and elsewhere. */
  tell(name: string, entries: readonly StoredEvent[]): void
}

export interface AppendLimits {
  readonly maxEvents: number
  readonly maxBytes: number
  /** As Postgres writes intervals. */
  readonly age: string
  readonly maxPending: number
  readonly maxPendingBytes: number
}

/** What this process appends to channels. It numbers its batches, so that one whose answer was lost is sent again. */
export class Appends {
  /** Of this process, among all that append to a channel. */
  producer = newProducer()
  readonly #schema: string
  readonly #limits: AppendLimits
  readonly #host: AppendHost
  readonly #batches: Batches
  #batch = 0

  constructor(schema: string, limits: AppendLimits, host: AppendHost) {
    this.#schema = schema
    this.#limits = limits
    this.#host = host
    this.#batches = new Batches(
      (channel, entries, since) => this.#append(channel, entries, since),
      limits,
    )
  }

  append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    return this.#batches.append(channel, entries)
  }

  async #append(
    channel: string,
    entries: readonly NewEntry[],
    since: number,
  ): Promise<readonly Appended[]> {
    const name = encodeChannelName(channel)
    const { unique, indexes } = withoutRepetitions(entries)
    const { at, flags, payload } = packEntries(unique)
    const { maxEvents, maxBytes, age } = this.#limits
    const batch = ++this.#batch
    const nonces: number[][] = []
    let server = 0
    const [row] = await this.#host.run({
      what: `The append to ${quote(channel)}`,
      writes: true,
      since,
      text: `SELECT * FROM ${this.#schema}.append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)`,
      values: (attempt, leftMs) => {
        // Of its own for each try: where a standby has taken the place of a server that had the earlier one,
        // the same id would stand behind other entries, and whoever had it would miss them without a gap.
        nonces[attempt - 1] = unique.map(randomNonce)
        const place = [name, randomNonce(), this.producer, batch, attempt, lockMs(leftMs)]
        const limits = [maxEvents, maxBytes, age]
        server = this.#host.server()
        const must = parseAsked(this.#host.losses.asks(channel))
        return [...place, nonces[attempt - 1], at, flags, payload, ...limits, must]
      },
    })
    checkUnproduced(channel, row?.status === 'produced')
    if (row?.status === 'closed') {
      throw new EventStreamError(
        'ERR_CHANNEL_CLOSED',
        `The channel ${quote(channel)} is closed and takes no more events.`,
      )
    }
    const isFound = row?.status === 'found' && nonces.length > 1
    if (row?.status !== 'appended' && !isFound) throw this.#raised(channel, nonces.length)
    const appended = parseAppended(row as Row, nonces)
    this.#host.losses.appended(channel, appended, server, row?.lost === true)
    this.#tell(name, unique, appended)
    if (unique.length === entries.length) return appended
    return indexes.map((index, i) => {
      const result = appended[index] as Appended
      return indexes.indexOf(index) === i ? result : { ...result, duplicate: true }
    })
  }

  /** Whoever has a batch of this process that was not sent, has written to its row. From here on it has another one. */
  #raised(channel: string, tries: number): EventStreamError {
    this.producer = newProducer()
    const done =
      tries === 1
        ? 'Nothing was done'
        : 'It may have been done all the same: use an idempotency key'
    return new EventStreamError(
      'ERR_LOG_REFUSED',
      `The append to ${quote(channel)} failed: something else has changed the batch of this process in ${this.#schema}.producer. ${done}; try again, and let nothing else write there.`,
    )
  }

  #tell(name: string, entries: readonly NewEntry[], appended: readonly Appended[]): void {
    const added: StoredEvent[] = []
    for (const [i, { id, prevId, duplicate }] of appended.entries()) {
      const { event, data } = entries[i] as NewEntry
      if (!duplicate) added.push({ id, prevId, event, data })
    }
    this.#host.tell(name, added)
  }
}

/** A number that no other process has. */
function newProducer(): string {
  return String(randomBytes(8).readBigInt64BE())
}

/** `seq` and nonce of an entry that must be there, and for how many milliseconds it was known. */
function parseAsked(asked: string): readonly (number | null)[] | null {
  const [id, age] = asked.split(' ')
  return age === undefined ? null : [...partsOf(id), Number(age)]
}
