import type { Connection } from './connection'
import type { Message } from './message'

/** How many messages a page keeps. */
export const maxMessages = 200

export interface ReceivedMessage extends Message {
  /** The id of the event that brought it. */
  readonly id: string
}

/** What a page knows of a room. */
export interface Room extends Connection {
  readonly state: 'connecting' | 'live' | 'away' | 'ended' | 'failed'
  /** The newest ones, oldest first. */
  readonly messages: readonly ReceivedMessage[]
  /** Why the server could not send what this page had missed. */
  readonly resetReason: string | undefined
  /** The visitor has noticed the reset. */
  noticeReset(): void
}
