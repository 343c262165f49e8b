import { asError, EventStreamError, isLogAway, isLogClosed } from './core/errors.js'
import { isRemoteLog } from './log/event-log.js'
import type { Observer } from './observe/observer.js'
import type { ResolvedOptions } from './options.js'

/** Milliseconds after which what a store gives and nobody can read is reported again, for each thing that it is of. */
const repeatMs = 60_000

/** Messages that are remembered. */
const maxReported = 1000

/**
 * Makes what gets the errors that no caller waits for. What a log out of reach makes fail is many things, and it
 * tells of itself once; what was under way when the event stream closed is nobody's any more.
 */
export function errorReporter(
  { log, onError }: Pick<ResolvedOptions, 'log' | 'onError'>,
  observer: Observer,
  isClosing: () => boolean,
): (error: unknown) => void {
  const report = reporter(onError)
  return (thrown) => {
    if (isClosing() && isLogClosed(thrown)) return
    const error = asError(thrown)
    observer.failed(error)
    if (!isLogAway(error) || !isRemoteLog(log)) report(error)
  }
}

/** Calls a function of the application, which may throw; of what cannot be read, once for each channel and minute. */
export function reporter(onError: (error: unknown) => void): (error: unknown) => void {
  const reportedAt = new Map<string, number>()
  const isRepeated = ({ message }: Error) => {
    const now = performance.now()
    const before = reportedAt.get(message)
    if (before !== undefined && now - before < repeatMs) return true
    reportedAt.delete(message)
    reportedAt.set(message, now)
    const [oldest] = reportedAt.keys()
    if (reportedAt.size > maxReported && oldest !== undefined) reportedAt.delete(oldest)
    return false
  }
  return (error) => {
    const isOfStore = error instanceof EventStreamError && error.code === 'ERR_STORE_ENTRY'
    if (isOfStore && isRepeated(error)) return
    try {
      onError(error)
    } catch (thrown) {
      // There is nobody behind it who could be told.
      process.emitWarning(thrown instanceof Error ? thrown : String(thrown))
    }
  }
}
