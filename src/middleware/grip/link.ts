import type { RequestLike } from '../request.js'

/** The query parameter of a recovery link. */
const parameter = 'grip-link'

/** Milliseconds for which one path is used. */
const pathAgeMs = 60_000

export interface LinkOptions {
  /** Where the handler of links is, as the application sees it. By default where requests go. */
  readonly linkPath: string | undefined
  /** What the proxy takes away from the beginning of paths. */
  readonly basePath: string
}

/**
 * The link by which proxies ask for what their clients missed: one for all, as Pushpin follows ten
 * different ones per second, and no event reaches a client that waits for its turn. What is asked for
 * is not in the link, but in `Grip-Last`.
 *
 * Any path that leads to the handler will do, so where there is none for links it is that of a client
 * that was served within the last minute.
 */
export class RecoveryLink {
  readonly #options: LinkOptions
  #path: string | undefined
  #since = 0

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /**
   * @param req - A request that is being answered.
   * @param proof - What does not fit elsewhere.
   */
  of(req: RequestLike, proof = ''): string {
    const { linkPath, basePath } = this.#options
    return `${basePath}${linkPath ?? this.#pathOf(req)}?${parameter}=${proof}`
  }

  #pathOf(req: RequestLike): string {
    const now = performance.now()
    if (this.#path === undefined || now - this.#since > pathAgeMs) {
      this.#path = pathOf(req)
      this.#since = now
    }
    return this.#path
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
