import { EventStreamError } from './errors.js'

/** Whether it says that Redis has no such database. A driver may go on in another one. */
export function isNoDatabase(error: Error | undefined): error is Error {
  return /DB index|database index|SELECT is not allowed in cluster/i.test(error?.message ?? '')
}

export function noDatabase(database: number | undefined, cause: Error): EventStreamError {
  return new EventStreamError(
    'ERR_OPTION',
    `Redis has no database ${database ?? 'of this number'}: ${cause.message}. Give the number of one that it has, such as ` +
      'redis://host/0, or set `databases` in its configuration.',
    { cause },
  )
}
