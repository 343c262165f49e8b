import { EventSourceError } from './errors.js'
import type { EventSourceOptions } from './options.js'

/** Options of a connection, which several users may share. */
export const connectionNames: readonly string[] = (
  'headers method body credentials withCredentials fetch position storage sendPosition minRetryMs maxRetryMs ' +
  'jitter silenceMs maxEventBytes retryOn recover shareTabs tabs'
).split(' ')

/** Of a source these are handlers, in lower case. */
export const handlerNames = ['onOpen', 'onMessage', 'onError', 'onReset', 'onEnd'] as const

/**
 * Refuses options that would be ignored.
 *
 * @param names - Those that there are.
 * @throws EventSourceError `ERR_OPTION`.
 */
export function checkOptions(
  options: EventSourceOptions,
  names: readonly string[] = [...connectionNames, ...handlerNames, 'signal', 'maxQueuedEvents'],
): void {
  for (const name in options) {
    if (!names.includes(name)) refuse(`No option "${name}". Did you mean ${hintFor(name, names)}?`)
  }
  const { storage, sendPosition = 'query', method, headers, body, credentials } = options
  for (const name of ['fetch', 'retryOn', 'recover'] as const) {
    const { [name]: given = refuse } = options
    if (typeof given !== 'function') refuse(`${name} must be a function.`)
  }
  if (storage && !Object(storage).load) refuse('storage must be storeIn(sessionStorage), or alike.')
  if (!/^(header|query)$/.test(sendPosition)) refuse("sendPosition must be 'header' or 'query'.")
  try {
    // What `fetch` refuses is no failure that passes. What a function gives is not known yet.
    new Request('http://a', {
      method,
      credentials,
      headers: typeof headers === 'function' ? {} : headers,
      body: typeof body === 'function' ? '' : body,
    } as RequestInit)
  } catch (error) {
    refuse(`${body && !method ? "body needs method: 'POST'." : error}`)
  }
}

function hintFor(name: string, names: readonly string[]): string {
  if (name === 'lastEventId') return 'position'
  const given = name.toLowerCase()
  const meant = names.filter((other) => {
    const known = other.toLowerCase()
    return known.includes(given) || given.includes(known)
  })
  return (meant[0] ? meant : names).join(', ')
}

export function refuse(message: string): never {
  throw new EventSourceError('ERR_OPTION', message)
}
