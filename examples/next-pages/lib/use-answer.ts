import { type RefObject, useEffect, useReducer } from 'react'
import type { Answer } from './answer'
import { followAnswer } from './follow-answer'

const nothingYet: Answer = { state: 'idle', question: undefined, missing: undefined }

/** An answer to begin with, or what has changed. */
type Change = Partial<Answer> | 'begin'

function reduce(answer: Answer, change: Change): Answer {
  return change === 'begin' ? nothingYet : { ...answer, ...change }
}

/**
 * Follows an answer for as long as the component is mounted.
 *
 * @param id - Undefined for none.
 * @param question - What to ask, where there is no such answer.
 * @param text - Gets the answer's text, to which it is appended as it comes: rendering it anew for each
 *   token would cost more and more.
 */
export function useAnswer(
  id: string | undefined,
  question: string | undefined,
  text: RefObject<HTMLElement | null>,
): Answer {
  const [answer, dispatch] = useReducer(reduce, nothingYet)
  useEffect(() => {
    const target = text.current
    dispatch('begin')
    target?.replaceChildren()
    if (id === undefined || target === null) return
    dispatch({ state: 'connecting' })
    const url = `/api/answers/${encodeURIComponent(id)}`
    const asked = question === undefined ? '' : `?${new URLSearchParams({ question })}`
    return followAnswer(url + asked, {
      state: (state) => dispatch({ state }),
      question: (question) => dispatch({ question }),
      text: (token) => append(target, token),
      startOver: () => target.replaceChildren(),
      missing(missing) {
        const mark = document.createElement('mark')
        mark.textContent = '…'
        append(target, mark)
        dispatch({ missing })
      },
    })
  }, [id, question, text])
  return answer
}

function append(target: HTMLElement, what: string | Node): void {
  const { scrollHeight, scrollTop, clientHeight } = target
  target.append(what)
  // Whoever has scrolled up is reading there.
  if (scrollHeight - scrollTop - clientHeight < 40) target.scrollTop = target.scrollHeight
}
