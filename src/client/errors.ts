/** What went wrong, for programs. Codes are stable. `docs/client.md` says for each what it means. */
export type EventSourceErrorCode =
  | 'ERR_CONNECTION'
  | 'ERR_CONTENT_TYPE'
  | 'ERR_ENDED'
  | 'ERR_EVENT_TOO_LARGE'
  | 'ERR_OPTION'
  | 'ERR_POSITION'
  | 'ERR_REDIRECT'
  | 'ERR_SILENCE'
  | 'ERR_STATUS'
  | 'ERR_STORAGE'
  | 'ERR_STREAM'
  | 'ERR_TABS'

interface Answer {
  /** Whether the source has closed, as trying again would not help. */
  isFinal: boolean
  /** HTTP status, where the server has answered. */
  readonly status?: number | undefined
  /** The beginning of what the server has answered: 1000 characters at most. */
  readonly body?: string
  /** Milliseconds that the server wants the client to stay away, by `Retry-After`. */
  retryAfterMs?: number | undefined
}

export interface EventSourceError extends Readonly<Answer> {
  /** Stable, for programs. */
  readonly code: EventSourceErrorCode
}

/** The error class of the client. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the constructor assigns what the interface has.
export class EventSourceError extends Error {
  override readonly name = 'EventSourceError'

  constructor(
    code: EventSourceErrorCode,
    message: string,
    options?: ErrorOptions & Partial<Answer>,
  ) {
    super(message, options)
    Object.assign(this, { code, isFinal: false }, options)
  }
}

/** Whatever something failed with, as an error of the client. */
export function toError(
  cause: unknown,
  code: EventSourceErrorCode = 'ERR_CONNECTION',
): EventSourceError {
  if (cause instanceof EventSourceError) return cause
  return new EventSourceError(code, String(cause), { cause })
}
