import type { RequestLike } from '../request.js'

/** The query parameter of a recovery link. */
const parameter = 'grip-link'

/** Milliseconds that a proxy tries again when a link is not answered, and more. */
const retriesMs = 60_000

export interface LinkOptions {
  /** Where the handler of links is, as the application sees it. By default where each client's request went. */
  readonly linkPath: string | undefined
  /** What the proxy takes away from the beginning of paths. */
  readonly basePath: string
  /** How many different links clients may be held with at once. */
  readonly maxLinks: number
  /** How often, in milliseconds, proxies ask a link. */
  readonly pollMs: number
}

/**
 * The links by which proxies ask for what their clients missed. What is asked for is not in the link, but in `Grip-Last`.
 * With a path for links, all clients of a host have the same. Otherwise it is the path of each client's own request, so
 * that one which is answered no more, as its room was deleted, is no other client's.
 *
 * Pushpin follows ten different links per second, and no event reaches a client that waits for its turn. So clients with
 * more links than that are not held.
 */
export class RecoveryLinks {
  readonly #options: LinkOptions
  /** When each was given last, the oldest first. */
  readonly #givenAt = new Map<string, number>()

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /**
   * @param req - A client's request, or a proxy's for its link, where the client's own path is.
   * @param proof - What does not fit elsewhere.
   */
  of(req: RequestLike, proof = ''): string {
    const { linkPath, basePath } = this.#options
    return `${basePath}${linkPath ?? pathOf(req)}?${parameter}=${proof}`
  }

  /** @returns Whether a client may be held with the link that `of` gives. */
  take(req: RequestLike, proof?: string): boolean {
    // The proxy asks by GET, which may be somebody else's where a client asks by POST.
    if (this.#options.linkPath === undefined && req.method !== 'GET') return false
    const { maxLinks, pollMs } = this.#options
    const link = `${req.headers.host}${this.of(req, proof)}`
    const now = performance.now()
    for (const [oldest, givenAt] of this.#givenAt) {
      if (now - givenAt < 2 * pollMs + retriesMs) break
      this.#givenAt.delete(oldest)
    }
    const isTaken = this.#givenAt.delete(link) || this.#givenAt.size < maxLinks
    if (isTaken) this.#givenAt.set(link, now)
    return isTaken
  }
}

/** @returns The proof in the link, or nothing; undefined when the request is none for a link. */
export function readLink({ url = '' }: Pick<RequestLike, 'url'>): string | undefined {
  const query = url.slice(url.indexOf('?') + 1 || url.length)
  const found = query.split('&').find((part) => part.startsWith(`${parameter}=`))
  return found?.slice(parameter.length + 1)
}

/**
 * Where a request went, before a router took away what it is mounted at. Two slashes would begin the
 * name of another server; `>`, `,` and `;` would end the link, which Pushpin takes no quotes around.
 */
function pathOf({
  originalUrl,
  url = '/',
}: RequestLike & { readonly originalUrl?: unknown }): string {
  const [path = '/'] = (typeof originalUrl === 'string' ? originalUrl : url).split('?', 1)
  return path.replace(/^[^/]*\/+/, '/').replace(/[^!$-+\--:=?-[\]-~]/g, encodeURIComponent)
}
