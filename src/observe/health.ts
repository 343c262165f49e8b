import type { LogHealth } from '../log/event-log.js'
import type { MemoryWarning } from '../memory-use.js'
import type { ProxyHealth } from '../publishers/grip/proxy.js'

/** What `health()` of an event stream tells. */
export interface Health {
  /** Whether events can be published and read, and clients are let in. */
  readonly isHealthy: boolean
  readonly isClosing: boolean
  /**
   * Which log it is, as `memory`, `redis`, `postgres` or `other`, and how it is. `warning` is there if clients may miss
   * events although it is up: the code of a process warning, which says what to do.
   */
  readonly log: LogHealth & { readonly kind: string; readonly warning?: MemoryWarning | undefined }
  /** Open streams of this process. */
  readonly connections: number
  /** Channels that they listen to. */
  readonly channels: number
  /**
   * The GRIP proxies. One that is down makes nothing unhealthy: its clients have what they missed when
   * it is back.
   */
  readonly proxies: readonly ProxyHealth[]
}

/**
 * Why something is down, in a word: the codes of an error and its causes, such as `ERR_LOG_UNAVAILABLE,
 * ECONNREFUSED`. What a message says may have an address or a password in it.
 */
export function reasonOf(error: unknown): string {
  const codes: string[] = []
  for (let at = error; typeof at === 'object' && at !== null && codes.length < 4; ) {
    const { code, name, cause } = at as Error & { readonly code?: unknown }
    at = cause
    codes.push(isWord(code) ? code : isWord(name) ? name : 'Error')
  }
  return codes.join(', ')
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^\w{1,40}$/.test(value)
}
