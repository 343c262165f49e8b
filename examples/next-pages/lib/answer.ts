import type { Connection } from './connection'

export const maxQuestionLength = 200

/** How an answer stands, for a page: the last five are how it has ended. */
export type AnswerState =
  | 'idle'
  | 'connecting'
  | 'answering'
  | 'away'
  | 'unknown'
  | 'ended'
  | 'completed'
  | 'failed'
  | 'aborted'
  | 'orphaned'

/** What a page knows of an answer. */
export interface Answer extends Connection {
  readonly state: AnswerState
  /** What was asked, once the answer has said so. */
  readonly question: string | undefined
  readonly text: string
  /** Why a part of it is missing. */
  readonly missing: string | undefined
  /**
   * Stops it for all who read it. What has become of it comes in its stream.
   *
   * @throws Error whose message says why it could not be stopped.
   */
  stop(): Promise<void>
}
