import { EventSourceError } from './errors.js'
import type { EventSourceOptions } from './options.js'

/** Options of a connection, which several users may share. */
export const connectionNames: readonly string[] = (
  'headers method body credentials fetch position storage sendPosition minRetryMs maxRetryMs silenceMs ' +
  'maxEventBytes retryOn recover shareTabs tabs'
).split(' ')

const ownNames = 'signal maxQueuedEvents onOpen onMessage onError onReset onEnd'.split(' ')

/**
 * Refuses options that would be ignored.
 *
 * @param names - Those that there are.
 * @throws EventSourceError `ERR_OPTION`.
 */
export function checkOptions(
  options: EventSourceOptions,
  names: readonly string[] = [...connectionNames, ...ownNames],
): void {
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) refuse(`No option "${name}". Did you mean ${hintFor(name, names)}?`)
  }
  const {
    fetch = refuse,
    storage,
    retryOn = refuse,
    recover = refuse,
    sendPosition = 'query',
  } = options
  if (typeof fetch !== 'function') refuse('fetch must be a function.')
  if (typeof retryOn !== 'function') refuse('retryOn must be a function.')
  if (typeof recover !== 'function') refuse('recover must be recoverFrom(address).')
  if (storage && !Object(storage).load) refuse('storage must be storeIn(sessionStorage), or alike.')
  if (!/^(header|query)$/.test(sendPosition)) refuse("sendPosition must be 'header' or 'query'.")
  const { method, headers, body, credentials } = options
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
  if (name === 'withCredentials') return "credentials: 'include'"
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
