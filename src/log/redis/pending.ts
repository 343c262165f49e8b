import { EventStreamError } from '../../core/errors.js'
import { messageOf, whyFailed } from './driver.js'

/** Something that Redis is asked to do, tried until it is done, refused, or too late. */
export interface Task {
  /**
   * Tries once.
   *
   * @param lostFor - Milliseconds since the first try that was lost; undefined when none was.
   */
  attempt(lostFor: number | undefined): Promise<unknown>
  /** What its failure means, for the message: `The append to "a"`. */
  readonly what: string
  /** Whether something may have been done that nobody knows of, when it is too late. */
  readonly writes: boolean
}

/** What becomes of tasks, for their owner. */
export interface PendingEvents {
  /** Nothing was answered for `timeoutMs`. */
  onSilence(): void
  /** Something that writes was done. */
  onWritten?(): void
  /** It was refused for now. */
  onBusy?(error: Error): void
}

interface Waiting {
  readonly task: Task
  readonly startedAt: number
  lostAt: number | undefined
  lastError: unknown
  isTrying: boolean
  isSettled: boolean
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Milliseconds before a node that is busy (loading, failing over) is asked again. */
export const busyDelayMs = 100

/**
 * Tasks under way, each with a deadline. While Redis is away they wait, in order; once it has been
 * away for longer than one would wait, they fail at once.
 */
export class Pending {
  /** Whether what was refused for now holds up what writes after it. */
  keepsOrder = true
  readonly #timeoutMs: number
  readonly #maxPending: number
  readonly #events: PendingEvents
  readonly #tasks = new Set<Waiting>()
  #isUp = false
  /** Undefined before it is first used. */
  #downSince: number | undefined
  #reason: unknown
  #answeredAt = 0
  #timer: NodeJS.Timeout | undefined
  /** Something that writes was refused for now: what came behind it waits until it is done. */
  #isHeld = false
  /** Which of them shows whether it can be done. */
  #first: Waiting | undefined
  #nextTry: NodeJS.Timeout | undefined
  #closed: EventStreamError | undefined

  constructor(timeoutMs: number, maxPending: number, events: PendingEvents) {
    this.#timeoutMs = timeoutMs
    this.#maxPending = maxPending
    this.#events = events
  }

  /** Nothing waits for an answer. */
  get isIdle(): boolean {
    return this.#tasks.size === 0
  }

  /** Lets tasks go, in the order they came. */
  up(): void {
    if (this.#isUp) return
    this.#isUp = true
    this.#reason = undefined
    this.#answeredAt = performance.now()
    if (this.#isHeld) this.#goOnHeld()
    else this.#attemptAll()
  }

  down(reason: unknown): void {
    if (this.#isUp || this.#downSince === undefined) this.#downSince = performance.now()
    this.#isUp = false
    this.#reason = reason ?? this.#reason
  }

  /**
   * @throws EventStreamError `ERR_LOG_UNAVAILABLE` when it was not done in time, or too much waits;
   *   `ERR_LOG_REFUSED` when Redis has refused it.
   */
  run(task: Task): Promise<unknown> {
    const now = performance.now()
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    if (this.#tasks.size >= this.#maxPending) {
      return Promise.reject(this.#unavailable(task, `${this.#tasks.size} others wait already`))
    }
    this.#downSince ??= now
    if (!this.#isUp && now - this.#downSince >= this.#timeoutMs) {
      return Promise.reject(this.#unavailable(task, 'Redis is out of reach'))
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        task,
        startedAt: now,
        lostAt: undefined,
        lastError: undefined,
        isTrying: false,
        isSettled: false,
        resolve,
        reject,
      }
      this.#tasks.add(waiting)
      this.#timer ??= setInterval(() => this.#check(), Math.max(5, this.#timeoutMs / 20)).unref()
      if (this.#isUp && !(task.writes && this.#isHeld)) void this.#attempt(waiting)
    })
  }

  /** Fails all that waits. */
  close(error: EventStreamError): void {
    this.#closed = error
    for (const waiting of [...this.#tasks]) this.#settle(waiting, () => waiting.reject(error))
  }

  #attemptAll(): void {
    this.#isHeld = false
    this.#first = undefined
    clearTimeout(this.#nextTry)
    this.#nextTry = undefined
    for (const waiting of [...this.#tasks]) if (this.#isUp) void this.#attempt(waiting)
  }

  /** It may still be refused: sent together, the first ones might be, and those behind them not. */
  #goOnHeld(): void {
    this.#tryFirst()
    for (const waiting of [...this.#tasks]) if (!waiting.task.writes) void this.#attempt(waiting)
  }

  #tryLater(): void {
    this.#nextTry ??= setTimeout(() => this.#tryFirst(), busyDelayMs).unref()
  }

  /** Of many that were sent at once, the first ones might still be refused, and the others not. */
  #tryFirst(): void {
    this.#nextTry = undefined
    // Its answer may take longer than that.
    if (this.#first?.isTrying && !this.#first.isSettled) return
    this.#first = [...this.#tasks].find(({ task, isTrying }) => task.writes && !isTrying)
    if (this.#first === undefined) this.#isHeld = false
    else if (this.#isUp) void this.#attempt(this.#first)
  }

  async #attempt(waiting: Waiting): Promise<void> {
    if (waiting.isTrying || waiting.isSettled) return
    const { task } = waiting
    const now = performance.now()
    waiting.isTrying = true
    try {
      const lostFor = waiting.lostAt === undefined ? undefined : now - waiting.lostAt
      const result = await task.attempt(lostFor)
      this.#answeredAt = performance.now()
      if (task.writes) this.#events.onWritten?.()
      this.#settle(waiting, () => waiting.resolve(result))
      if (waiting === this.#first && this.#isUp) this.#attemptAll()
    } catch (error) {
      waiting.isTrying = false
      this.#failed(waiting, error, now)
    }
  }

  #failed(waiting: Waiting, error: unknown, triedAt: number): void {
    waiting.lastError = error
    const why = whyFailed(error)
    if (why !== 'lost') this.#answeredAt = performance.now()
    if (why === 'busy') this.#events.onBusy?.(error as Error)
    const { task } = waiting
    if (task.writes && why === 'busy' && this.keepsOrder) this.#isHeld = true
    if (task.writes && this.#isHeld) this.#tryLater()
    if (error instanceof EventStreamError) {
      this.#settle(waiting, () => waiting.reject(error))
    } else if (why === 'refused') {
      this.#settle(waiting, () => waiting.reject(refused(task, error)))
    } else if (why === 'lost' || !task.writes || !this.#isHeld) {
      if (why === 'lost') waiting.lostAt ??= triedAt
      setTimeout(() => {
        if (this.#isUp && !(task.writes && this.#isHeld)) void this.#attempt(waiting)
      }, busyDelayMs).unref()
    }
  }

  #settle(waiting: Waiting, settle: () => void): void {
    if (waiting.isSettled) return
    waiting.isSettled = true
    this.#tasks.delete(waiting)
    if (this.#tasks.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    settle()
  }

  #check(): void {
    const now = performance.now()
    const deadline = now - this.#timeoutMs
    let isLate = false
    for (const waiting of this.#tasks) {
      // Those that came later have more time.
      if (waiting.startedAt > deadline) break
      isLate = true
      const error = this.#unavailable(waiting.task, 'Redis did not answer in time', waiting)
      this.#settle(waiting, () => waiting.reject(error))
    }
    if (isLate && this.#isUp && this.#answeredAt <= deadline) this.#events.onSilence()
  }

  #unavailable(task: Task, why: string, waiting?: Waiting): EventStreamError {
    const cause = waiting?.lastError ?? this.#reason
    const reason = cause === undefined ? '' : ` (${messageOf(cause)})`
    const wasSent = task.writes && (waiting?.isTrying || waiting?.lostAt !== undefined)
    const advice = wasSent
      ? 'It may have been done all the same: try again with an idempotency key'
      : 'Nothing was done: try again later'
    return new EventStreamError(
      'ERR_LOG_UNAVAILABLE',
      `${task.what} failed: ${why}${reason}. ${advice}.`,
      {
        cause,
      },
    )
  }
}

function refused(task: Task, cause: unknown): EventStreamError {
  const [, part, reason = ''] = /^(PARTLY )?(.*)$/s.exec(messageOf(cause)) ?? []
  const done =
    part === undefined
      ? 'Nothing was done.'
      : 'It is in the log, and not all of what belongs to it was done.'
  return new EventStreamError(
    'ERR_LOG_REFUSED',
    `${task.what} failed, Redis has refused it: ${reason}. ${done}${adviceFor(reason)}`,
    { cause },
  )
}

function adviceFor(message: string): string {
  if (message.includes('WRONGTYPE')) {
    return ' A key holds something else: give the log a prefix of its own.'
  }
  if (message.startsWith('OOM')) return ' Its memory is full: raise maxmemory, or keep less.'
  if (/^(?:NOAUTH|WRONGPASS)/.test(message)) return ' Give the right user and password.'
  if (/NOPERM|executing the script can't|can't run this command|No permissions/.test(message))
    return ' Allow this user the commands, keys and pub/sub channels that PROTOCOL.md lists (such as ~{headwater:* and &{headwater:*).'
  return ''
}
