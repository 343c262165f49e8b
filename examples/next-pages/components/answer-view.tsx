import Head from 'next/head'
import Link from 'next/link'
import type { AnswerState } from '../lib/answer'
import { useAnswer } from '../lib/use-answer'
import { useStickToEnd } from '../lib/use-stick-to-end'
import { ConnectionStatus } from './connection-status'
import { Note } from './note'
import { QuestionForm } from './question-form'
import { StopButton } from './stop-button'

const labels: Readonly<Record<AnswerState, string>> = {
  idle: 'Nothing asked yet',
  connecting: 'Connecting',
  answering: 'Answering',
  away: 'Reconnecting',
  unknown: 'No such answer',
  ended: 'Ended',
  completed: 'Completed',
  failed: 'Failed',
  aborted: 'Stopped',
  orphaned: 'Broken off: its server is gone',
}

export interface AnswerViewProps {
  /** Undefined before anything is asked. */
  readonly id: string | undefined
  /** What to ask, where there is no such answer. */
  readonly question: string | undefined
  readonly onAsk: (question: string) => void
}

/** A form to ask something, and the answer as it is written. */
export function AnswerView({ id, question, onAsk }: AnswerViewProps) {
  const answer = useAnswer(id, question)
  const { state, text, missing, error, retryInMs } = answer
  const stick = useStickToEnd<HTMLDivElement>()
  const isWritten = state === 'answering' || state === 'away'
  return (
    <>
      <Head>
        <title>Ask · headwater</title>
      </Head>
      <header className="top">
        <div>
          <h1>headwater</h1>
          <p className="tagline">
            <span>Long answers that outlive a reload.</span> <Link href="/rooms/lobby">Chat</Link>
          </p>
        </div>
        <ConnectionStatus state={state} label={labels[state]} error={error} retryInMs={retryInMs} />
      </header>
      <Note>{describeLoss(state, missing)}</Note>
      <main>
        <section className="ask" aria-labelledby="question">
          <QuestionForm isAgain={id !== undefined} onAsk={onAsk} />
          <div className="heading">
            <h2 id="question">{answer.question ?? 'Answer'}</h2>
            {id !== undefined && (
              <a id="second-tab" href={`/ask?id=${id}`} target="_blank" rel="noreferrer">
                Open in a second tab
              </a>
            )}
            {isWritten && <StopButton key={id} onStop={answer.stop} />}
          </div>
          <div
            id="answer"
            className="answer"
            role="log"
            aria-label="Answer"
            aria-live="polite"
            // It is read aloud once it is whole, and not from its beginning with each word.
            aria-busy={isWritten}
            // What scrolls must be in reach of the keyboard.
            // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
            tabIndex={0}
            {...stick}
          >
            {missing !== undefined && <mark>…</mark>}
            {text}
          </div>
        </section>
      </main>
    </>
  )
}

function describeLoss(state: AnswerState, missing: string | undefined) {
  if (state !== 'unknown' && missing === undefined) return null
  if (state === 'unknown') {
    return (
      <p>
        The server has no answer of this address: it never had one, or does not keep it any more.
      </p>
    )
  }
  return (
    <p>
      A part of this answer is missing: the server no longer has it. It said so by{' '}
      <code>stream-reset</code>: {missing}.
    </p>
  )
}
