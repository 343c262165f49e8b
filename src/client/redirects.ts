import { EventSourceError } from './errors.js'

type Fetch = typeof globalThis.fetch

/** As many as `fetch` follows by itself. */
const maxRedirects = 20

/** What another origin may have: no more than any client would send. */
const harmless = ['accept', 'content-type', 'last-event-id']

/**
 * A `fetch` that sends headers and bodies of the application's only to the origin that they are for. Node's own takes
 * `Authorization` and cookies away where a redirect leads to another origin, and sends all else on. Browsers
 * do not tell where a redirect leads, so this is not for them.
 */
export function followingRedirects(fetch: Fetch = globalThis.fetch): Fetch {
  return async (target, given = {}) => {
    let url = new URL(String(target))
    let send = fetch
    let init = { ...given, headers: new Headers(given.headers), redirect: 'manual' as const }
    for (let count = 0; ; count++) {
      const response = await send(url.href, init)
      const { status } = response
      const location = response.headers.get('location')
      if (location === null || ![301, 302, 303, 307, 308].includes(status)) return response
      // So that its connection ends.
      response.body?.cancel().catch(() => undefined)
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined
      if (!next || !/^https?:$/.test(next.protocol) || count === maxRedirects) {
        throw refused(status, 'The redirect leads nowhere.')
      }
      const isGet = status === 303 || (status < 303 && init.method === 'POST')
      const isOther = next.origin !== url.origin
      // Not without it either: what would be answered then, nobody has asked for.
      if (isOther && !isGet && init.body) {
        throw refused(status, `A body is not sent on to another origin: ${next.origin}`)
      }
      // The application's may add a token to whatever it is given.
      if (isOther) send = globalThis.fetch
      const headers = isOther ? only(harmless, init.headers) : init.headers
      init = { ...init, headers, ...(isGet && { method: 'GET', body: null }) }
      if (isGet) headers.delete('content-type')
      url = next
    }
  }
}

function only(names: readonly string[], headers: Headers): Headers {
  return new Headers([...headers].filter(([name]) => names.includes(name)))
}

function refused(status: number, message: string): EventSourceError {
  return new EventSourceError('ERR_REDIRECT', message, { status, isFinal: true })
}
