import type { AnswerState } from './answer'

const reopenMs = 2000

/** What comes of an answer. */
export interface AnswerViewer {
  state(state: AnswerState): void
  question(question: string): void
  text(text: string): void
  /** All of its text comes once more. */
  startOver(): void
  /** A part of it cannot be had. */
  missing(reason: string): void
}

/**
 * Follows an answer to its end: from its beginning, and after a cut from where it was.
 *
 * @param url - Where it is served. With a question, that is asked when there is no such answer.
 * @returns What leaves it; the answer goes on.
 */
export function followAnswer(url: string, viewer: AnswerViewer): () => void {
  let source: EventSource
  let position = ''
  let reopening: ReturnType<typeof setTimeout>
  let hasStartedOver = false
  const leaving = new AbortController()

  function open(): void {
    source = new EventSource(withPosition())
    source.onopen = () => viewer.state('answering')
    source.onerror = lost
    listen('stream-open', () => undefined)
    listen('question', (question) => viewer.question(question))
    listen('message', (text) => viewer.text(text))
    source.addEventListener('stream-reset', ({ data }) => reset(JSON.parse(data).reason))
    listen('stream-end', ({ state }) => {
      // It would come back, to be told that there is no more.
      source.close()
      viewer.state(state)
    })
  }

  // biome-ignore lint/suspicious/noExplicitAny: what the server sends.
  function listen(name: string, receive: (data: any) => void): void {
    source.addEventListener(name, ({ data, lastEventId }) => {
      position = lastEventId
      receive(JSON.parse(data))
    })
  }

  /**
   * What comes next is not what follows this position: a server that died may have shown more than others
   * know. From its beginning the answer is whole, unless that is what they no longer have.
   */
  function reset(reason: string): void {
    if (position === '' || hasStartedOver) {
      viewer.missing(reason)
      return
    }
    hasStartedOver = true
    source.close()
    position = ''
    viewer.startOver()
    open()
  }

  function withPosition(): string {
    if (position === '') return url
    return `${url}${url.includes('?') ? '&' : '?'}lastEventId=${encodeURIComponent(position)}`
  }

  async function lost(): Promise<void> {
    viewer.state('away')
    // A browser comes back by itself after a cut, but never after an answer that is no event stream.
    if (source.readyState !== EventSource.CLOSED) return
    const status = (await statusOf(withPosition())) ?? 0
    if (leaving.signal.aborted) return
    if (status >= 400 && status < 500) viewer.state('unknown')
    else reopening = setTimeout(open, reopenMs)
  }

  /** An `EventSource` does not tell what it was answered. */
  async function statusOf(asked: string): Promise<number | undefined> {
    const enough = new AbortController()
    const signal = AbortSignal.any([leaving.signal, enough.signal])
    const response = await fetch(asked, { signal }).catch(() => undefined)
    enough.abort()
    return response?.status
  }

  open()
  return () => {
    leaving.abort()
    clearTimeout(reopening)
    source.close()
  }
}
