import { checkOptions, refuse } from './check-options.js'
import type { EventSourceError } from './errors.js'
import type {
  ConnectionErrorEvent,
  EndEvent,
  OpenEvent,
  ResetEvent,
  StreamMessage,
} from './events.js'
import type { Recover } from './recover.js'
import type { SharedTabs } from './share-tabs.js'
import type { PositionStorage } from './storage.js'

/** A value, or what gives it anew for each request. */
export type PerRequest<Value> = Value | (() => Value | Promise<Value>)

/** Addresses as pages write them: relative ones are of the page. */
export type Address = string | URL

export type RequestBody = string | Uint8Array<ArrayBuffer> | URLSearchParams | FormData | Blob

export interface EventSourceOptions {
  /**
   * What is sent along, such as `Authorization`. In Node it does not follow a redirect to another
   * origin; of browsers see `docs/client.md`.
   */
  readonly headers?: PerRequest<Readonly<Record<string, string>> | Headers> | undefined
  /** @defaultValue 'GET' */
  readonly method?: string | undefined
  /** Of a `POST`. It is sent again with each reconnect. */
  readonly body?: PerRequest<RequestBody | undefined> | undefined
  /**
   * Whether cookies are sent to other origins.
   * @defaultValue 'same-origin'
   */
  readonly credentials?: 'omit' | 'same-origin' | 'include' | undefined
  /** As of `EventSource`: true is `credentials: 'include'`. */
  readonly withCredentials?: boolean | undefined
  /** @defaultValue The platform's. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** Closes the source. */
  readonly signal?: AbortSignal | undefined
  /**
   * Milliseconds: the first wait before a reconnect is drawn from 0 up to this, until the server names another
   * number by `retry`. Each failure doubles it.
   * @defaultValue 1000
   */
  readonly minRetryMs?: number | undefined
  /**
   * Milliseconds above which waits no longer grow, whatever the server's `retry` says.
   * @defaultValue 30_000
   */
  readonly maxRetryMs?: number | undefined
  /**
   * Whether waits are drawn at random. With false a client waits as long as the server's `retry` says, as
   * `EventSource` does, and so all clients come back at the same time.
   * @defaultValue true
   */
  readonly jitter?: boolean | undefined
  /**
   * Milliseconds without a single byte after which the connection is taken for lost. `Infinity` for
   * servers that send no keep-alive; 23 days is the longest.
   * @defaultValue 45_000, three keep-alive intervals of the server.
   */
  readonly silenceMs?: number | undefined
  /**
   * UTF-16 units of one event, as it is sent. A longer one ends the connection.
   * @defaultValue 8_388_608
   */
  readonly maxEventBytes?: number | undefined
  /**
   * Events that may wait for a `for await` loop. Past this nothing more is read from the network.
   * @defaultValue 256
   */
  readonly maxQueuedEvents?: number | undefined
  /** Where to resume, from `source.position` of another one. It counts more than `storage`. */
  readonly position?: string | undefined
  /** Keeps the position, for pages that are loaded anew. */
  readonly storage?: PositionStorage | undefined
  /**
   * How the position is sent: as the header `Last-Event-ID`, or as the parameter `lastEventId`, which
   * needs no preflight at other origins.
   * @defaultValue 'header'
   */
  readonly sendPosition?: 'header' | 'query' | undefined
  /**
   * Decides on an answer that is no stream: true asks again, false closes the source, undefined leaves
   * it to the rule. The first time it says true, the next request is made at once. The beginning of the
   * answer's body was read, and is `error.body`.
   */
  readonly retryOn?:
    | ((
        error: EventSourceError,
        response: Response,
      ) => boolean | undefined | Promise<boolean | undefined>)
    | undefined
  /**
   * `recoverFrom(address)`: what to do by `source.recover()`, and when the stream's own address says
   * 404 or 410.
   */
  readonly recover?: Recover | undefined
  /**
   * One connection for all tabs: true for all streams of the same address, or a name for those that share. The code
   * for it is loaded when the source opens.
   */
  readonly shareTabs?: SharedTabs | false | undefined
  /** `shareTabs()`: the same. */
  readonly tabs?: SharedTabs | undefined
  /** `source.onopen`, from the beginning; and so with the others. */
  readonly onOpen?: ((event: OpenEvent) => void) | undefined
  readonly onMessage?: ((event: StreamMessage) => void) | undefined
  readonly onError?: ((event: ConnectionErrorEvent) => void) | undefined
  readonly onReset?: ((event: ResetEvent) => void) | undefined
  readonly onEnd?: ((event: EndEvent) => void) | undefined
}

/** Of all limits: timers take no more milliseconds, with a day of `Retry-After` added. It is 23 days. */
const maxLimit = 2e9

const defaults = {
  minRetryMs: 1000,
  maxRetryMs: 30_000,
  silenceMs: 45_000,
  maxEventBytes: 8_388_608,
  maxQueuedEvents: 256,
}

type Limits = { [Name in keyof typeof defaults]: number }

/** Options, with numbers for all limits. */
export interface Settings extends Omit<EventSourceOptions, keyof Limits>, Readonly<Limits> {}

/** @throws EventSourceError `ERR_OPTION`. */
export function withDefaults(options: EventSourceOptions): Settings {
  checkOptions(options)
  const settings = { ...options, ...defaults }
  if (options.withCredentials) settings.credentials = 'include'
  for (const key in defaults) {
    const name = key as keyof Limits
    const limit = Math.min(options[name] ?? defaults[name], maxLimit)
    if (!(limit > 0)) refuse(`${name} must be > 0.`)
    settings[name] = limit
  }
  return settings
}
