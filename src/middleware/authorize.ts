import { asError, EventStreamError, quote } from '../core/errors.js'

/** Routes whose function was found to return no boolean. */
const told = new WeakSet<object>()

/**
 * Asks the application whether a request has a right. Only true says so. What is no boolean is a mistake: the request
 * is refused, and the developer is told once.
 *
 * @param host - Of the route.
 * @param refuse - Makes the error of a request that has not.
 * @throws That error, also where the application has thrown what is no error; what else it throws.
 */
export async function checkRight(
  authorize: () => unknown,
  host: { onError(error: unknown): void },
  refuse: (options?: ErrorOptions) => EventStreamError,
): Promise<void> {
  let allowed: unknown
  try {
    allowed = await authorize()
  } catch (thrown) {
    throw asError(thrown) === thrown ? thrown : refuse({ cause: thrown })
  }
  if (allowed === true) return
  const refusal = refuse()
  if (allowed !== false && !told.has(host)) {
    told.add(host)
    const message =
      `authorize must return true or false, got ${quote(allowed)}: only true lets a request in. ` +
      refusal.message
    host.onError(new EventStreamError('ERR_OPTION', message))
  }
  throw refusal
}
