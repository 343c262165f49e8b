import { type EntryId, isEntryId, seqOf } from '../../core/entry-id.js'
import { quoteName } from '../../core/log-names.js'
import { randomNonce } from '../nonce.js'
import type { RedisDriver } from './driver.js'
import { channelKeys, type KeyPrefix } from './format.js'
import type { Link } from './link.js'
import type { Scripts } from './scripts.js'

/** Milliseconds after which hidden entries are looked at, as their publisher may have ended. */
const healMs = 1000

/** Milliseconds that this waits for replicas: what is sent behind it waits too. */
const healWaitMs = 50

/** Channels of one look. */
const maxHealed = 50

/** What a script tells of a channel's head. */
export interface Heads {
  /** The one that readers see. */
  readonly shown: EntryId
  /** The one that is hidden from them, if there is any. */
  readonly hidden: EntryId | undefined
}

export function parseHeads(text: string): Heads {
  const [shown = '', hidden] = text.split(' ')
  return { shown, hidden }
}

/** The last one of the entries that an append has added, or found, by its reply; undefined where it was refused. */
export function lastAppended(reply: unknown): EntryId | undefined {
  let last: EntryId | undefined
  if (!Array.isArray(reply)) return last
  for (let i = 0; i + 2 < reply.length; i += 3) {
    const id = String(reply[i])
    if (last === undefined || seqOf(id) > seqOf(last)) last = id
  }
  return last
}

/**
 * With `waitReplicas`, shows entries once they are on as many replicas. Until then no reader has them: what a failover
 * loses, nobody has seen. Who appends shows them; those whose publisher has ended in between are shown by
 * whoever looks at the channel next.
 */
export class Confirmations {
  readonly #prefix: KeyPrefix
  readonly #link: Link
  readonly #scripts: Scripts
  readonly #isNeeded: boolean
  /** Channels that have hidden entries, and what was shown when they were found. */
  readonly #found = new Map<string, EntryId>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(prefix: KeyPrefix, link: Link, scripts: Scripts, isNeeded: boolean) {
    this.#prefix = prefix
    this.#link = link
    this.#scripts = scripts
    this.#isNeeded = isNeeded
  }

  /**
   * Waits until what was written over a connection is on replicas, and shows it.
   *
   * @param last - The last entry that was written; undefined when none was.
   * @throws EventStreamError `ERR_LOG_UNAVAILABLE` when too few replicas have it; Error when the connection is
   *   another one by now, so that the write is to be tried again.
   */
  async confirm(
    driver: RedisDriver,
    connection: number,
    channel: string,
    what: string,
    last: EntryId | undefined,
  ): Promise<void> {
    if (!this.#isNeeded) return
    await this.#link.replicated(what, connection)
    if (last !== undefined) await this.#show(driver, connection, channel, last)
  }

  /** A look at a channel has found hidden entries. */
  found(channel: string, { shown, hidden }: Heads): void {
    if (hidden === undefined || this.#isClosed) return
    if (!this.#found.has(channel)) this.#found.set(channel, shown)
    this.#timer ??= setTimeout(() => void this.#heal(), healMs).unref()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#found.clear()
  }

  async #show(
    driver: RedisDriver,
    connection: number,
    channel: string,
    last: EntryId,
  ): Promise<void> {
    // Another server may not have it on replicas of its own.
    if (connection !== this.#link.connection) throw new Error('connection lost')
    const { keys, live } = channelKeys(this.#prefix, channel)
    await driver.run(this.#scripts.confirm, keys, [live, last])
  }

  /** Shows what nobody has shown meanwhile, if it is on replicas by now. */
  async #heal(): Promise<void> {
    const some = [...this.#found].slice(0, maxHealed)
    for (const [channel] of some) this.#found.delete(channel)
    const [first] = some.map(([channel]) => quoteName(channel))
    const what = `The look for entries of ${first} that were never shown`
    try {
      await this.#link.run({
        what,
        writes: true,
        attempt: (driver) => this.#healAll(driver, what, some),
      })
    } catch {
      // Redis is away, or has too few replicas: the next look finds them again.
    }
    this.#timer = undefined
    const [next] = this.#found
    if (next !== undefined && !this.#isClosed) {
      this.#timer = setTimeout(() => void this.#heal(), healMs).unref()
    }
  }

  async #healAll(
    driver: RedisDriver,
    what: string,
    found: readonly (readonly [channel: string, shown: EntryId])[],
  ): Promise<void> {
    const { connection } = this.#link
    // It writes as well, so that what is waited for is behind all that it tells of.
    const heads = (await driver.run(
      this.#scripts.heads,
      found.flatMap(([channel]) => channelKeys(this.#prefix, channel).keys),
      found.map(() => String(randomNonce())),
    )) as string[]
    const hidden = found.flatMap(([channel, before], i) => {
      const { shown, hidden } = parseHeads(String(heads[i]))
      // Its publishers live, where something was shown meanwhile.
      return hidden !== undefined && isEntryId(hidden) && shown === before
        ? [{ channel, hidden }]
        : []
    })
    if (hidden.length === 0) return
    await this.#link.replicated(what, connection, healWaitMs)
    await Promise.all(
      hidden.map(({ channel, hidden }) => this.#show(driver, connection, channel, hidden)),
    )
  }
}
