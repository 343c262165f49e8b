import { EventStreamError, quote } from '../core/errors.js'
import type { RequestLike } from './request.js'

/**
 * Who a request belongs to. Declared as a method, so that a function of the application's own kind
 * of request will do.
 */
export type ConnectionKey = { of(req: RequestLike): string | null | undefined }['of']

export interface AdmissionOptions {
  readonly maxConnections: number
  readonly maxConnectionsPerKey: number
  readonly connectionKey?: ConnectionKey | undefined
}

/** Counts connections, in total and per key, from before they open until they are gone. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #perKey = new Map<string, number>()
  #total = 0

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** Who a request belongs to. */
  keyOf(req: RequestLike): string | undefined {
    return this.#options.connectionKey?.(req) ?? undefined
  }

  /**
   * @param key - Who it is that enters.
   * @returns What gives the place back, once; undefined when there is none.
   * @throws EventStreamError `ERR_OPTION` when it is no key: each promise would be one of its own.
   */
  enter(key: string | undefined): (() => void) | undefined {
    const { maxConnections, maxConnectionsPerKey } = this.#options
    if (typeof key === 'object') {
      throw new EventStreamError(
        'ERR_OPTION',
        `connectionKey gave ${quote(key)}; give a string, or undefined for none.`,
      )
    }
    if (this.#total >= maxConnections) return undefined
    if (key !== undefined && this.#of(key) >= maxConnectionsPerKey) return undefined
    this.#add(key, 1)
    let inside = true
    return () => {
      if (inside) this.#add(key, -1)
      inside = false
    }
  }

  #of(key: string): number {
    return this.#perKey.get(key) ?? 0
  }

  #add(key: string | undefined, by: 1 | -1): void {
    this.#total += by
    if (key === undefined) return
    const count = this.#of(key) + by
    if (count === 0) this.#perKey.delete(key)
    else this.#perKey.set(key, count)
  }
}
