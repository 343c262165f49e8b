import { EventStreamError } from './core/errors.js'
import { isRemoteLog } from './log/event-log.js'
import type { Observer } from './observe/observer.js'
import type { ResolvedOptions } from './options.js'

/**
 * Makes what gets the errors that no caller waits for. What a log out of reach makes fail is many things, and it
 * tells of itself once.
 */
export function errorReporter(
  { log, onError }: Pick<ResolvedOptions, 'log' | 'onError'>,
  observer: Observer,
): (error: unknown) => void {
  return (error) => {
    observer.failed(error)
    const isKnown = error instanceof EventStreamError && error.code === 'ERR_LOG_UNAVAILABLE'
    if (isKnown && isRemoteLog(log)) return
    try {
      onError(error)
    } catch (thrown) {
      // There is nobody behind it who could be told.
      process.emitWarning(thrown instanceof Error ? thrown : String(thrown))
    }
  }
}
