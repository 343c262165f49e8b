import { EventStreamError } from '../../core/errors.js'

/**
 * What became of a statement that failed: `lost`, its connection broke, and nobody knows; `busy`, it
 * was not done, and may be tried again; `away`, it was not sent, as there is no connection; `refused`,
 * it was answered, and would be answered the same again.
 */
export type Failure = 'lost' | 'busy' | 'away' | 'refused'

/** A statement that failed, and what is known of it. */
export class StatementError extends Error {
  override readonly name = 'StatementError'
  readonly why: Failure

  constructor(why: Failure, cause: unknown) {
    super(messageOf(cause), { cause })
    this.why = why
  }
}

/** SQLSTATEs of what the server could not do now: locks, deadlocks, a standby that is read-only, … */
const busy = /^(?:40001|40P01|55P03|57014|25006|25P0[23])$/
/** Of a server that ends connections, which may have done what it does not tell of any more. */
const ended = /^(?:57P0[1-5]|08...)$/
/** Of one that does not let anybody in for now. Supavisor says XX000 when it has no more connections. */
const full = /^(?:53300|57P03|XX000)$/
/** PgBouncer says so by a code that means something else too. */
const noMore = /^no more connections allowed/

/** Whether it has no more connections for now, and may take another one when some are given back. */
export function isFullServer(error: unknown): boolean {
  return full.test(sqlStateOf(error) ?? '') || noMore.test(messageOf(error))
}

/** Why there is no connection. */
export function whyNotConnected(error: unknown): Failure {
  const code = sqlStateOf(error)
  return code !== undefined && !full.test(code) && !ended.test(code) ? 'refused' : 'away'
}

/** Why a statement that was sent has failed. */
export function whyFailed(error: unknown): Failure {
  const code = sqlStateOf(error)
  if (code === undefined || ended.test(code)) return 'lost'
  return busy.test(code) ? 'busy' : 'refused'
}

/** Of an error that is an answer of the server, and no other. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = Object(error) as { code?: unknown; severity?: unknown }
  return typeof code === 'string' && code.length === 5 && severity !== undefined ? code : undefined
}

export function messageOf(error: unknown): string {
  const { message, errors } = Object(error) as { message?: unknown; errors?: unknown }
  // Node tries several addresses of a host, and puts their errors into one without a message.
  if (Array.isArray(errors) && errors.length > 0) return messageOf(errors[0])
  return String(message || error)
}

/** What a refusal means to whoever has called. */
export function refused(what: string, schema: string, cause: unknown): EventStreamError {
  return new EventStreamError(
    'ERR_LOG_REFUSED',
    `${what} failed, Postgres has refused it: ${messageOf(cause)}. ${adviceFor(cause, schema)}`,
    { cause },
  )
}

function adviceFor(error: unknown, schema: string): string {
  const code = sqlStateOf(error) ?? ''
  if (/^(?:3F000|42P01|42883|42703)$/.test(code)) return `${setUpAdvice(schema)}.`
  if (code === '42501') {
    return rightsAdvice(schema)
  }
  if (/^28/.test(code)) return 'Give the right user and password.'
  if (code === '3D000') return 'Give the name of a database that exists.'
  if (/^53/.test(code)) return 'The server has no room for it: give it more, or keep less.'
  return 'Nothing was done.'
}

export function rightsAdvice(schema: string): string {
  return (
    `Allow this user to use the schema ${schema}, to execute its functions (EXECUTE), and to select, insert, update and ` +
    'delete in its tables. If these have row level security, disable it, or add policies that let this user see and change all rows.'
  )
}

export function setUpAdvice(schema: string): string {
  const option = schema === 'headwater' ? '' : ` --schema ${schema}`
  return `Set up the schema: npx headwater postgres setup --url postgres://…${option}`
}
