import { inBackground, keepInBackground } from '../../background.js'
import { encodeChannelName } from '../../core/cursor.js'
import type { EntryId } from '../../core/entry-id.js'
import { EventStreamError, quote } from '../../core/errors.js'
import type { EncodedEvent } from '../../core/event.js'
import { canEnd } from '../../core/log-names.js'
import { within } from '../../core/within.js'
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
import { Intake, type IntakeLog } from '../intake.js'
import { Losses, type LossyLog } from '../losses.js'
import { randomNonce } from '../nonce.js'
import type { RegistryLog, RegistryStore } from '../registry-store.js'
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
import { Appends } from './appends.js'
import { Changes } from './changes.js'
import { messageOf } from './failure.js'
import { Followers } from './followers.js'
import { channelOf } from './format.js'
import { Health } from './health.js'
import { Link, lockMs, type Task } from './link.js'
import { deaf, Listener } from './listener.js'
import { lossHost } from './loss-host.js'
import { Notifier } from './notifier.js'
import { type PostgresEventLogOptions, resolvePostgresOptions } from './options.js'
import { PostgresRegistry } from './postgres-registry.js'
import { PostgresStreams } from './postgres-streams.js'
import { Purger } from './purger.js'
import { type News, Reads } from './reads.js'
import { purgeText } from './schema.js'
import { type Row, Statements } from './statements.js'

/** What live entries are read by. */
const livePage: PageLimit = { maxEvents: 256, maxLength: 65_536 }

/** How long `close` waits for other processes to be told of the last entries. */
const farewellMs = 500

const deafWarning = { type: 'EventStreamWarning', code: 'HEADWATER_POOLER' }

/** Without waiting for the disk: a hint that is lost in a crash is none the less found. */
const notifyText = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

/**
 * An event log in Postgres 13 or later: shared by all processes that give the same database and schema,
 * and as durable as that database is. `setUpPostgres`, or `npx headwater postgres setup`, makes its tables.
 *
 * Connects when it is first used, and comes back whenever the connection is lost. Call `ready()` at start-up to
 * connect, and to learn of what will never work.
 *
 * @throws EventStreamError `ERR_OPTION` when an option cannot work.
 */
export function postgresEventLog(
  options: PostgresEventLogOptions,
): StreamLog & RemoteLog & RegistryLog {
  const log = inBackground(() => new PostgresEventLog(options))
  keepInBackground(log.registry)
  return keepInBackground(log)
}

class PostgresEventLog implements StreamLog, RemoteLog, RegistryLog, IntakeLog, LossyLog {
  readonly intake = new Intake()
  readonly kind = 'postgres'
  readonly losses: Losses
  readonly registry: RegistryStore
  readonly #schema: string
  readonly #age: string
  readonly #timeoutMs: number
  readonly #statements: Statements
  readonly #health: Health
  readonly #link: Link
  readonly #listener: Listener
  readonly #notifier: Notifier
  readonly #followers: Followers
  readonly #reads: Reads
  readonly #changes = new Changes(() => this.losses.check())
  readonly #streams: PostgresStreams
  readonly #appends: Appends
  readonly #purger: Purger
  #ready: Promise<void> | undefined
  #hasToldDeaf = false
  #closing: Promise<void> | undefined

  constructor(options: PostgresEventLogOptions) {
    const resolved = resolvePostgresOptions(options)
    const { pool, listenPool, schema, timeoutMs, maxAgeMs } = resolved
    this.#schema = schema
    this.#age = `${maxAgeMs} milliseconds`
    this.#timeoutMs = timeoutMs
    this.#health = new Health(resolved.onHealth)
    let own: ReturnType<typeof pool> | undefined
    const shared = () => {
      own ??= pool()
      own.catch(() => {
        own = undefined
      })
      return own
    }
    const changed = () => this.#changes.add()
    this.#statements = new Statements(shared, { idleError: changed })
    this.#link = new Link(this.#statements, this.#health, resolved, { changed })
    this.#listener = new Listener(
      // Whoever runs statements ends the pool.
      listenPool ?? (() => shared().then((opened) => ({ ...opened, end: async () => undefined }))),
      { channel: schema, timeoutMs },
      (payload) =>
        this.#statements.run(notifyText, [schema, payload], performance.now() + timeoutMs),
      this.#health,
      {
        notification: this.intake.guard((payload) => this.#followers.notified(payload)),
        listening: () => {
          this.#warnIfDeaf()
          changed()
          this.#followers.check()
        },
        lost: changed,
      },
    )
    this.#notifier = new Notifier((payload) => this.#notify(payload))
    const run = (task: Task) => this.#link.run(task)
    this.#reads = new Reads(
      schema,
      this.#age,
      { run, soon: (task) => this.#soon(task) },
      this.intake,
    )
    const server = () => this.#changes.count
    const losses = new Losses(lossHost(this.#reads, server))
    this.losses = losses
    const tell = (name: string, entries: readonly StoredEvent[]) => this.#added(name, entries)
    this.#streams = new PostgresStreams(schema, { run, tell, intake: this.intake })
    const appendHost = { run, tell, losses, server }
    this.#appends = new Appends(schema, { ...resolved, age: this.#age }, appendHost)
    this.#followers = new Followers(this.#followHost(), {
      // A channel that is followed is kept by being looked at.
      pollMs: Math.min(resolved.pollIntervalMs, Math.max(10, maxAgeMs / 2)),
    })
    this.#purger = new Purger(
      () => this.#purge(),
      resolved.purgeIntervalMs,
      maxAgeMs,
      () => this.#followers.size > 0,
    )
    this.registry = new PostgresRegistry(schema, {
      run: async (task) => {
        this.#use()
        return this.#written(run(task))
      },
      keeps: (ms) => this.#purger.keeps(ms),
      intake: this.intake,
    })
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
    this.#link.start()
    return this.#health.current
  }

  async append(channel: string, entries: readonly NewEntry[]): Promise<readonly Appended[]> {
    this.#use()
    return this.#written(this.#appends.append(channel, entries))
  }

  async read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    this.#use()
    return this.losses.read(channel, from, limit)
  }

  async heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    this.#use()
    return this.losses.heads(channels)
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    this.#use()
    return this.#followers.follow(channel, listener)
  }

  async closeChannel(channel: string): Promise<void> {
    this.#use()
    const name = encodeChannelName(channel)
    const [row] = await this.#link.run({
      what: `The closing of ${quote(channel)}`,
      writes: true,
      isRepeatable: true,
      text: `SELECT ${this.#schema}.close($1, $2, $3, $4) AS status`,
      values: (_attempt, leftMs) => [name, randomNonce(), lockMs(leftMs), this.#age],
    })
    checkUnproduced(channel, row?.status === 'produced')
  }

  async claim(channel: string, claim: Claim): Promise<Claimed> {
    this.#use()
    return this.#streams.claim(channel, claim)
  }

  async produce(channel: string, production: Production): Promise<Produced> {
    this.#use()
    return this.#written(this.#streams.produce(channel, production))
  }

  async renew(leases: readonly Lease[]): Promise<readonly boolean[]> {
    this.#use()
    return this.#streams.renew(leases)
  }

  async endStream(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    this.#use()
    return this.#written(this.#streams.end(channel, ending))
  }

  async inspect(channel: string): Promise<StreamInfo | undefined> {
    this.#use()
    return this.#streams.inspect(channel)
  }

  async dropStream(channel: string): Promise<boolean> {
    this.#use()
    return this.#streams.drop(channel)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#followers.close()
    this.#purger.close()
    this.#health.close()
    this.#link.close(closedError())
    await within(this.#notifier.close(), farewellMs)
    // Where nothing answers, pools may wait for longer.
    await within(Promise.all([this.#listener.close(), this.#statements.close()]), farewellMs)
  }

  #added(name: string, added: readonly StoredEvent[]): void {
    const last = added.at(-1)
    if (last === undefined) return
    this.#followers.appended(name, added)
    this.#notifier.moved(name, last.id)
  }

  async #notify(payload: string): Promise<unknown> {
    const values = [this.#schema, payload]
    if (this.#listener.isUp) return this.#listener.run(notifyText, values)
    return this.#statements.run(notifyText, values, performance.now() + this.#timeoutMs)
  }

  #followHost() {
    const log = this
    return {
      get hears() {
        return log.#listener.hears
      },
      listening: () => this.#listening(),
      missed: () => this.#listener.check(),
      heads: (channels: readonly string[]) => this.losses.heads(channels),
      // Producers of streams find out by themselves.
      knows: (name: string, id: EntryId) =>
        canEnd(channelOf(name)) || this.losses.knows(channelOf(name), id),
      news: (names: readonly string[], after: readonly EntryId[]) => this.#news(names, after),
      intake: this.intake,
    }
  }

  /** Runs a short statement on the connection that is always open. In a pool it may wait for a new one. */
  async #soon(task: Task): Promise<readonly Row[]> {
    try {
      if (this.#listener.isUp)
        return await this.#listener.run(task.text, task.values(1, this.#timeoutMs))
    } catch {
      // The pool tells what is wrong.
    }
    return this.#link.run(task)
  }

  async #news(
    names: readonly string[],
    after: readonly EntryId[],
  ): Promise<readonly (News | undefined)[]> {
    const server = this.#changes.count
    const news = await this.#reads.news(names, after, livePage)
    for (const [i, { entries = [] } = {}] of news.entries()) {
      this.losses.delivered(channelOf(names[i] as string), entries, server)
    }
    return news
  }

  async #listening(): Promise<void> {
    const cause = await this.#listener.start(this.#timeoutMs)
    if (this.#closing !== undefined) throw closedError()
    if (cause === undefined) return
    throw new EventStreamError(
      'ERR_LOG_UNAVAILABLE',
      `The event log cannot listen for notifications: ${messageOf(cause)}. Check that its pool has a ` +
        'connection for that, which is kept.',
      { cause },
    )
  }

  async #purge(): Promise<number> {
    const text = purgeText(this.#schema)
    const values = () => []
    const [row] = await this.#link.run({ what: 'The purge', writes: true, text, values })
    return Number(row?.channels) + Number(row?.records)
  }

  /** Whether all that is needed is allowed here, and notifications come. */
  async #probe(): Promise<void> {
    const channel = `headwater.ready.${this.#appends.producer}`
    await this.append(channel, [{ data: 'ready' }])
    await this.read(channel, 'earliest', { maxEvents: 1, maxLength: 1 })
    await this.#listening()
    const text = `SELECT ${this.#schema}.forget($1)`
    const values = () => [encodeChannelName(channel)]
    await this.#link.run({ what: 'The check of Postgres', writes: false, text, values })
    if (!this.#listener.hears) throw new EventStreamError('ERR_LOG_REFUSED', deaf)
  }

  /** Once, to those who have not asked. */
  #warnIfDeaf(): void {
    if (this.#listener.hears || this.#hasToldDeaf) return
    this.#hasToldDeaf = true
    if (this.#ready === undefined) process.emitWarning(deaf, deafWarning)
  }

  /** It is kept from when it has arrived, which may be long after it was given. */
  async #written<Result>(writing: Promise<Result>): Promise<Result> {
    const result = await writing
    this.#purger.used()
    return result
  }

  #use(): void {
    if (this.#closing !== undefined) throw closedError()
    this.#purger.used()
  }
}

function closedError(): EventStreamError {
  return new EventStreamError(
    'ERR_LOG_CLOSED',
    'The event log is closed; publish and read before close().',
  )
}
