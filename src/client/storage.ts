import { refuse } from './check-options.js'

/** Where a position is kept while the page is not there. */
export interface PositionStorage {
  /** @param url - That of the stream; empty when it is a function. */
  load(url: string): string | null | undefined | Promise<string | null | undefined>
  save(url: string, position: string): void | Promise<void>
}

/** What `sessionStorage` and `localStorage` are. */
export interface WebStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

/**
 * Keeps positions in `sessionStorage`, for a page that is reloaded.
 *
 * @param storage - On a server there may be none.
 * @param key - By default `headwater ` and the address of the stream. Needed where that is a function.
 * @throws EventSourceError `ERR_OPTION`.
 */
export function storeIn(storage: WebStorage, key?: string): PositionStorage {
  if (storage && !storage.getItem)
    refuse('storeIn needs sessionStorage, or what has getItem and setItem.')
  if (typeof (key ?? '') !== 'string') refuse('The key must be a string.')
  const keyOf = (url: string) => {
    if (key === undefined && url === '') refuse('storeIn needs a key for this url.')
    return key ?? `headwater ${url}`
  }
  return {
    load: (url) => storage.getItem(keyOf(url)),
    save: (url, position) => storage.setItem(keyOf(url), position),
  }
}
