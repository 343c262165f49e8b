import { EventStreamError } from '../../core/errors.js'
import { Waiters } from '../waiters.js'
import { ask, type Row } from './answers.js'
import { isFullServer, StatementError, sqlStateOf, whyFailed, whyNotConnected } from './failure.js'
import type { PoolInUse, PostgresClient, PostgresPool } from './pool.js'
import { retryDelayMs } from './retry-delay.js'

export type { Row } from './answers.js'

const ignore = () => undefined

export interface StatementsEvents {
  /** A connection broke that nobody used. */
  idleError(): void
}

/**
 * Runs statements on connections of a pool, each until its deadline. A connection whose statement is
 * not answered by then is closed: it may never be.
 */
export class Statements {
  readonly #source: () => Promise<PoolInUse>
  readonly #idleError: () => void
  readonly #waiting: (() => void)[] = []
  /** Ends what is under way. */
  readonly #running = new Set<(error: Error) => void>()
  #opened: Promise<PoolInUse> | undefined
  #inUse = 0
  /** Statements that have a connection. */
  #held = 0
  readonly #freed = new Waiters()
  #isClosed = false

  constructor(source: () => Promise<PoolInUse>, { idleError }: StatementsEvents) {
    this.#source = source
    this.#idleError = idleError
  }

  /**
   * Runs one statement, which is a transaction of its own.
   *
   * @param deadline - On the clock of `performance.now()`.
   * @throws StatementError What became of it; EventStreamError when there is no pool to be had.
   */
  async run(text: string, values: unknown[], deadline: number): Promise<readonly Row[]> {
    const { pool, maxConnections } = await this.#open()
    await this.#takeTurn(maxConnections, deadline)
    try {
      const client = await this.#connect(pool, deadline)
      this.#held += 1
      try {
        return await this.#query(client, text, values, deadline)
      } finally {
        this.#held -= 1
        this.#freed.wake()
      }
    } finally {
      this.#inUse -= 1
      this.#waiting.shift()?.()
    }
  }

  /** Closes connections that are in use, and the pool if it is the log's own. */
  async close(): Promise<void> {
    this.#isClosed = true
    const error = new StatementError('lost', new Error('the log was closed'))
    for (const end of [...this.#running]) end(error)
    for (const go of this.#waiting.splice(0)) go()
    const opened = await this.#opened?.catch(ignore)
    await opened?.end()
    opened?.pool.removeListener('error', this.#idleError)
  }

  #open(): Promise<PoolInUse> {
    if (this.#isClosed) throw new StatementError('away', new Error('the log was closed'))
    if (this.#opened === undefined) {
      this.#opened = this.#source().then((opened) => {
        // An idle connection that breaks would end the process; the next statement takes another one.
        opened.pool.on('error', this.#idleError)
        return opened
      })
      this.#opened.catch(() => {
        this.#opened = undefined
      })
    }
    return this.#opened
  }

  /**
   * The server, or a pooler, may have fewer connections than the pool would make: then one that we have serves another
   * statement when it is done.
   */
  async #connect(pool: PostgresPool, deadline: number): Promise<PostgresClient> {
    for (let tries = 1; ; tries++) {
      try {
        return await connectBy(() => pool.connect(), deadline)
      } catch (error) {
        const isFull = error instanceof StatementError && isFullServer(error.cause)
        if (!isFull || this.#held === 0 || this.#isClosed || msUntil(deadline) === 0) throw error
      }
      await this.#freed.wait(Math.min(retryDelayMs(tries), msUntil(deadline)))
    }
  }

  /** In the order they came. */
  async #takeTurn(max: number, deadline: number): Promise<void> {
    this.#inUse += 1
    if (this.#inUse <= max) return
    let timer: NodeJS.Timeout | undefined
    let go: () => void = ignore
    const isOnTime = await new Promise<boolean>((resolve) => {
      go = () => resolve(true)
      this.#waiting.push(go)
      timer = setTimeout(() => resolve(false), msUntil(deadline))
    })
    clearTimeout(timer)
    if (isOnTime && !this.#isClosed) return
    const index = this.#waiting.indexOf(go)
    // Whose turn it was in the same moment passes it on.
    if (index === -1) this.#waiting.shift()?.()
    else this.#waiting.splice(index, 1)
    this.#inUse -= 1
    throw new StatementError('away', new Error('all connections of the log were busy'))
  }

  #query(
    client: PostgresClient,
    text: string,
    values: unknown[],
    deadline: number,
  ): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      const end = (error: Error | undefined, rows: readonly Row[] = []) => {
        if (!this.#running.delete(end)) return
        clearTimeout(timer)
        client.removeListener('error', end)
        client.release(error !== undefined && isUnusable(error))
        if (error === undefined) resolve(rows)
        else if (error instanceof StatementError || error instanceof EventStreamError) reject(error)
        else reject(new StatementError(whyFailed(error), error))
      }
      const timer = setTimeout(
        () => end(new StatementError('lost', new Error('no answer in time'))),
        msUntil(deadline),
      )
      this.#running.add(end)
      // The query's own error follows, but where there is no listener the process ends before.
      client.on('error', end)
      ask(client, text, values).then((rows) => end(undefined, rows), end)
      if (this.#isClosed) end(new StatementError('lost', new Error('the log was closed')))
    })
  }
}

/**
 * Waits for a connection, and gives it back if it comes too late.
 *
 * @throws StatementError why there is none; EventStreamError when there will never be one.
 */
export async function connectBy(
  connect: () => Promise<PostgresClient>,
  deadline: number,
  signal?: AbortSignal,
): Promise<PostgresClient> {
  let giveUp: () => void = ignore
  const late = new Promise<undefined>((resolve) => {
    giveUp = () => resolve(undefined)
  })
  const timer = setTimeout(giveUp, msUntil(deadline))
  signal?.addEventListener('abort', giveUp)
  const connecting = connect()
  try {
    const client = await Promise.race([connecting, late])
    if (client !== undefined) return client
  } catch (error) {
    if (/after calling end/.test(String(error))) throw poolEnded(error)
    throw new StatementError(whyNotConnected(error), error)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', giveUp)
  }
  connecting.then((client) => client.release(), ignore)
  throw new StatementError('away', new Error('the pool had no connection in time'))
}

/** Whether the connection is broken, or leads to a server that is of no use. */
function isUnusable(error: Error): boolean {
  const code = sqlStateOf(error)
  return code === undefined || /^(?:25006|57P|08|25P0)/.test(code)
}

function poolEnded(cause: unknown): EventStreamError {
  return new EventStreamError(
    'ERR_LOG_UNAVAILABLE',
    'The pool of the event log was ended; close the log first.',
    { cause },
  )
}

/** A timer that is set to less prints a warning. */
function msUntil(deadline: number): number {
  return Math.max(0, deadline - performance.now())
}
