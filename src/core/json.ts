import { EventStreamError } from './errors.js'

/**
 * @param what - What it is, to begin a sentence with: `The data`.
 * @param value - Absent is `null`.
 * @throws EventStreamError `ERR_DATA` when JSON cannot hold it (a cycle, a BigInt, a function).
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
