import type { StreamEnd } from '../core/stream-end.js'
import type { EventStream } from '../event-stream.js'
import type { ResetReason } from '../hub/reset.js'
import type { OpenStream } from '../middleware/route-options.js'
import type { CloseReason } from './counters.js'

/** What all messages have. */
export interface ObservedMessage {
  /** Whose it is, where a process has several. */
  readonly eventStream: EventStream
}

/** A stream has opened. */
export interface ConnectionOpenMessage extends ObservedMessage {
  readonly stream: OpenStream
}

/** A stream has ended. */
export interface ConnectionCloseMessage extends ObservedMessage {
  readonly stream: OpenStream
  readonly reason: CloseReason
  /** Milliseconds that it was open. */
  readonly durationMs: number
}

/** A publish has resolved or failed. */
export interface PublishMessage extends ObservedMessage {
  readonly channel: string
  /** How many were published together. */
  readonly events: number
  /** Milliseconds until its promise settled. */
  readonly latencyMs: number
  /** Why it failed. */
  readonly error: unknown
}

/** A client has all that it missed. */
export interface ReplayMessage extends ObservedMessage {
  readonly stream: OpenStream
  /** How many it missed. */
  readonly events: number
  readonly durationMs: number
}

/** Clients were told that they cannot have what they missed. */
export interface ResetMessage extends ObservedMessage {
  readonly channels: readonly string[]
  readonly reason: ResetReason
  /** How many clients. */
  readonly connections: number
}

/** More waits for a client than `maxQueueBytes`: it reads on from the log. */
export interface BehindMessage extends ObservedMessage {
  readonly stream: OpenStream
  readonly queuedBytes: number
}

/** The log, or a GRIP proxy, did not do what was asked of it. */
export interface ErrorMessage extends ObservedMessage {
  readonly error: unknown
}

/** This process has started the source of a stream. */
export interface StreamStartMessage extends ObservedMessage {
  readonly id: string
}

/** A stream of this process has ended. */
export interface StreamEndMessage extends ObservedMessage {
  readonly id: string
  readonly state: StreamEnd
  readonly reason: string | undefined
  readonly durationMs: number
}

/** What one round of looking after silent streams has found. */
export interface GuardianRound {
  /** Streams that were asked about. */
  readonly checks: number
  /** Of these, where the answer did not come. */
  readonly checkFailures: number
  /** Streams whose producer is gone, and that were ended for it. */
  readonly orphaned: number
  /** Streams that had ended, or whose job had, as was found. */
  readonly completed: number
  readonly durationMs: number
}

export interface GuardianMessage extends ObservedMessage, GuardianRound {}

/** What comes over the channels of `node:diagnostics_channel`, by the channel's name. */
export interface ObservedMessages {
  readonly 'headwater:connection:open': ConnectionOpenMessage
  readonly 'headwater:connection:close': ConnectionCloseMessage
  readonly 'headwater:publish': PublishMessage
  readonly 'headwater:replay': ReplayMessage
  readonly 'headwater:reset': ResetMessage
  readonly 'headwater:behind': BehindMessage
  readonly 'headwater:log:error': ErrorMessage
  readonly 'headwater:proxy:error': ErrorMessage
  readonly 'headwater:stream:start': StreamStartMessage
  readonly 'headwater:stream:end': StreamEndMessage
  readonly 'headwater:guardian': GuardianMessage
}
