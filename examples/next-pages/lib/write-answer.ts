import { setTimeout as delay } from 'node:timers/promises'
import { answerText } from './answer-text'

/** Pieces as a language model gives them: a short word, or a part of a long one. */
const tokens = answerText.match(/\s*\S{1,5}/g) ?? []

/** Milliseconds from one token to the next, on average. */
const tokenMs = Number(process.env.TOKEN_MS || 25)

/**
 * Stands for a language model that answers a question: always the same, and no faster than one.
 *
 * @param signal - Ends it at once.
 */
export async function* writeAnswer(
  question: string,
  signal: AbortSignal,
): AsyncGenerator<string | { readonly event: 'question'; readonly data: string }> {
  yield { event: 'question', data: question }
  for (const token of tokens) {
    await delay(tokenMs * (0.5 + Math.random()), undefined, { signal })
    yield token
  }
}
