import { EventStreamError } from '../../core/errors.js'
import { isNoDatabase, noDatabase } from '../../core/redis-database.js'
import type { LogHealth } from '../event-log.js'
import { Waiters } from '../waiters.js'
import { messageOf, type RedisDriver, whyFailed } from './driver.js'
import { Handshakes } from './handshakes.js'
import { cannotConnect, isHopeless } from './hopeless.js'
import type { RedisModel } from './model.js'
import type { ResolvedRedisOptions } from './options.js'
import { busyDelayMs, Pending } from './pending.js'
import { isReadOnly, ReadOnly } from './read-only.js'
import { Returning } from './returning.js'
import { whyTooOld } from './version.js'

export type LinkOptions = Pick<
  ResolvedRedisOptions,
  'timeoutMs' | 'maxPending' | 'waitReplicas' | 'onHealth'
>

export interface LinkEvents {
  /** A server that may be new is there: makes ready what it needs, before anything else is sent. */
  prepare(driver: RedisDriver): Promise<unknown>
  message(live: string, text: string): void
  /** Messages come again, of nothing yet. */
  resubscribe(): Promise<void>
  /** All is there again: looks for what was lost meanwhile. */
  check(): Promise<void>
  /** Writes something that changes nothing. */
  probe(driver: RedisDriver): Promise<unknown>
}

export interface LinkTask {
  readonly what: string
  readonly writes: boolean
  attempt(driver: RedisDriver, lostForMs: number | undefined): Promise<unknown>
}

type Part = 'commands' | 'subscriber'

/**
 * The connections to Redis: what waits for them, and whether they are there. They are made when something is first asked
 * for, so that a process which only evaluates the application's modules, such as a build, has none.
 */
export class Link {
  readonly #model: RedisModel
  readonly #options: LinkOptions
  readonly #events: LinkEvents
  readonly #commands: Pending
  readonly #subscriber: Pending
  readonly #handshakes: Handshakes<Part>
  readonly #readOnly: ReadOnly
  #driver: RedisDriver | undefined
  #isUp = { commands: false, subscriber: false }
  readonly #returning: Returning<Part>
  #health: LogHealth = { state: 'connecting', since: new Date() }
  /** Why it will never work. */
  #fatal: EventStreamError | undefined
  readonly #waiters = new Waiters()
  #replicating: Promise<unknown> | undefined
  /** Grows whenever messages come again, or no more. */
  #listening = 0
  #connection = 0
  #connecting: Promise<void> | undefined
  #isClosed = false

  constructor(model: RedisModel, options: LinkOptions, events: LinkEvents) {
    this.#model = model
    this.#options = options
    this.#events = events
    const { timeoutMs, maxPending } = options
    const onSilence = (ms = timeoutMs) => this.#silent(ms)
    this.#handshakes = new Handshakes(timeoutMs, onSilence)
    this.#returning = new Returning((error) => this.#updateHealth(error))
    this.#readOnly = new ReadOnly({
      reconnect: () => {
        this.#down('commands', this.#readOnly.error)
        this.#driver?.reconnectCommands()
      },
      probe: () => this.#events.probe(this.#driver as RedisDriver),
      changed: (error) => {
        this.#updateHealth(error)
        if (error === undefined) this.#checkIfUp()
      },
    })
    this.#commands = new Pending(timeoutMs, maxPending, {
      onSilence: () => onSilence(),
      onWritten: () => this.#readOnly.written(),
      // The nodes of a cluster are the business of its package.
      onBusy: (error) => {
        if (isReadOnly(error) && !this.#driver?.isCluster) this.#readOnly.refused(error)
      },
    })
    this.#subscriber = new Pending(timeoutMs, maxPending, { onSilence: () => onSilence() })
  }

  health(): LogHealth {
    this.#start()
    return this.#health
  }

  /** @throws EventStreamError `ERR_LOG_UNAVAILABLE`, `ERR_LOG_REFUSED` or `ERR_OPTION`. */
  async ready(): Promise<void> {
    this.#start()
    const deadline = performance.now() + this.#options.timeoutMs
    for (;;) {
      if (this.#fatal !== undefined) throw this.#fatal
      if (this.#health.state === 'up') return
      const { error } = this.#health
      if (error !== undefined && isHopeless(messageOf(error))) throw cannotConnect(error)
      const left = deadline - performance.now()
      if (left <= 0) throw cannotConnect(error)
      await this.#waiters.wait(left)
    }
  }

  run(task: LinkTask): Promise<unknown> {
    return this.#run(this.#commands, task)
  }

  subscribe(live: readonly string[]): Promise<unknown> {
    return this.#run(this.#subscriber, {
      what: `The subscription to ${live.length} channels`,
      writes: false,
      attempt: (driver) => driver.subscribe(live),
    })
  }

  async unsubscribe(live: readonly string[]): Promise<unknown> {
    // A connection that is gone has no subscriptions.
    return this.#isUp.subscriber ? this.#driver?.unsubscribe(live) : undefined
  }

  /** Another number whenever the connection for commands is another one. */
  get connection(): number {
    return this.#connection
  }

  /**
   * Resolves when what was written before is on as many replicas as are asked for. All that waits
   * shares one `WAIT`, which is about its own connection: on a new one, perhaps to a new master, it
   * would tell nothing of what was written over the old one.
   *
   * @param ms - By default half of the time that an append has: what is sent behind it waits too, and must still be
   *   answered in time.
   * @throws Error when this is another connection: the write is to be tried again.
   */
  async replicated(what: string, connection: number, ms?: number): Promise<void> {
    const { waitReplicas, timeoutMs } = this.#options
    const waitMs = ms ?? Math.ceil(timeoutMs / 2)
    // One that is under way may be from before what was written.
    const before = this.#replicating
    if (before !== undefined) await before.catch(() => undefined)
    if (connection !== this.#connection) throw new Error('connection lost')
    this.#replicating ??= this.#wait(waitMs).finally(() => {
      this.#replicating = undefined
    })
    const count = Number(await this.#replicating)
    if (connection !== this.#connection) throw new Error('connection lost')
    if (count >= waitReplicas) return
    throw new EventStreamError(
      'ERR_LOG_UNAVAILABLE',
      `${what} is on ${count} replicas after ${waitMs} ms, and waitReplicas is ${waitReplicas}. ` +
        'It may have been done all the same, and is told once they have it: try again with an idempotency key.',
    )
  }

  async #wait(waitMs: number): Promise<unknown> {
    try {
      const driver = this.#driver as RedisDriver
      return await driver.command('WAIT', String(this.#options.waitReplicas), String(waitMs))
    } catch (error) {
      // A master that became a replica refuses it, but what was written before may be anywhere.
      if (/^NOPERM/.test(messageOf(error))) throw error
      throw new Error(`not known to be on replicas: ${messageOf(error)}`, { cause: error })
    }
  }

  close(error: EventStreamError): void {
    this.#isClosed = true
    this.#end(error)
    this.#waiters.wake()
  }

  #end(error: EventStreamError): void {
    this.#handshakes.close()
    this.#returning.close()
    this.#readOnly.close()
    this.#commands.close(error)
    this.#subscriber.close(error)
    this.#driver?.close()
  }

  #run(pending: Pending, { what, writes, attempt }: LinkTask): Promise<unknown> {
    this.#start()
    const moved = this.#model.check()
    if (moved !== undefined) this.#fail(moved)
    if (this.#fatal !== undefined) return Promise.reject(this.#fatal)
    return pending.run({
      what,
      writes,
      attempt: (lostForMs) => attempt(this.#driver as RedisDriver, lostForMs),
    })
  }

  #start(): void {
    if (this.#isClosed) return
    this.#connecting ??= this.#model
      .connect()
      .then((driver) => this.#open(driver))
      .catch((error: unknown) => this.#fail(error as EventStreamError))
  }

  #open(driver: RedisDriver): void {
    if (this.#isClosed) return
    if (driver.isCluster && this.#options.waitReplicas > 0) {
      const why =
        'waitReplicas is not for a cluster, where WAIT has no node to go to; leave it out.'
      this.#fail(new EventStreamError('ERR_OPTION', why))
      return
    }
    this.#driver = driver
    this.#commands.keepsOrder = !driver.isCluster
    for (const part of ['commands', 'subscriber'] as const) this.#expect(part)
    driver.open({
      message: (live, text) => this.#events.message(live, text),
      commands: (isUp, error) => {
        if (isUp) void this.#greet(driver)
        else this.#lost('commands', error)
      },
      subscriber: (isUp, error) => {
        if (isUp) this.#handshakes.done('subscriber')
        if (isUp) void this.#listen()
        else this.#lost('subscriber', error)
      },
    })
  }

  /** The nodes of a cluster are the business of its package. */
  #expect(part: Part): void {
    if (this.#isClosed || this.#fatal !== undefined || this.#driver?.isCluster) return
    this.#handshakes.begin(part)
  }

  /** Looks at whom it talks to before anything else is sent. */
  async #greet(driver: RedisDriver): Promise<void> {
    this.#expect('commands')
    try {
      const { database } = this.#model
      const [selected, asked, prepared] = await Promise.allSettled([
        // A driver may go on in another one, where it was refused.
        database === 0 ? undefined : driver.command('SELECT', String(database)),
        driver.command('INFO', 'server'),
        this.#events.prepare(driver),
      ])
      if (selected.status === 'rejected') return this.#notSelected(driver, selected.reason)
      if (prepared.status === 'rejected' && whyFailed(prepared.reason) === 'busy') {
        this.#greetLater(driver, prepared.reason)
        return
      }
      if (asked.status === 'rejected') throw asked.reason
      const tooOld = whyTooOld(String(asked.value), driver.isCluster)
      if (tooOld !== undefined) {
        this.#fail(tooOld)
        return
      }
    } catch (error) {
      // Lost again already; or not allowed to ask, which is no reason not to go on.
      if (whyFailed(error) !== 'refused') return
    }
    if (this.#isClosed) return
    this.#handshakes.done('commands')
    this.#commands.up()
    this.#up('commands')
  }

  #notSelected(driver: RedisDriver, error: Error): void {
    if (isNoDatabase(error)) this.#fail(noDatabase(this.#model.database, error))
    else if (whyFailed(error) !== 'lost') this.#greetLater(driver, error)
  }

  #lost(part: Part, error: Error | undefined): void {
    if (isNoDatabase(error)) this.#fail(noDatabase(this.#model.database, error))
    else this.#down(part, error, true)
  }

  /** It takes nothing yet, as when it loads what was stored: what waits would be done in any order. */
  #greetLater(driver: RedisDriver, error: Error): void {
    const connection = this.#connection
    this.#handshakes.done('commands')
    this.#updateHealth(error)
    setTimeout(() => {
      if (connection === this.#connection && !this.#isClosed) void this.#greet(driver)
    }, busyDelayMs).unref()
  }

  async #listen(): Promise<void> {
    if (this.#isClosed) return
    this.#listening += 1
    const listening = this.#listening
    this.#subscriber.up()
    try {
      await this.#events.resubscribe()
    } catch (error) {
      // Otherwise it was lost, and is done when it is back.
      if (listening !== this.#listening) return
      this.#updateHealth(error as Error)
      setTimeout(() => {
        if (listening === this.#listening) void this.#listen()
      }, 1000).unref()
      return
    }
    if (listening === this.#listening) this.#up('subscriber')
  }

  #up(part: Part): void {
    if (this.#isClosed) return
    this.#isUp[part] = true
    this.#returning.done(part)
    this.#updateHealth()
    this.#checkIfUp()
  }

  #checkIfUp(): void {
    const { commands, subscriber } = this.#isUp
    if (this.#health.state !== 'up' || !commands || !subscriber) return
    // Fails when the connection is lost again, and is then done again.
    this.#events.check().catch(() => undefined)
  }

  /** @param isQuiet - Whether that may be all that is wrong: it was closed, as those are for which there is nothing to do. */
  #down(part: Part, error: Error | undefined, isQuiet = false): void {
    if (this.#isClosed) return
    if (part === 'commands') this.#connection += 1
    const isIdle = isQuiet && this.#isUp[part] && this.#commands.isIdle && this.#subscriber.isIdle
    this.#isUp[part] = false
    if (part === 'subscriber') this.#listening += 1
    this.#expect(part)
    const pending = part === 'commands' ? this.#commands : this.#subscriber
    pending.down(error)
    if (isIdle) this.#returning.begin(part, error)
    else this.#returning.done(part)
    this.#updateHealth(error)
  }

  /** Connected, and nothing comes back: what is frozen may thaw, but a route may be gone for good. */
  #silent(ms: number): void {
    const error = new Error(`no answer for ${ms} ms`)
    this.#down('commands', error)
    this.#down('subscriber', error)
    this.#driver?.reconnect()
  }

  #fail(error: EventStreamError): void {
    if (this.#fatal !== undefined) return
    this.#fatal = error
    this.#end(error)
    this.#set({ state: 'down', since: new Date(), error })
  }

  #updateHealth(error?: Error): void {
    const { state, since } = this.#health
    const isThere = (part: Part) => this.#isUp[part] || this.#returning.has(part)
    if (isThere('commands') && isThere('subscriber') && this.#readOnly.error === undefined) {
      if (state !== 'up') this.#set({ state: 'up', since: new Date() }, state !== 'connecting')
    } else if (state === 'up') {
      this.#set({ state: 'down', since: new Date(), error })
    } else if (error !== undefined) {
      // Away it was already: the newest reason is kept, and only the first one is told.
      const isFirst = state === 'connecting'
      this.#set({ state: 'down', since: isFirst ? new Date() : since, error }, isFirst)
    }
  }

  #set(health: LogHealth, isNews = true): void {
    this.#health = health
    if (isNews && !this.#isClosed) this.#tell(health)
    this.#waiters.wake()
  }

  #tell(health: LogHealth): void {
    try {
      this.#options.onHealth(health)
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}
