import { randomBytes } from 'node:crypto'
import { inBackground, keepInBackground } from '../../background.js'
import type { EntryId } from '../../core/entry-id.js'
import { EventStreamError } from '../../core/errors.js'
import type { EncodedEvent } from '../../core/event.js'
import { quoteName } from '../../core/log-names.js'
import type {
  Appended,
  LogHealth,
  LogListener,
  NewEntry,
  Page,
  PageLimit,
  ReadFrom,
  RemoteLog,
  StoredEvent,
} from '../event-log.js'
import { HeadLookups } from '../head-lookups.js'
import { Intake, type IntakeLog } from '../intake.js'
import { Losses, type LossyLog, type StoredHead } from '../losses.js'
import { randomNonce } from '../nonce.js'
import type { RegistryLog } from '../registry-store.js'
import {
  type Claim,
  type Claimed,
  checkUnproduced,
  type Lease,
  type Produced,
  type Production,
  type StreamInfo,
  type StreamLog,
} from '../stream-log.js'
import { Batches } from './batches.js'
import { Confirmations, lastAppended } from './confirmations.js'
import { type RedisDriver, whyFailed } from './driver.js'
import { channelKeys, type KeyPrefix, packEntry, packKey } from './format.js'
import { Link } from './link.js'
import { type RedisEventLogOptions, resolveRedisOptions } from './options.js'
import { Reads } from './reads.js'
import { RedisRegistry } from './redis-registry.js'
import { RedisStreams } from './redis-streams.js'
import { type Scripts, scriptsFor } from './scripts.js'
import { Subscriptions } from './subscriptions.js'

/**
 * How much longer than an append was lost the stream is searched for it, in milliseconds: for what
 * the clocks of a master and the replica that took its place may differ.
 */
const searchSlackMs = 5000

/** For longer than an append waits, after one was refused for a while and then sent again. */
const disorderMs = 60_000

/**
 * An event log in Redis 6.2 or later (7.0 for a cluster), or Valkey: shared by all processes that give
 * the same Redis and prefix, and as durable as that Redis is.
 *
 * Connects when it is first used, and comes back whenever the connection is lost. Call `ready()` at start-up to
 * connect, and to learn of what will never work.
 *
 * @throws EventStreamError `ERR_OPTION` when an option cannot work.
 */
export function redisEventLog(options: RedisEventLogOptions): StreamLog & RemoteLog & RegistryLog {
  const log = inBackground(() => new RedisEventLog(options))
  keepInBackground(log.registry)
  return keepInBackground(log)
}

class RedisEventLog implements StreamLog, RemoteLog, RegistryLog, IntakeLog, LossyLog {
  readonly kind = 'redis'
  readonly intake = new Intake()
  readonly losses: Losses
  readonly registry: RedisRegistry
  readonly #prefix: KeyPrefix
  readonly #link: Link
  readonly #scriptsOf: (isCluster: boolean) => Scripts
  readonly #subscriptions: Subscriptions
  readonly #batches: Batches
  readonly #confirmations: Confirmations
  readonly #reads: Reads
  readonly #streams: RedisStreams
  readonly #producer = randomBytes(6).toString('hex')
  /** Grows whenever an append may have been lost, see the script. */
  #epoch = 0
  /** Until when an append may have overtaken another one of its connection. */
  #disorderedUntil = 0
  /** Grows whenever another server may answer over the same connection, or this one from before. */
  #changes = 0
  #ready: Promise<void> | undefined
  #isClosed = false

  constructor(options: RedisEventLogOptions) {
    const { redis, prefix, maxEvents, maxBytes, maxAgeMs, pollIntervalMs, ...link } =
      resolveRedisOptions(options)
    const waits = link.waitReplicas > 0
    const limits = { maxEvents, maxBytes, maxAgeMs, waits, liveEnd: prefix.liveEnd }
    this.#prefix = prefix
    const send = (channel: string, entries: readonly NewEntry[]) => this.#append(channel, entries)
    this.#batches = new Batches(send, link)
    const scripts = [false, true].map((isCluster) => scriptsFor({ ...limits, isCluster }))
    this.#scriptsOf = (isCluster) => scripts[Number(isCluster)] as Scripts
    const host = {
      prefix,
      intake: this.intake,
      subscribe: (live: readonly string[]) => this.#link.subscribe(live),
      unsubscribe: (live: readonly string[]) => this.#link.unsubscribe(live),
      heads: (channels: readonly string[]) => this.heads(channels),
      delivered: (channel: string, entries: readonly StoredEvent[]) => {
        // While one connection is away, the other one may be to another server.
        if (this.health().state === 'up') this.losses.delivered(channel, entries)
      },
    }
    this.#subscriptions = new Subscriptions(host, { checkMs: pollIntervalMs })
    this.#link = new Link(redis, link, {
      prepare: (driver) => this.#prepare(driver),
      message: this.intake.guard((live, text) => this.#subscriptions.message(live, text)),
      resubscribe: () => this.#subscriptions.resubscribe(),
      check: async () => {
        await Promise.all([this.losses.check(), this.#subscriptions.check()])
      },
      probe: (driver) => driver.command('DEL', ...channelKeys(prefix, this.#ownChannel).keys),
    })
    this.#confirmations = new Confirmations(prefix, this.#link, this.#scriptsOf(false), waits)
    this.#reads = new Reads(prefix, this.#link, this.intake, this.#confirmations, this.#scriptsOf)
    // Redis does nothing else meanwhile, so not too many at once.
    const lookups = new HeadLookups<StoredHead>({ maxNames: 200, isInTurn: false }, (names) =>
      this.#reads.heads(names),
    )
    this.losses = new Losses({
      server: () => this.#server,
      read: (channel, from, limit) => this.#reads.page(channel, from, limit),
      heads: (channels) => lookups.heads(channels),
      look: (tails) => this.#reads.look(tails),
      mark: (tail) => this.#reads.mark(tail),
    })
    this.#streams = new RedisStreams(
      prefix,
      this.#link,
      this.intake,
      this.#confirmations,
      limits,
      link.timeoutMs,
    )
    this.registry = new RedisRegistry(prefix, this.#link, this.intake, link.timeoutMs)
  }

  ready(): Promise<void> {
    if (this.#ready === undefined) {
      this.#ready = this.#link.ready().then(() => this.#probe())
      // The next call tries again.
      this.#ready.catch(() => {
        this.#ready = undefined
      })
    }
    return this.#ready
  }

  health(): LogHealth {
    return this.#link.health()
  }

  async append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    this.#checkOpen()
    return this.#batches.append(channel, entries)
  }

  async #append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    const { keys, live } = channelKeys(this.#prefix, channel)
    const origin = String(randomNonce())
    const what = `The append to ${quoteName(channel)}`
    const packed = entries.map((entry) => {
      const text = packEntry(entry)
      const { idempotencyKey } = entry
      const key = idempotencyKey === undefined ? '' : packKey(idempotencyKey)
      return { nonces: '', rest: [key, String(text.length), text] }
    })
    let server = 0
    const reply = await this.#link.run({
      what,
      writes: true,
      attempt: async (driver, lostForMs) => {
        const { connection } = this.#link
        server = this.#server
        const { append } = this.#scriptsOf(driver.isCluster)
        const since = lostForMs === undefined ? '' : String(Math.ceil(lostForMs) + searchSlackMs)
        const isOrdered = !driver.isCluster && performance.now() > this.#disorderedUntil
        const args = [
          origin,
          live,
          this.#producer,
          String(this.#epoch),
          since,
          isOrdered ? '1' : '',
          this.losses.asks(channel),
        ]
        for (const entry of packed) {
          entry.nonces = `${randomNonce()} ${entry.nonces}`
          args.push(entry.nonces, ...entry.rest)
        }
        try {
          const answer = await driver.run(append, keys, args)
          // This one overtook a later try of an earlier append, and was not run.
          if (answer === 'fenced') throw new Error('fenced')
          await this.#confirmations.confirm(driver, connection, channel, what, lastAppended(answer))
          return answer
        } catch (error) {
          this.#noteFailure(error)
          throw error
        }
      },
    })
    checkUnproduced(channel, reply === 'produced')
    if (reply === 'closed') {
      throw new EventStreamError(
        'ERR_CHANNEL_CLOSED',
        `The channel ${quoteName(channel)} is closed and takes no more events.`,
      )
    }
    const parts = reply as string[]
    const found = parts.slice(3 * entries.length)
    if (found.includes('others')) this.#reads.dropped(channel)
    const appended = entries.map((_entry, i) => ({
      id: parts[3 * i] as EntryId,
      prevId: parts[3 * i + 1] as EntryId,
      duplicate: parts[3 * i + 2] === '1',
    }))
    this.losses.appended(channel, appended, server, found.includes('lost'))
    return appended
  }

  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    this.#checkOpen()
    return this.losses.read(channel, from, limit)
  }

  async heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    this.#checkOpen()
    return this.losses.heads(channels)
  }

  follow(channel: string, listener: LogListener): Promise<() => void> {
    return Promise.resolve().then(() => {
      this.#checkOpen()
      return this.#subscriptions.follow(channel, listener)
    })
  }

  async closeChannel(channel: string): Promise<void> {
    this.#checkOpen()
    const { keys } = channelKeys(this.#prefix, channel)
    const reply = await this.#link.run({
      what: `The closing of ${quoteName(channel)}`,
      writes: true,
      attempt: (driver) =>
        driver.run(this.#scriptsOf(driver.isCluster).close, keys, [String(randomNonce())]),
    })
    checkUnproduced(channel, reply === 'produced')
  }

  async claim(channel: string, claim: Claim): Promise<Claimed> {
    this.#checkOpen()
    return this.#streams.claim(channel, claim)
  }

  async produce(channel: string, production: Production): Promise<Produced> {
    this.#checkOpen()
    return this.#streams.produce(channel, production)
  }

  async renew(leases: readonly Lease[]): Promise<readonly boolean[]> {
    this.#checkOpen()
    return this.#streams.renew(leases)
  }

  async endStream(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    this.#checkOpen()
    return this.#streams.end(channel, ending)
  }

  async inspect(channel: string): Promise<StreamInfo | undefined> {
    this.#checkOpen()
    return this.#streams.inspect(channel)
  }

  async dropStream(channel: string): Promise<boolean> {
    this.#checkOpen()
    return this.#streams.drop(channel)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#subscriptions.close()
    this.#confirmations.close()
    this.#link.close(closedError())
  }

  /** Whether all that is needed is allowed here, and no key is something else. */
  async #probe(): Promise<void> {
    const channel = this.#ownChannel
    await this.append(channel, [{ data: 'ready' }])
    await this.read(channel, 'earliest', { maxEvents: 1, maxLength: 1 })
    const leave = await this.follow(channel, { append: () => undefined, suspect: () => undefined })
    leave()
    // Behind the look of whoever follows, which makes the channel.
    await this.heads([channel])
    await this.#link.run({
      what: 'The check of Redis',
      writes: false,
      attempt: (driver) => driver.command('DEL', ...channelKeys(this.#prefix, channel).keys),
    })
  }

  /**
   * A server that has just started, or taken the place of another one, knows no scripts. As soon as one process
   * told it of this one, later appends of others would overtake those which came too early.
   */
  async #prepare(driver: RedisDriver): Promise<void> {
    // Nodes are made ready one by one, as they are come upon.
    if (driver.isCluster) return
    await driver.command('SCRIPT', 'LOAD', this.#scriptsOf(false).append.source)
  }

  /** See `LossHost`. */
  get #server(): number {
    return this.#link.connection + this.#changes
  }

  /** Of this process, for what it finds out. */
  get #ownChannel(): string {
    return `headwater.ready.${this.#producer}`
  }

  #noteFailure(error: unknown): void {
    if (error instanceof EventStreamError) return
    const why = whyFailed(error)
    if (why !== 'refused') this.#changes += 1
    if (why === 'lost') this.#epoch += 1
    else if (why === 'busy') this.#disorderedUntil = performance.now() + disorderMs
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError()
  }
}

function closedError(): EventStreamError {
  return new EventStreamError(
    'ERR_LOG_CLOSED',
    'The event log is closed; publish and read before close().',
  )
}
