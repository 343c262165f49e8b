import { didYouMean } from './did-you-mean.js'
import { EventStreamError, quote } from './errors.js'

/**
 * Refuses options that would be ignored: a misspelt limit is a limit that is not there.
 *
 * @param main - The option that is often given in place of all of them: a client, a pool or a URL.
 * @throws EventStreamError `ERR_OPTION` with the names that exist, or with the right call.
 */
export function checkNames(
  owner: string,
  options: object,
  known: readonly string[],
  main?: string,
): void {
  const call = main === undefined ? '' : ` Call ${owner}({ ${main} }).`
  if (typeof options !== 'object' || options === null) {
    throw new EventStreamError(
      'ERR_OPTION',
      `The options of ${owner} are ${quote(options)}.${call}`,
    )
  }
  if (main !== undefined && isInstance(options) && !known.some((name) => name in options)) {
    throw new EventStreamError(
      'ERR_OPTION',
      `The options of ${owner} must be an object such as { ${main} }, got an instance of a class without any option.${call}`,
    )
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const meant = didYouMean(unknown, known)
  const hint = meant === undefined ? '' : ` Did you mean ${quote(meant)}?`
  throw new EventStreamError(
    'ERR_OPTION',
    `${owner} has no option ${quote(unknown)}; it has ${known.join(', ')}.${hint}`,
  )
}

/** Whether it is of a class. Plain objects may be of another realm. */
function isInstance(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype !== null && Object.getPrototypeOf(prototype) !== null
}

/** @throws EventStreamError `ERR_OPTION` unless it is a whole number in the range. */
export function checkWhole(name: string, value: unknown, min: number, max = Infinity): void {
  if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) return
  const range = max === Infinity ? `of ${min} or more` : `from ${min} to ${max}`
  throw new EventStreamError(
    'ERR_OPTION',
    `${name} is ${quote(value)}; give a whole number ${range}.`,
  )
}

/** @throws EventStreamError `ERR_OPTION` unless it is absent or a function. */
export function checkFunction(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'function') return
  throw new EventStreamError('ERR_OPTION', `${name} is ${quote(value)}; give a function.`)
}

/** @throws EventStreamError `ERR_OPTION` unless it is absent or text. */
export function checkOptionalText(name: string, value: unknown): void {
  if (value === undefined || value === null || typeof value === 'string') return
  throw new EventStreamError('ERR_OPTION', `${name} is ${quote(value)}; give a string.`)
}

/** @throws EventStreamError `ERR_OPTION` unless it is one of the choices. */
export function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (choices.includes(value as string)) return
  const list = choices.map((choice) => `'${choice}'`).join(' or ')
  throw new EventStreamError('ERR_OPTION', `${name} is ${quote(value)}; give ${list}.`)
}
