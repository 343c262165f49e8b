export const maxQuestionLength = 200

/** How an answer stands, for a page: the last four are how it has ended. */
export type AnswerState =
  | 'idle'
  | 'connecting'
  | 'answering'
  | 'away'
  | 'unknown'
  | 'completed'
  | 'failed'
  | 'aborted'
  | 'orphaned'

/** What a page knows of an answer, but for its text. */
export interface Answer {
  readonly state: AnswerState
  /** What was asked, once the answer has said so. */
  readonly question: string | undefined
  /** Why a part of it is missing. */
  readonly missing: string | undefined
}
