import { EventStreamError } from '../../core/errors.js'
import { messageOf } from './driver.js'

const notAllowed = /\b(?:NOAUTH|WRONGPASS|NOPERM|invalid password|ERR AUTH)\b/

/** What no waiting will mend. */
export function isHopeless(reason: string): boolean {
  return notAllowed.test(reason) || /\bENOTFOUND\b/.test(reason)
}

export function cannotConnect(cause: Error | undefined): EventStreamError {
  const reason = cause === undefined ? 'no answer' : messageOf(cause)
  const isRefused = notAllowed.test(reason)
  const advice = isRefused
    ? 'give the right user and password.'
    : 'check the URL, and that Redis runs there.'
  return new EventStreamError(
    isRefused ? 'ERR_LOG_REFUSED' : 'ERR_LOG_UNAVAILABLE',
    `The event log cannot connect to Redis: ${reason}; ${advice}`,
    { cause },
  )
}
