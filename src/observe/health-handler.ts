import { checkNames } from '../core/options.js'
import type { EventStream } from '../event-stream.js'
import type { EventStreamHandler } from '../middleware/handler.js'
import { answering } from './answer.js'
import { type Health, reasonOf } from './health.js'
import { observed } from './observed.js'

/** Options of {@link healthHandler}. */
export interface HealthHandlerOptions {
  /**
   * Whether more than the status is told. Without, strangers may ask.
   * @defaultValue true
   */
  readonly details?: boolean | undefined
}

/** Whether new clients are served: `closing`, no more; `unavailable`, not while the log is away. */
export type HealthStatus = 'ok' | 'closing' | 'unavailable'

/** What {@link healthHandler} answers. Times are ISO 8601. */
export interface HealthAnswer {
  readonly status: HealthStatus
  readonly log?: {
    readonly kind: string
    readonly state: string
    readonly since: string
    readonly reason?: string
    readonly warning?: string
  }
  readonly connections?: number
  readonly channels?: number
  /** How many GRIP proxies are up, and down. */
  readonly proxies?: { readonly up: number; readonly down: number }
}

/**
 * A handler for health checks: `health()` of the event stream as JSON, with 200 when it is healthy, otherwise
 * 503. Of errors it tells the codes, never the messages.
 *
 * @throws EventStreamError `ERR_OPTION`.
 */
export function healthHandler(
  eventStream: EventStream,
  options: HealthHandlerOptions = {},
): EventStreamHandler {
  observed.of(eventStream)
  checkNames('healthHandler', options, ['details'])
  const { details = true } = options
  return answering(eventStream, 'healthHandler', () => {
    const health = eventStream.health()
    const status = statusOf(health)
    const told: HealthAnswer = details ? { status, ...detailsOf(health) } : { status }
    return {
      status: health.isHealthy ? 200 : 503,
      type: 'application/json; charset=utf-8',
      body: `${JSON.stringify(told)}\n`,
    }
  })
}

export function statusOf({ isHealthy, isClosing }: Health): HealthStatus {
  if (isHealthy) return 'ok'
  return isClosing ? 'closing' : 'unavailable'
}

function detailsOf({ log, connections, channels, proxies }: Health): Omit<HealthAnswer, 'status'> {
  const { kind, state, since, error, warning } = log
  const reason = error === undefined ? {} : { reason: reasonOf(error) }
  const up = proxies.filter((proxy) => proxy.state === 'up').length
  return {
    log: { kind, state, since: since.toISOString(), ...reason, ...(warning && { warning }) },
    connections,
    channels,
    proxies: { up, down: proxies.length - up },
  }
}
