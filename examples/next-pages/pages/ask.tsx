import type { GetServerSideProps } from 'next'
import { useRouter } from 'next/router'
import { useState } from 'react'
import { AnswerView } from '../components/answer-view'
import { randomId } from '../lib/random-id'

/** Makes the query of the address known from the first rendering on. */
export const getServerSideProps: GetServerSideProps = async () => ({ props: {} })

export default function AskPage() {
  const router = useRouter()
  /** What was asked on this page, by the id of its answer. */
  const [questions, setQuestions] = useState<Readonly<Record<string, string>>>({})
  const id = typeof router.query.id === 'string' ? router.query.id : undefined

  async function ask(question: string): Promise<void> {
    const newId = randomId(16)
    setQuestions({ ...questions, [newId]: question })
    await router.push(`/ask?id=${newId}`, undefined, { shallow: true })
  }

  return <AnswerView id={id} question={id && questions[id]} onAsk={ask} />
}
