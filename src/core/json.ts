import { EventStreamError, quote } from './errors.js'

/**
 * @param what - What it is, to begin a sentence with: `The data`.
 * @param value - Absent is `null`.
 * @throws EventStreamError `ERR_DATA` when JSON cannot hold it (a cycle, a BigInt, a function), or would keep nothing of
 *   it (a promise that nobody awaited, a Map, a Set, a RegExp, URLSearchParams).
 */
export function encodeJson(what: string, value: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value === undefined ? null : value)
  } catch (cause) {
    throw new EventStreamError(
      'ERR_DATA',
      `${what} cannot be sent as JSON: ${String((cause as Error)?.message ?? cause)}`,
      { cause },
    )
  }
  if (json === '{}' && isEmptied(value)) {
    throw new EventStreamError(
      'ERR_DATA',
      `${what} is ${quote(value)}, of which JSON would keep nothing; ` +
        'await a promise, make an array or a plain object of a Map, Set or URLSearchParams, and a text of a RegExp.',
    )
  }
  if (json !== undefined) return json
  throw new EventStreamError(
    'ERR_DATA',
    `${what} is a ${typeof value}, which JSON cannot hold; give a plain value.`,
  )
}

/** @returns undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Of an error some may publish what JSON leaves of it, in code that runs when something has failed already. */
function isEmptied(value: unknown): boolean {
  return /\[object (?:Promise|Map|Set|RegExp|URLSearchParams)\]/.test(
    Object.prototype.toString.call(value),
  )
}
