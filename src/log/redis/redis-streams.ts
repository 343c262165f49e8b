import { type EntryId, isEntryId } from '../../core/entry-id.js'
import type { EncodedEvent } from '../../core/event.js'
import { quoteName } from '../../core/log-names.js'
import { isEndId } from '../../core/stream-end.js'
import { type Intake, unreadableFrom } from '../intake.js'
import { randomNonce } from '../nonce.js'
import {
  type Claim,
  type Claimed,
  type Lease,
  type Produced,
  type Production,
  type StreamInfo,
  sharedToken,
} from '../stream-log.js'
import type { Confirmations } from './confirmations.js'
import type { RedisDriver } from './driver.js'
import { channelKeys, type KeyPrefix, packEntry, parseStored } from './format.js'
import type { Link } from './link.js'
import type { ScriptLimits } from './scripts.js'
import { type StreamScripts, streamScriptsFor } from './stream-scripts.js'

/** Leases of one command: Redis does nothing else meanwhile. */
const batch = 200

/** Beginnings have another nonce. */
const unknownPlace: EntryId = '0-0'

/** What a script tells of a stream. */
type InfoReply = readonly [
  outcome: string,
  head: EntryId,
  origin: EntryId,
  startedAt: string,
  last: string,
  token: string,
]

/**
 * Streams with one producer. A try that was lost is repeated as it was: whatever the first one did, the
 * second one finds done, since tokens and ids tell.
 */
export class RedisStreams {
  readonly #prefix: KeyPrefix
  readonly #link: Link
  readonly #intake: Intake
  readonly #confirmations: Confirmations
  readonly #scriptsOf: (isCluster: boolean) => StreamScripts
  /** For how long an answer is kept that cannot be found again elsewhere. */
  readonly #repeatMs: number

  /** @param timeoutMs - For how long a call is repeated. */
  constructor(
    prefix: KeyPrefix,
    link: Link,
    intake: Intake,
    confirmations: Confirmations,
    limits: Omit<ScriptLimits, 'isCluster'>,
    timeoutMs: number,
  ) {
    this.#prefix = prefix
    this.#link = link
    this.#intake = intake
    this.#confirmations = confirmations
    this.#repeatMs = timeoutMs + 1000
    const scripts = [false, true].map((isCluster) => streamScriptsFor({ ...limits, isCluster }))
    this.#scriptsOf = (isCluster) => scripts[Number(isCluster)] as StreamScripts
  }

  async claim(channel: string, { token, leaseMs, limits, from }: Claim): Promise<Claimed> {
    const reply = (await this.#write('claim', `The claim of ${quoteName(channel)}`, channel, [
      token,
      String(leaseMs),
      String(limits.maxAgeMs),
      String(randomNonce()),
      from?.origin ?? '',
      from?.head ?? '',
    ])) as InfoReply
    return { outcome: reply[0] as Claimed['outcome'], info: this.#infoOf(channel, reply) }
  }

  async produce(channel: string, production: Production): Promise<Produced> {
    const { token, leaseMs, limits, entries } = production
    const args = [
      token,
      String(leaseMs),
      String(limits.maxEvents),
      String(limits.maxBytes),
      String(limits.maxAgeMs),
      channelKeys(this.#prefix, channel).live,
      entries[0]?.prevId as EntryId,
    ]
    for (const entry of entries) {
      const text = packEntry(entry)
      args.push(entry.id, String(text.length), text)
    }
    const what = `The append to the stream ${quoteName(channel)}`
    const last = entries.at(-1)?.id
    const lastOf = (reply: unknown) => (reply === 'appended' ? last : undefined)
    return (await this.#write('produce', what, channel, args, lastOf)) as Produced
  }

  async renew(leases: readonly Lease[]): Promise<readonly boolean[]> {
    const replies = await this.#link.run({
      what: `The renewal of ${leases.length} leases`,
      writes: true,
      attempt: (driver) =>
        Promise.all(
          // A script's keys are in one slot.
          inBatches(leases, driver.isCluster ? 1 : batch).map((some) => this.#renew(driver, some)),
        ),
    })
    return (replies as number[][]).flat().map((holds) => holds === 1)
  }

  async end(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    const text = packEntry(ending)
    const what = `The end of the stream ${quoteName(channel)}`
    const headOf = (reply: unknown) => (reply as InfoReply | null)?.[1]
    const reply = await this.#write('end', what, channel, [String(text.length), text], headOf)
    return reply === null ? undefined : this.#infoOf(channel, reply as InfoReply)
  }

  async inspect(channel: string): Promise<StreamInfo | undefined> {
    const { keys } = channelKeys(this.#prefix, channel)
    const reply = (await this.#link.run({
      what: `The look at the stream ${quoteName(channel)}`,
      writes: false,
      attempt: (driver) => driver.run(this.#scriptsOf(driver.isCluster).inspect, keys, []),
    })) as InfoReply | null
    return reply === null ? undefined : this.#infoOf(channel, reply)
  }

  async drop(channel: string): Promise<boolean> {
    const { keys, dropped } = channelKeys(this.#prefix, channel)
    const token = String(randomNonce())
    const what = `The drop of the stream ${quoteName(channel)}`
    const reply = await this.#link.run({
      what,
      writes: true,
      attempt: async (driver, lostForMs) => {
        const { connection } = this.#link
        const args = [token, lostForMs === undefined ? '' : '1', String(this.#repeatMs)]
        const { drop } = this.#scriptsOf(driver.isCluster)
        const reply = await driver.run(drop, [...keys, dropped], args)
        await this.#confirmations.confirm(driver, connection, channel, what, undefined)
        return reply
      },
    })
    return reply === 1
  }

  /** An origin that cannot be read is a place that no log has, and an end says nothing but that it is one. */
  #infoOf(channel: string, [, head, from, startedAt, last, token]: InfoReply): StreamInfo {
    const origin = isEntryId(String(from)) ? from : unknownPlace
    const stored = isEndId(head) ? parseStored(head, last) : undefined
    const end = isEndId(head) ? (stored ?? unreadableFrom(origin, head)) : undefined
    if (origin !== from || end?.isUnreadable) {
      this.#intake.drop(
        `The state of the stream ${quoteName(channel)}`,
        'it counts as orphaned, or lost',
      )
    }
    const isShared = token === sharedToken
    return { origin, head, startedAt: Number(startedAt) || 0, end, isShared }
  }

  #renew(driver: RedisDriver, leases: readonly Lease[]): Promise<unknown> {
    const keys = leases.flatMap(({ channel }) => {
      const [stream, meta] = channelKeys(this.#prefix, channel).keys
      return [stream, meta]
    })
    const args = leases.flatMap(({ token, leaseMs }) => [token, String(leaseMs)])
    return driver.run(this.#scriptsOf(driver.isCluster).renew, keys, args)
  }

  /** @param lastOf - The last entry that was written, by the reply. */
  #write(
    name: keyof StreamScripts,
    what: string,
    channel: string,
    args: readonly string[],
    lastOf: (reply: unknown) => EntryId | undefined = () => undefined,
  ): Promise<unknown> {
    const { keys } = channelKeys(this.#prefix, channel)
    return this.#link.run({
      what,
      writes: true,
      attempt: async (driver) => {
        const { connection } = this.#link
        const reply = await driver.run(this.#scriptsOf(driver.isCluster)[name], keys, args)
        await this.#confirmations.confirm(driver, connection, channel, what, lastOf(reply))
        return reply
      },
    })
  }
}

function inBatches<Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] {
  const count = Math.ceil(items.length / size)
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size))
}
