import Head from 'next/head'
import Link from 'next/link'
import { useRef } from 'react'
import type { AnswerState } from '../lib/answer'
import { useAnswer } from '../lib/use-answer'
import { QuestionForm } from './question-form'
import { StopButton } from './stop-button'

const states: Readonly<Record<AnswerState, string>> = {
  idle: 'Nothing asked yet',
  connecting: 'Connecting',
  answering: 'Answering',
  away: 'Lost contact: reconnecting',
  unknown: 'No such answer',
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
  const text = useRef<HTMLDivElement>(null)
  const answer = useAnswer(id, question, text)
  const { state } = answer
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
        <p id="status" className="status" role="status" data-state={state}>
          {states[state]}
        </p>
      </header>
      {describeLoss(state, answer.missing)}
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
            {id !== undefined && (state === 'answering' || state === 'away') && (
              <StopButton key={id} id={id} />
            )}
          </div>
          <div
            id="answer"
            className="answer"
            role="log"
            aria-label="Answer"
            aria-live="polite"
            // What scrolls must be in reach of the keyboard.
            // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
            tabIndex={0}
            ref={text}
          />
        </section>
      </main>
    </>
  )
}

function describeLoss(state: AnswerState, missing: string | undefined) {
  if (state !== 'unknown' && missing === undefined) return null
  return (
    <div id="note" className="note" role="alert">
      {state === 'unknown' ? (
        <p>
          The server has no answer of this address: it never had one, or does not keep it any more.
        </p>
      ) : (
        <p>
          A part of this answer is missing: the server no longer has it. It said so by{' '}
          <code>stream-reset</code>: {missing}.
        </p>
      )}
    </div>
  )
}
