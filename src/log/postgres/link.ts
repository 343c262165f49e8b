import { EventStreamError } from '../../core/errors.js'
import { Waiters } from '../waiters.js'
import { messageOf, refused, StatementError } from './failure.js'
import type { Health } from './health.js'
import { retryDelayMs } from './retry-delay.js'
import { checkServer, checkVersion, greeting, versionText } from './schema.js'
import type { Row, Statements } from './statements.js'

export interface LinkOptions {
  readonly schema: string
  readonly timeoutMs: number
  readonly maxPending: number
}

/** A statement that is tried until it is done, refused, or too late. */
export interface Task {
  /** What its failure means, for the message: `The append to "a"`. */
  readonly what: string
  /** Whether something may have been done that nobody knows of, when it is too late. */
  readonly writes: boolean
  /** Whether it can be done again without harm, by whoever has called. */
  readonly isRepeatable?: boolean | undefined
  readonly text: string
  /**
   * @param attempt - 1, and one more whenever the one before was lost.
   * @param leftMs - How long the answer is waited for.
   */
  values(attempt: number, leftMs: number): unknown[]
  /** Since when somebody waits for it, on the clock of `performance.now()`; by default now. */
  readonly since?: number | undefined
}

export interface LinkEvents {
  /** It may be another server that answers from now on, or the same one from before. */
  changed(): void
}

/** Milliseconds before what could not be done is tried again. */
const busyDelayMs = 20

/**
 * The way to Postgres. Statements go at once while it is there. While it is not they wait, each until its
 * deadline, and one question now and then asks whether it is back; once it has been away for longer
 * than a statement would wait, they fail at once.
 */
export class Link {
  readonly #statements: Statements
  readonly #options: LinkOptions
  readonly #health: Health
  readonly #events: LinkEvents
  readonly #waiters = new Waiters()
  readonly #sleep = new Waiters()
  #isUp = false
  /** Undefined before it is first used. */
  #downSince: number | undefined
  #lastError: unknown
  /** What it has answered instead of a greeting. */
  #refusal: EventStreamError | undefined
  #isRefused = false
  #connecting: Promise<void> | undefined
  #pending = 0
  #closed: EventStreamError | undefined

  constructor(statements: Statements, health: Health, options: LinkOptions, events: LinkEvents) {
    this.#statements = statements
    this.#health = health
    this.#options = options
    this.#events = events
  }

  /** Connects, if nothing has before. */
  start(): void {
    if (this.#downSince !== undefined || this.#closed !== undefined) return
    this.#downSince = performance.now()
    this.#connect()
  }

  /**
   * Resolves when statements can be run.
   *
   * @throws EventStreamError `ERR_LOG_UNAVAILABLE`, `ERR_LOG_REFUSED` or `ERR_OPTION`.
   */
  ready(): Promise<void> {
    this.start()
    return this.#whenUp(performance.now() + this.#options.timeoutMs, (why) => {
      const reason = this.#lastError === undefined ? why : messageOf(this.#lastError)
      const message = `The event log cannot connect to Postgres: ${reason}; check the address, and that Postgres runs there.`
      return new EventStreamError('ERR_LOG_UNAVAILABLE', message, { cause: this.#lastError })
    })
  }

  /**
   * @throws EventStreamError `ERR_LOG_UNAVAILABLE` when it was not done in time, or too much waits;
   *   `ERR_LOG_REFUSED` when Postgres has refused it.
   */
  async run(task: Task): Promise<readonly Row[]> {
    const { timeoutMs, maxPending } = this.#options
    this.start()
    const now = performance.now()
    if (this.#closed !== undefined) throw this.#closed
    if (this.#pending >= maxPending) {
      throw unavailable(task, `${this.#pending} others wait already`, undefined, false)
    }
    const isLongAway = !this.#isUp && now - (this.#downSince ?? now) >= timeoutMs
    if (isLongAway && !this.#isRefused) {
      throw unavailable(task, 'Postgres is out of reach', this.#lastError, false)
    }
    this.#pending += 1
    try {
      return await this.#try(task, (task.since ?? now) + timeoutMs)
    } finally {
      this.#pending -= 1
    }
  }

  close(error: EventStreamError): void {
    this.#closed = error
    this.#waiters.wake()
    this.#sleep.wake()
  }

  async #try(task: Task, deadline: number): Promise<readonly Row[]> {
    let attempt = 1
    let lastError: unknown
    for (;;) {
      const late = (why: string) =>
        unavailable(task, why, lastError ?? this.#lastError, task.writes && attempt > 1)
      await this.#whenUp(deadline, late)
      try {
        const values = task.values(attempt, deadline - performance.now())
        return await this.#statements.run(task.text, values, deadline)
      } catch (error) {
        if (this.#closed !== undefined) throw this.#closed
        if (!(error instanceof StatementError)) throw error
        if (error.why === 'refused') throw refused(task.what, this.#options.schema, error.cause)
        lastError = error.cause
        if (error.why === 'lost') attempt += 1
        if (error.why === 'busy') await this.#sleep.wait(busyDelayMs)
        else this.#suspect(error)
      }
    }
  }

  /** Statements wait until it has answered again. One connection may break without another. */
  #suspect(error: StatementError): void {
    this.#lastError = error.cause
    if (this.#isUp) {
      this.#isUp = false
      this.#downSince = performance.now()
    }
    this.#events.changed()
    this.#connect()
  }

  async #whenUp(deadline: number, late: (why: string) => EventStreamError): Promise<void> {
    // What it has refused may be allowed by now.
    if (this.#refusal !== undefined) {
      this.#refusal = undefined
      this.#sleep.wake()
    }
    for (;;) {
      if (this.#closed !== undefined) throw this.#closed
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) throw late('Postgres did not answer in time')
      if (this.#isUp) return
      if (this.#refusal !== undefined) throw this.#refusal
      await this.#waiters.wait(leftMs)
    }
  }

  #connect(): void {
    this.#connecting ??= this.#greetUntilUp().finally(() => {
      this.#connecting = undefined
    })
  }

  async #greetUntilUp(): Promise<void> {
    for (let tries = 0; !this.#isUp && this.#closed === undefined; tries++) {
      if (tries > 0) await this.#sleep.wait(retryDelayMs(tries), false)
      try {
        await this.#greet()
        this.#isUp = true
        this.#lastError = undefined
        this.#refusal = undefined
        this.#isRefused = false
        this.#health.up('statements')
        this.#events.changed()
      } catch (error) {
        if (this.#closed !== undefined) return
        const { cause = error } = error as Error
        this.#lastError = cause
        const isRefused = error instanceof StatementError && error.why === 'refused'
        const what = 'The look at the event log'
        if (isRefused) this.#refusal = refused(what, this.#options.schema, cause)
        else if (error instanceof EventStreamError) this.#refusal = error
        this.#isRefused = this.#refusal !== undefined
        this.#health.down('statements', this.#refusal ?? (cause as Error))
      }
      this.#waiters.wake()
    }
  }

  /** Looks at whom it talks to before anything else is sent. */
  async #greet(): Promise<void> {
    const { schema, timeoutMs } = this.#options
    const ask = (text: string) =>
      this.#statements.run(text, [], performance.now() + Math.min(timeoutMs, 5000))
    const server = ask(greeting)
    // Beside it, so that two connections are there when the first clients come.
    ask('SELECT 1').catch(() => undefined)
    checkServer((await server)[0])
    checkVersion((await ask(versionText(schema)))[0], schema)
  }
}

/** Whoever locks a channel for longer than a statement waits must not find a queue of them afterwards. */
export function lockMs(leftMs: number): number {
  return Math.max(1, Math.ceil(leftMs))
}

function unavailable(
  task: Task,
  why: string,
  cause: unknown,
  mayBeDone: boolean,
): EventStreamError {
  const reason = cause === undefined ? '' : ` (${messageOf(cause)})`
  const keyed = task.isRepeatable ? '' : ' with an idempotency key'
  const advice = mayBeDone
    ? `It may have been done all the same: try again${keyed}`
    : 'Nothing was done: try again later'
  const message = `${task.what} failed: ${why}${reason}. ${advice}.`
  return new EventStreamError('ERR_LOG_UNAVAILABLE', message, { cause })
}
