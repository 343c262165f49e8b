import { refuse } from './check-options.js'
import type { Address, EventSourceOptions, PerRequest } from './options.js'

// What it uses of the DOM. The whole library of types would be there for all of src too.
const page = globalThis as {
  readonly document?: { readonly baseURI: string }
  readonly location?: URL
}

/** @throws EventSourceError `ERR_OPTION` when there is none; TypeError when it is none. */
export function resolveUrl(url: Address): URL {
  // A page would take them for addresses of its own.
  if (!url) refuse('Give the address of a stream.')
  return new URL(url, page.document?.baseURI ?? page.location)
}

/** Who asks: after which position, and with what. */
export interface Asker {
  readonly options: EventSourceOptions
  readonly lastEventId: string
}

/**
 * Makes one request for the stream, or for what was missed.
 *
 * @throws What the application's functions and `fetch` throw.
 */
export async function ask(
  { options, lastEventId: position }: Asker,
  url: PerRequest<Address>,
  accept: string,
  signal: AbortSignal,
): Promise<Response> {
  const { credentials, fetch = globalThis.fetch, method } = options
  const [address, given, body] = await Promise.all(
    [url, options.headers, options.body].map((value) =>
      typeof value === 'function' ? value() : value,
    ),
  )
  const target = resolveUrl(address as Address)
  const headers = new Headers(given as Headers)
  headers.set('Accept', accept)
  if (position !== '') {
    if (options.sendPosition === 'query') target.searchParams.set('lastEventId', position)
    // As browsers do: a header is bytes, and these are UTF-8.
    else headers.set('Last-Event-ID', String.fromCharCode(...new TextEncoder().encode(position)))
  }
  const init = { method, headers, body, credentials, signal, cache: 'no-store' }
  return fetch(target.href, init as RequestInit)
}
