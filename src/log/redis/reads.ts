import { type EntryId, isEntryId } from '../../core/entry-id.js'
import { EventStreamError } from '../../core/errors.js'
import { quoteName } from '../../core/log-names.js'
import type { Gap, PageLimit, ReadFrom, StoredEvent } from '../event-log.js'
import { chained, type Intake } from '../intake.js'
import type { KnownTail } from '../known-tails.js'
import type { Looked, StoredHead, StoredPage } from '../losses.js'
import { randomNonce } from '../nonce.js'
import { type Confirmations, parseHeads } from './confirmations.js'
import type { RedisDriver } from './driver.js'
import { channelKeys, type KeyPrefix, parseStored } from './format.js'
import type { Link } from './link.js'
import type { Script, Scripts } from './scripts.js'

/** One channel's share of a script for several. */
interface Part {
  readonly keys: readonly string[]
  readonly args: readonly string[]
}

/** Reads channels, and looks whether they have what they must. */
export class Reads {
  readonly #prefix: KeyPrefix
  readonly #link: Link
  readonly #intake: Intake
  readonly #confirmations: Confirmations
  readonly #scriptsOf: (isCluster: boolean) => Scripts

  constructor(
    prefix: KeyPrefix,
    link: Link,
    intake: Intake,
    confirmations: Confirmations,
    scriptsOf: (isCluster: boolean) => Scripts,
  ) {
    this.#prefix = prefix
    this.#link = link
    this.#intake = intake
    this.#confirmations = confirmations
    this.#scriptsOf = scriptsOf
  }

  async page(channel: string, from: ReadFrom, limit: PageLimit): Promise<StoredPage> {
    const isOdd = typeof from === 'string' && from !== 'earliest' && !isEntryId(from)
    const start = isOdd ? 'earliest' : typeof from === 'string' ? from : String(from.last)
    const args = [start, String(limit.maxEvents), String(limit.maxLength), String(randomNonce())]
    const { keys } = channelKeys(this.#prefix, channel)
    const [heads, gap, others, losses, ...parts] = (await this.#link.run({
      what: `The read of ${quoteName(channel)}`,
      writes: false,
      attempt: (driver) => driver.run(this.#scriptsOf(driver.isCluster).read, keys, args),
    })) as [string, Gap | '', number, string, ...string[]]
    const { head, end } = this.#headOf(channel, heads)
    const found: StoredEvent[] = []
    for (let i = 0; i < parts.length; i += 2) {
      const entry = parseStored(parts[i] as EntryId, parts[i + 1] as string)
      if (entry !== undefined) found.push(entry)
    }
    const isBehind = start.includes('-') && gap === ''
    const entries = chained(isBehind ? start : undefined, found, head)
    const isAll = others === 0 && entries.length === parts.length / 2
    if (!isAll || entries.some(({ isUnreadable }) => isUnreadable)) this.dropped(channel)
    return { entries, gap: isOdd ? 'unknown' : gap || undefined, head, end, losses }
  }

  async heads(channels: readonly string[]): Promise<ReadonlyMap<string, StoredHead>> {
    const heads = (await this.#link.run({
      what: `The look at ${channels.length} channels`,
      writes: false,
      attempt: (driver) => {
        const { heads } = this.#scriptsOf(driver.isCluster)
        const parts = channels.map((name) => ({
          keys: channelKeys(this.#prefix, name).keys,
          args: [String(randomNonce())],
        }))
        return runForAll(driver, heads, parts)
      },
    })) as string[]
    return new Map(channels.map((name, i) => [name, this.#headOf(name, heads[i] as string)]))
  }

  /** See `LossHost`. */
  look(tails: readonly KnownTail[]): Promise<readonly Looked[]> {
    return this.#look(tails, false)
  }

  /** See `LossHost`. */
  async mark(tail: KnownTail): Promise<Looked> {
    const [looked] = await this.#look([tail], true)
    return looked as Looked
  }

  /** Something else was in a channel's stream. */
  dropped(channel: string): void {
    const what = `Something in the stream of the channel ${quoteName(channel)}`
    this.#intake.drop(what, 'it is left out, and readers who miss an entry are told')
  }

  #headOf(channel: string, text: string): StoredHead {
    const heads = parseHeads(text)
    this.#confirmations.found(channel, heads)
    return { head: heads.shown, end: heads.hidden ?? heads.shown }
  }

  async #look(tails: readonly KnownTail[], marks: boolean): Promise<readonly Looked[]> {
    const replies = (await this.#link.run({
      what: `The look for losses in ${tails.length} channels`,
      writes: marks,
      attempt: async (driver) => {
        const { connection } = this.#link
        const { mark } = this.#scriptsOf(driver.isCluster)
        const parts = tails.map(({ channel, first, nonces, ageMs }) => ({
          keys: channelKeys(this.#prefix, channel).keys.slice(0, 2),
          args: [
            marks ? String(randomNonce()) : '',
            String(first),
            nonces.join(' '),
            String(ageMs()),
          ],
        }))
        const replies = (await runForAll(driver, mark, parts)) as string[]
        if (marks) await this.#confirmMarks(driver, connection, tails, replies)
        return replies
      },
    })) as string[]
    return replies.map((reply) =>
      reply === 'kept' || reply === 'absent' ? reply : { head: reply },
    )
  }

  /** So that readers come to the mark at once. */
  async #confirmMarks(
    driver: RedisDriver,
    connection: number,
    tails: readonly KnownTail[],
    replies: readonly string[],
  ): Promise<void> {
    const marked = tails.flatMap(({ channel }, i) => {
      const head = replies[i] as string
      return isEntryId(head) ? [{ channel, head }] : []
    })
    const shown = marked.map(({ channel, head }) =>
      this.#confirmations.confirm(driver, connection, channel, 'A mark', head),
    )
    for (const result of await Promise.allSettled(shown)) {
      // Without replicas it stays hidden, and is shown by whoever looks once they are there.
      const isHidden = result.status === 'rejected' && result.reason instanceof EventStreamError
      if (result.status === 'rejected' && !isHidden) throw result.reason
    }
  }
}

/** A script's keys are in one slot of a cluster. */
async function runForAll(
  driver: RedisDriver,
  script: Script,
  parts: readonly Part[],
): Promise<unknown[]> {
  const run = (some: readonly Part[]) =>
    driver.run(
      script,
      some.flatMap(({ keys }) => keys),
      some.flatMap(({ args }) => args),
    ) as Promise<unknown[]>
  if (!driver.isCluster) return run(parts)
  return (await Promise.all(parts.map((part) => run([part])))).flat()
}
