import { refuse } from './check-options.js'
import { EventSourceError } from './errors.js'
import type { Address, EventSourceOptions, PerRequest } from './options.js'
import { page } from './page.js'

/** @throws EventSourceError `ERR_OPTION` where there is none: a page would take that for an address of its own. */
export function checkAddress(url: unknown): void {
  if (!url) refuse('Give the address of a stream.')
}

/** @throws DOMException `SyntaxError`, as of `EventSource`. */
export function resolveUrl(url: Address): URL {
  try {
    const resolved = new URL(url, page.document?.baseURI ?? page.location)
    // Chromium alone takes such names of hosts.
    if (!resolved.hostname.includes('%')) return resolved
  } catch {
    // Told below.
  }
  throw new DOMException(`Invalid URL: ${url}`, 'SyntaxError')
}

/** What `fetch` takes. Trying other schemes, or passwords, again would not help. */
const usable = /^(https?:..[^/@]+\/|data|blob)/

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
  if (!usable.test(target.href)) {
    const message = `Invalid URL, must be http: without a password: ${target.protocol}`
    throw new EventSourceError('ERR_OPTION', message, { isFinal: true })
  }
  const headers = new Headers(given as Headers)
  headers.set('Accept', accept)
  if (position !== '') {
    const { searchParams } = target
    const isInQuery = options.sendPosition === 'query'
    // What a page was rendered with is older.
    if (isInQuery || searchParams.has('lastEventId')) searchParams.set('lastEventId', position)
    // As browsers do: a header is bytes, and these are UTF-8.
    if (!isInQuery)
      headers.set('Last-Event-ID', String.fromCharCode(...new TextEncoder().encode(position)))
  }
  const init = { method, headers, body, credentials, signal, cache: 'no-store' }
  return fetch(target.href, init as RequestInit)
}
