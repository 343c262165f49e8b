import { messageOf } from './driver.js'

/** Milliseconds until a server that takes no writes is given up for a new connection: at once, then less and less often. */
const retryMs = { first: 100, next: 1000, most: 8000 }

export interface ReadOnlyHost {
  /** Connects anew: after a failover the old master is a replica, and another server may answer there now. */
  reconnect(): void
  /** Writes something that changes nothing. */
  probe(): Promise<unknown>
  /** That it takes writes or not is news. */
  changed(error: Error | undefined): void
}

/** Whether an error says that the server is a replica. */
export function isReadOnly(error: unknown): error is Error {
  return messageOf(error).startsWith('READONLY')
}

/**
 * Knows whether the server takes writes. From the first one that it refuses as a replica, until the first one that it
 * takes, it counts as away, however often it is connected to meanwhile.
 */
export class ReadOnly {
  readonly #host: ReadOnlyHost
  #error: Error | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(host: ReadOnlyHost) {
    this.#host = host
  }

  /** Why it takes no writes; undefined when it does. */
  get error(): Error | undefined {
    return this.#error
  }

  refused(error: Error): void {
    if (this.#error !== undefined || this.#isClosed) return
    this.#error = error
    this.#host.changed(error)
    // What is on its way to it is answered first.
    this.#tryIn(retryMs.first, retryMs.next)
  }

  written(): void {
    if (this.#error === undefined) return
    clearTimeout(this.#timer)
    this.#error = undefined
    this.#host.changed(undefined)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #tryIn(ms: number, nextMs: number): void {
    this.#timer = setTimeout(() => void this.#try(nextMs), ms).unref()
  }

  /** Nothing else may want to be written meanwhile. */
  async #try(nextMs: number): Promise<void> {
    try {
      await this.#host.probe()
      this.written()
      return
    } catch (error) {
      if (this.#error === undefined || this.#isClosed) return
      if (isReadOnly(error)) this.#host.reconnect()
    }
    this.#tryIn(nextMs * (0.75 + Math.random() / 4), Math.min(2 * nextMs, retryMs.most))
  }
}
