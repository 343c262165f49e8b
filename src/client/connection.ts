import { type Attempt, type AttemptHost, attempt } from './attempt.js'
import { type EventSourceError, toError } from './errors.js'

/** What a server's `retry` is taken as at least, or it could make every client ask all the time. */
const leastRetryMs = 100

/** Milliseconds up to which those that are woken at the same time wait. */
const wakeJitterMs = 250

/** What could not be taken comes again, so having come so far is no progress. */
const recurring = /_(LARGE|STREAM)$/

/** What a connection is for. */
export interface ConnectionHost extends AttemptHost {
  /** Is awaited before anything else. */
  prepare(): Promise<void>
  /** An attempt has failed. The host stops the connection if the error is final. */
  failed(error: EventSourceError, retryInMs: number): Promise<void>
}

export interface Connection {
  stop(): void
  /** Tries at once if it waits, and looks whether it still hears something. */
  wake(): void
}

/** Asks for a stream, and for ever again, until it is stopped. */
export function connect(host: ConnectionHost): Connection {
  const { minRetryMs, maxRetryMs, jitter = true } = host.options
  let isStopped = false
  let current: Attempt | undefined
  let failures = 0
  /** How often the application has decided that it is worth another try. */
  let retries = 0
  let retryMs = minRetryMs
  let timer: ReturnType<typeof setTimeout>
  /** Ends the wait under way, if it may be woken. */
  let goOn: (() => void) | undefined

  const setTimer = (ms: number, run: () => void) => {
    clearTimeout(timer)
    timer = setTimeout(run, ms)
  }
  const waitAfter = ({ retryAfterMs }: EventSourceError) => {
    const most = Math.min(retryMs * 2 ** failures++, maxRetryMs)
    if (retryAfterMs === 0 && !retries++) return 0
    const spread = jitter ? Math.random() * most : 0
    return retryAfterMs === undefined ? most - spread : retryAfterMs + spread
  }
  const onProgress = () => {
    failures = 0
    retries = 0
  }
  const onRetry = (ms: number) => {
    retryMs = Math.max(ms, leastRetryMs)
  }
  const run = async () => {
    await host.prepare()
    while (!isStopped) {
      const before = failures
      current = attempt(host, setTimer, onProgress, onRetry)
      const error = await current.over.catch(toError)
      current.stop()
      if (isStopped) return
      if (recurring.test(error.code)) failures = before
      const waitMs = waitAfter(error)
      await host.failed(error, waitMs)
      if (isStopped) return
      await new Promise<void>((resolve) => {
        if (error.retryAfterMs === undefined) goOn = resolve
        setTimer(waitMs, resolve)
      })
      goOn = undefined
    }
  }

  void run()
  return {
    stop() {
      isStopped = true
      clearTimeout(timer)
      current?.stop()
    },
    wake() {
      if (goOn) setTimer(Math.random() * wakeJitterMs, goOn)
      else current?.wake()
    },
  }
}
