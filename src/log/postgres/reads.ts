import { encodeChannelName } from '../../core/cursor.js'
import { type EntryId, isEntryId, seqOf } from '../../core/entry-id.js'
import { quoteName } from '../../core/log-names.js'
import type { Page, PageLimit, ReadFrom } from '../event-log.js'
import { randomNonce } from '../nonce.js'
import { type Look, parseLooks } from './format.js'
import type { Task } from './link.js'
import type { Row } from './statements.js'

/** Reads channels, which are made by being looked at. */
export class Reads {
  readonly #schema: string
  readonly #age: string
  readonly #run: (task: Task) => Promise<readonly Row[]>

  /** @param age - That of the log, as Postgres writes intervals. */
  constructor(schema: string, age: string, run: (task: Task) => Promise<readonly Row[]>) {
    this.#schema = schema
    this.#age = age
    this.#run = run
  }

  async page(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const earliest = () => this.#look(channel, null, limit)
    if (typeof from === 'object' || from === 'earliest') {
      // Of none, there is nothing behind the last that can be.
      const last = from === 'earliest' ? null : -from.last || Number.MAX_SAFE_INTEGER
      const { entries, head } = await this.#look(channel, last, limit)
      return { entries, gap: undefined, head }
    }
    if (!isEntryId(from)) return { ...pageOf(await earliest()), gap: 'unknown' }
    const look = await this.#look(channel, seqOf(from), limit)
    if (from === look.head) return { entries: [], gap: undefined, head: look.head }
    const { anchor, entries, head } = look
    if (anchor === from || (anchor === undefined && entries[0]?.prevId === from)) {
      return { entries, gap: undefined, head }
    }
    const trimmedTo = anchor === undefined ? (entries[0]?.prevId ?? head) : '0-0'
    const gap = seqOf(from) < seqOf(trimmedTo) ? 'trimmed' : 'unknown'
    // It begins at the place that was asked for, which may be behind the earliest one.
    const isEarliest = anchor === undefined && entries.length > 0
    return { ...pageOf(isEarliest ? look : await earliest()), gap }
  }

  /**
   * What is there of several channels, in one query.
   *
   * @param names - As they are stored.
   * @param from - For each null for the earliest entry, -n for the last n, or the `seq` of the entry before.
   */
  async looks(
    what: string,
    names: readonly string[],
    from: readonly (number | null)[],
    { maxEvents, maxLength }: PageLimit,
  ): Promise<(Look | undefined)[]> {
    const text = `SELECT * FROM ${this.#schema}.pages($1, $2, $3, $4, $5, $6)`
    const values = () => [names, names.map(randomNonce), from, maxEvents, maxLength, this.#age]
    const rows = await this.#runWhole({ what, writes: false, text, values }, names.length)
    // One more comes than is asked for, as it may be the one to begin behind.
    return parseLooks(rows, names.length).map((look) =>
      look === undefined ? look : { ...look, entries: look.entries.slice(0, maxEvents) },
    )
  }

  /** @param names - As they are stored. */
  async heads(names: readonly string[]): Promise<ReadonlyMap<string, EntryId>> {
    const task = {
      what: `The look at ${names.length} channels`,
      writes: false,
      text: `SELECT * FROM ${this.#schema}.heads($1, $2, $3)`,
      values: () => [names, names.map(randomNonce), this.#age],
    }
    const rows = await this.#runWhole(task, names.length)
    return new Map(rows.map(({ i, head }) => [names[Number(i) - 1] as string, head as EntryId]))
  }

  async #look(channel: string, from: number | null, limit: PageLimit): Promise<Look> {
    const what = `The read of ${quoteName(channel)}`
    const [look] = await this.looks(what, [encodeChannelName(channel)], [from], limit)
    return look as Look
  }

  /** A channel may be purged after it was seen to be there, and before it was looked at: then again. */
  async #runWhole(task: Task, count: number): Promise<readonly Row[]> {
    for (;;) {
      const rows = await this.#run(task)
      if (new Set(rows.map(({ i }) => i)).size === count) return rows
    }
  }
}

function pageOf({ entries, head }: Look): Pick<Page, 'entries' | 'head'> {
  return { entries, head }
}
