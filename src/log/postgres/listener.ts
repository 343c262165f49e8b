import { randomBytes } from 'node:crypto'
import { within } from '../../core/within.js'
import { Waiters } from '../waiters.js'
import { ask } from './answers.js'
import { StatementError } from './failure.js'
import type { Health } from './health.js'
import type { PoolInUse, PostgresClient } from './pool.js'
import { retryDelayMs } from './retry-delay.js'
import { connectBy, type Row } from './statements.js'

/** What is wrong where messages cannot come. */
export const deaf =
  'Notifications do not come over this pool, perhaps because of a pooler that gives a connection to others after each ' +
  'transaction, such as PgBouncer or Supavisor in transaction mode: events of other processes come up to half a second ' +
  'late. Give listenPool a pool, or a URL, that goes to Postgres directly.'

export interface ListenerEvents {
  notification(payload: string): void
  /** Notifications come, of what is appended from now on. */
  listening(): void
  /** They do not come any more. */
  lost(): void
}

const ignore = () => undefined

const fail = (error: Error): never => {
  throw error
}

/** How long it may take to hear oneself. */
const echoMs = 1000

/**
 * One connection that is kept for notifications, and made again whenever it is lost. Nothing is heard
 * over a pooler that gives a connection to somebody else after each transaction: so what is listened
 * to first is a notification of one's own. It is sent over another connection, since one that comes with the answer
 * to its own statement comes through such a pooler too.
 */
export class Listener {
  readonly #source: () => Promise<PoolInUse>
  readonly #channel: string
  readonly #timeoutMs: number
  /** Over another connection. */
  readonly #notify: (payload: string) => Promise<unknown>
  readonly #health: Health
  readonly #events: ListenerEvents
  readonly #waiters = new Waiters()
  readonly #echo = `?${randomBytes(12).toString('hex')}`
  readonly #aborter = new AbortController()
  #client: PostgresClient | undefined
  #lost: Promise<Error> | undefined
  #lose: (error: Error) => void = ignore
  #running: Promise<void> | undefined
  #opened: PoolInUse | undefined
  #lastError: Error | undefined
  #hears = false
  /** Statements that are not answered. */
  #asked = 0
  #isClosed = false

  constructor(
    source: () => Promise<PoolInUse>,
    { channel, timeoutMs }: { readonly channel: string; readonly timeoutMs: number },
    notify: (payload: string) => Promise<unknown>,
    health: Health,
    events: ListenerEvents,
  ) {
    this.#source = source
    this.#channel = channel
    this.#timeoutMs = timeoutMs
    this.#notify = notify
    this.#health = health
    this.#events = events
  }

  /** Whether statements can be run on it. */
  get isUp(): boolean {
    return this.#client !== undefined
  }

  /** Whether notifications come. */
  get hears(): boolean {
    return this.isUp && this.#hears
  }

  /**
   * Begins to listen, and waits until it does.
   *
   * @returns Why it does not, after so long.
   */
  async start(leftMs: number): Promise<Error | undefined> {
    this.#running ??= this.#run()
    const deadline = performance.now() + leftMs
    while (!this.isUp && !this.#isClosed) {
      const ms = deadline - performance.now()
      if (ms <= 0) return this.#lastError ?? new Error('it did not answer in time')
      await this.#waiters.wait(ms)
    }
    return undefined
  }

  /**
   * Runs a statement on this connection. One that is not answered shows that the connection is dead.
   *
   * @throws Error
   */
  async run(text: string, values: unknown[]): Promise<readonly Row[]> {
    const client = this.#client
    if (client === undefined) throw this.#lastError ?? new Error('not listening')
    return this.#ask(client, text, values)
  }

  /** Something was not heard: finds out whether anything still comes over this connection. */
  check(): void {
    this.run('SELECT 1', []).catch(ignore)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#aborter.abort()
    this.#lose(new Error('the log was closed'))
    this.#waiters.wake()
    await this.#running
    this.#opened?.pool.removeListener('error', ignore)
    await this.#opened?.end()
  }

  async #run(): Promise<void> {
    let isQuiet = false
    for (let tries = 0; !this.#isClosed; tries++) {
      if (tries > 0) await this.#waiters.wait(retryDelayMs(tries))
      try {
        await this.#listen(() => {
          tries = 0
          isQuiet = true
        })
      } catch (error) {
        this.#lastError = (error instanceof StatementError ? error.cause : error) as Error
        // One that is quiet may be closed: that is no outage, unless the next one cannot be made.
        if (!this.#isClosed && !(isQuiet && this.#asked === 0)) {
          this.#health.down('listener', this.#lastError)
        }
        isQuiet = false
      }
    }
  }

  /** @throws Error when the connection cannot be made, or is lost. */
  async #listen(onUp: () => void): Promise<void> {
    const { pool } = await this.#open()
    const deadline = performance.now() + this.#timeoutMs
    const client = await connectBy(() => pool.connect(), deadline, this.#aborter.signal)
    this.#asked = 0
    this.#lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    const lose = (error?: Error) => this.#lose(error ?? new Error('connection lost'))
    client.on('error', lose)
    client.on('end', lose)
    let hear: () => void = ignore
    const heard = new Promise<void>((resolve) => {
      hear = resolve
    })
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel !== this.#channel) return
      if (payload === this.#echo) hear()
      // Other processes listen to themselves too.
      else if (!payload.startsWith('?')) this.#events.notification(payload)
    })
    try {
      await this.#ask(client, `LISTEN ${this.#channel}`, [])
      await Promise.race([this.#notify(this.#echo), this.#lost.then(fail)])
      this.#hears = await within(heard, echoMs)
      if (this.#isClosed) return
      this.#client = client
      this.#lastError = undefined
      onUp()
      this.#health.up('listener')
      this.#waiters.wake()
      this.#events.listening()
      throw await this.#lost
    } finally {
      if (this.#client !== undefined) this.#events.lost()
      this.#client = undefined
      // It listens: nobody else should get it.
      client.release(true)
    }
  }

  async #open(): Promise<PoolInUse> {
    if (this.#opened === undefined) {
      this.#opened = await this.#source()
      this.#opened.pool.on('error', ignore)
    }
    return this.#opened
  }

  async #ask(client: PostgresClient, text: string, values: unknown[]): Promise<readonly Row[]> {
    const lose = this.#lose
    const timer = setTimeout(
      () => lose(new Error(`no answer for ${this.#timeoutMs} ms`)),
      this.#timeoutMs,
    )
    const answer = ask(client, text, values)
    this.#asked += 1
    // It may come when nobody waits any more.
    answer.catch(ignore)
    try {
      const result = await Promise.race([answer, this.#lost])
      if (result === undefined || result instanceof Error) throw result
      this.#asked -= 1
      return result
    } finally {
      clearTimeout(timer)
    }
  }
}
