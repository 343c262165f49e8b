import { encodeChannelName } from '../../core/cursor.js'
import { type EntryId, isEntryId, seqOf } from '../../core/entry-id.js'
import { quoteName } from '../../core/log-names.js'
import type { PageLimit, ReadFrom, StoredEvent } from '../event-log.js'
import { chained, type Intake } from '../intake.js'
import type { KnownTail } from '../known-tails.js'
import type { Looked, StoredHead, StoredPage } from '../losses.js'
import { randomNonce } from '../nonce.js'
import { channelOf, idOf, type Look, parseLooks, unknownPlace } from './format.js'
import { lockMs, type Task } from './link.js'
import type { Row } from './statements.js'

/** What has come behind an entry of a channel. */
export interface News {
  readonly head: EntryId
  /** undefined where the log does not have the place of that entry. */
  readonly entries: readonly StoredEvent[] | undefined
}

type Run = (task: Task) => Promise<readonly Row[]>

/** Channels of a look that is short. */
const maxSoon = 100

/** Reads channels, which are made by being looked at, and looks whether they have what they must. */
export class Reads {
  readonly #schema: string
  readonly #age: string
  readonly #run: Run
  readonly #soon: Run
  readonly #intake: Intake

  /**
   * @param age - That of the log, as Postgres writes intervals.
   * @param soon - Runs what is short, and wanted at once.
   */
  constructor(
    schema: string,
    age: string,
    { run, soon }: { readonly run: Run; readonly soon: Run },
    intake: Intake,
  ) {
    this.#schema = schema
    this.#age = age
    this.#run = run
    this.#soon = soon
    this.#intake = intake
  }

  async page(channel: string, from: ReadFrom, limit: PageLimit): Promise<StoredPage> {
    const earliest = () => this.#page(channel, null, limit)
    if (typeof from === 'object' || from === 'earliest') {
      // Of none, there is nothing behind the last that can be.
      const last = from === 'earliest' ? null : -from.last || Number.MAX_SAFE_INTEGER
      return { ...(await this.#page(channel, last, limit)), gap: undefined }
    }
    if (!isEntryId(from)) return { ...(await earliest()), gap: 'unknown' }
    const look = await this.#look(channel, seqOf(from), limit)
    const { anchor, entries, head } = look
    const behind = this.#behind(encodeChannelName(channel), look, from)
    if (behind !== undefined) {
      return { entries: behind, gap: undefined, head, end: head, losses: '' }
    }
    const trimmedTo = anchor === undefined ? (entries[0]?.prevId ?? head) : '0-0'
    const gap = seqOf(from) < seqOf(trimmedTo) ? 'trimmed' : 'unknown'
    // It begins at the place that was asked for, which may be behind the earliest one.
    const isEarliest = anchor === undefined && entries.length > 0
    const page = isEarliest ? this.#pageOf(channel, look) : await earliest()
    return { ...page, gap, losses: gap === 'unknown' ? await this.#losses(channel) : '' }
  }

  /**
   * What has come behind an entry of each channel, in one query.
   *
   * @param names - As they are stored.
   */
  async news(
    names: readonly string[],
    after: readonly EntryId[],
    limit: PageLimit,
  ): Promise<(News | undefined)[]> {
    const what = `The look at ${names.length} channels`
    const looks = await this.#looks(what, names, after.map(seqOf), limit)
    return looks.map((look, i) => {
      const entries = look && this.#behind(names[i] as string, look, after[i] as EntryId)
      return look && { head: look.head, entries }
    })
  }

  /** @returns What comes behind an entry; undefined where the log does not have its place. */
  #behind(name: string, look: Look, after: EntryId): readonly StoredEvent[] | undefined {
    const { head, anchor, entries } = look
    if (after === head) return []
    if (after !== (anchor ?? entries[0]?.prevId ?? head)) return undefined
    return this.#chained(name, after, look)
  }

  #chained(name: string, after: EntryId | undefined, look: Look): readonly StoredEvent[] {
    const entries = chained(after, look.entries, look.head)
    if (entries.some(({ isUnreadable }) => isUnreadable)) {
      const what = `An entry of the channel ${quoteName(channelOf(name))}`
      this.#intake.drop(what, 'its readers are told')
    }
    return entries
  }

  /** @param from - For each null for the earliest entry, -n for the last n, or the `seq` of the entry before. */
  async #looks(
    what: string,
    names: readonly string[],
    from: readonly (number | null)[],
    { maxEvents, maxLength }: PageLimit,
  ): Promise<(Look | undefined)[]> {
    const text = `SELECT * FROM ${this.#schema}.pages($1, $2, $3, $4, $5, $6)`
    const values = () => [names, names.map(randomNonce), from, maxEvents, maxLength, this.#age]
    const task = { what, writes: false, text, values }
    const rows = await this.#runWhole(this.#run, task, names.length)
    // One more comes than is asked for, as it may be the one to begin behind.
    return parseLooks(rows, names.length).map((look) =>
      look === undefined ? look : { ...look, entries: look.entries.slice(0, maxEvents) },
    )
  }

  /** @param names - As they are stored. */
  async heads(names: readonly string[]): Promise<ReadonlyMap<string, StoredHead>> {
    const task = {
      what: `The look at ${names.length} channels`,
      writes: false,
      text: `SELECT * FROM ${this.#schema}.heads($1, $2, $3)`,
      values: () => [names, names.map(randomNonce), this.#age],
    }
    const run = names.length > maxSoon ? this.#run : this.#soon
    const rows = await this.#runWhole(run, task, names.length)
    return new Map(
      rows.map((row) => {
        const head = idOf(row.head) ?? unknownPlace
        return [names[Number(row.i) - 1] as string, { head, end: head }]
      }),
    )
  }

  /** See `LossHost`. */
  async look(tails: readonly KnownTail[]): Promise<readonly Looked[]> {
    const rows = await this.#run({
      what: `The look for losses in ${tails.length} channels`,
      writes: false,
      text: `SELECT * FROM ${this.#schema}.look($1, $2, $3, $4)`,
      values: () => [
        tails.map(({ channel }) => encodeChannelName(channel)),
        tails.map(({ first, nonces }) => first + nonces.length - 1),
        tails.map(({ nonces }) => nonces.at(-1)),
        tails.map((tail) => tail.ageMs()),
      ],
    })
    return rows.map(lookedOf)
  }

  /** See `LossHost`. */
  async mark(tail: KnownTail): Promise<Looked> {
    const { channel, first, nonces } = tail
    const name = encodeChannelName(channel)
    const [row] = await this.#run({
      what: `The look for losses in ${quoteName(channel)}`,
      writes: true,
      isRepeatable: true,
      text: `SELECT * FROM ${this.#schema}.mark($1, $2, $3, $4, $5, $6)`,
      values: (_attempt, leftMs) => {
        return [name, randomNonce(), lockMs(leftMs), first, nonces, tail.ageMs()]
      },
    })
    return lookedOf(row as Row)
  }

  async #losses(channel: string): Promise<string> {
    const [row] = await this.#run({
      what: `The look for losses in ${quoteName(channel)}`,
      writes: false,
      text: `SELECT array_to_string(losses, E'\\n') AS losses FROM ${this.#schema}.channel WHERE name = $1`,
      values: () => [encodeChannelName(channel)],
    })
    return typeof row?.losses === 'string' ? row.losses : ''
  }

  async #look(channel: string, from: number | null, limit: PageLimit): Promise<Look> {
    const what = `The read of ${quoteName(channel)}`
    const [look] = await this.#looks(what, [encodeChannelName(channel)], [from], limit)
    return look as Look
  }

  async #page(channel: string, from: number | null, limit: PageLimit) {
    return this.#pageOf(channel, await this.#look(channel, from, limit))
  }

  #pageOf(channel: string, look: Look): Omit<StoredPage, 'gap'> {
    const { head } = look
    const entries = this.#chained(encodeChannelName(channel), undefined, look)
    return { entries, head, end: head, losses: '' }
  }

  /** A channel may be purged after it was seen to be there, and before it was looked at: then again. */
  async #runWhole(run: Run, task: Task, count: number): Promise<readonly Row[]> {
    for (;;) {
      const rows = await run(task)
      if (new Set(rows.map(({ i }) => i)).size === count) return rows
    }
  }
}

function lookedOf({ fate, head }: Row): Looked {
  return fate === 'kept' || fate === 'absent' ? fate : { head: idOf(head) ?? unknownPlace }
}
