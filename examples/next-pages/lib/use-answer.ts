import { type ResumableStreamState, useResumableStream } from 'headwater/react'
import type { Answer, AnswerState } from './answer'
import { stopAnswer } from './stop-answer'

interface AnswerEvents {
  readonly question: string
  readonly message: string
}

/**
 * Follows an answer for as long as the component is mounted.
 *
 * @param id - Undefined for none.
 * @param question - What to ask, where there is no such answer.
 */
export function useAnswer(id: string | undefined, question: string | undefined): Answer {
  const stream = useResumableStream<AnswerEvents>(id && addressOf(id, question), {
    // Not `stopUrl`: the server wants JSON, and says why it refuses.
    onStop: () => id && stopAnswer(id),
  })
  return {
    ...stream,
    state: stateOf(stream),
    question: stream.events.find(({ type }) => type === 'question')?.json,
  }
}

function addressOf(id: string, question: string | undefined): string {
  const asked = question === undefined ? '' : `?${new URLSearchParams({ question })}`
  return `/api/answers/${encodeURIComponent(id)}${asked}`
}

function stateOf({ status, end, error }: ResumableStreamState<AnswerEvents>): AnswerState {
  switch (status) {
    case 'open':
      return 'answering'
    case 'waiting':
      return 'away'
    case 'ended':
      return (end?.state as AnswerState | undefined) ?? 'ended'
    case 'failed':
      return error?.code === 'ERR_STATUS' ? 'unknown' : 'failed'
    default:
      return status
  }
}
