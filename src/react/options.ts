import { checkOptions, connectionNames, refuse } from '../client/check-options.js'
import type { Address, EventSourceOptions } from '../client.js'

/** Where a stream is; nothing for none. */
export type StreamAddress = Address | null | undefined

/**
 * Of the connection, as in `createEventSource`. Components with the same address, `key` and plain values share one.
 * Of functions those that were rendered last are called, without a new connection; `storage`, `position`,
 * `recover` and `shareTabs` count when it is opened.
 */
export interface SharedOptions
  extends Omit<EventSourceOptions, 'signal' | 'maxQueuedEvents' | `on${string}`> {
  /** Tells connections to one address apart, such as by user, where `headers` is a function. */
  readonly key?: string | undefined
  /**
   * Events that are kept, the newest ones.
   * @defaultValue 100
   */
  readonly keep?: number | undefined
}

/** @returns The same for all that may share a connection; undefined for no address. */
export function keyOf(url: StreamAddress, options: SharedOptions): string | undefined {
  if (url === null || url === undefined) return undefined
  const { key, method, withCredentials, sendPosition, headers, body } = options
  const credentials = withCredentials ? 'include' : options.credentials
  const { minRetryMs, maxRetryMs, jitter, silenceMs, maxEventBytes } = options
  return JSON.stringify([
    ...[String(url), key, method, credentials, sendPosition],
    ...[minRetryMs, maxRetryMs, jitter, String(silenceMs), maxEventBytes],
    typeof headers === 'function' ? 'function' : [...new Headers(headers)],
    typeof body,
    isIterable(body) ? [...body] : body,
  ])
}

/** Bytes, parameters and forms are, which JSON knows nothing of. */
function isIterable(body: unknown): body is Iterable<unknown> {
  return typeof body === 'object' && Symbol.iterator in Object(body)
}

/**
 * @param own - Names of options that a hook has beside those of all.
 * @throws EventSourceError `ERR_OPTION`.
 */
export function checkHookOptions(options: SharedOptions, ...own: readonly string[]): void {
  checkOptions(options, [...connectionNames, 'key', 'keep', ...own])
  keepOf(options)
}

/** @throws EventSourceError `ERR_OPTION`. */
export function keepOf({ keep = 100 }: SharedOptions): number {
  return keep >= 0 ? keep : refuse('keep must be 0 or above.')
}
