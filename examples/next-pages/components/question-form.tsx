import { type FormEvent, useState } from 'react'
import { maxQuestionLength } from '../lib/answer'

export interface QuestionFormProps {
  /** Whether something was asked before. */
  readonly isAgain: boolean
  readonly onAsk: (question: string) => void
}

export function QuestionForm({ isAgain, onAsk }: QuestionFormProps) {
  const [question, setQuestion] = useState('How does a river begin?')

  function ask(event: FormEvent): void {
    event.preventDefault()
    onAsk(question)
  }

  return (
    <form id="ask-form" autoComplete="off" onSubmit={ask}>
      <label htmlFor="ask-text">Question</label>
      <input
        id="ask-text"
        maxLength={maxQuestionLength}
        required
        pattern=".*\S.*"
        title="Something to ask"
        value={question}
        onChange={({ target }) => setQuestion(target.value)}
      />
      <button id="ask-button" type="submit">
        {isAgain ? 'Ask again' : 'Ask'}
      </button>
    </form>
  )
}
