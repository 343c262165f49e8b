const reopenMs = 2000

/**
 * Follows an answer to its end: from its beginning, and after a cut from where it was.
 *
 * @param url - Where it is served. With a question, that is asked when there is no such answer.
 * @param show - What to call, by name, for what comes.
 * @returns What leaves it; the answer goes on.
 */
export function followAnswer(url, show) {
  let source
  let position = ''
  let reopening
  let hasStartedOver = false
  const leaving = new AbortController()

  function open() {
    source = new EventSource(withPosition())
    source.onopen = () => show.answering()
    source.onerror = lost
    source.addEventListener('stream-open', keepPosition)
    source.addEventListener('question', (event) => {
      keepPosition(event)
      show.question(JSON.parse(event.data))
    })
    source.addEventListener('message', (event) => {
      keepPosition(event)
      show.text(JSON.parse(event.data))
    })
    source.addEventListener('stream-reset', ({ data }) => reset(JSON.parse(data).reason))
    source.addEventListener('stream-end', ({ data }) => {
      // It would come back, to be told that there is no more.
      source.close()
      show.ended(JSON.parse(data).state)
    })
  }

  /**
   * What comes next is not what follows this position: a server that died may have shown more than others
   * know. From its beginning the answer is whole, unless that is what they no longer have.
   */
  function reset(reason) {
    if (position === '' || hasStartedOver) {
      show.missing(reason)
      return
    }
    hasStartedOver = true
    source.close()
    position = ''
    show.startOver()
    open()
  }

  function keepPosition({ lastEventId }) {
    position = lastEventId
  }

  function withPosition() {
    if (position === '') return url
    return `${url}${url.includes('?') ? '&' : '?'}lastEventId=${encodeURIComponent(position)}`
  }

  async function lost() {
    show.away()
    // A browser comes back by itself after a cut, but never after an answer that is no event stream.
    if (source.readyState !== EventSource.CLOSED) return
    const status = await statusOf(withPosition())
    if (leaving.signal.aborted) return
    if (status >= 400 && status < 500) show.unknown()
    else reopening = setTimeout(open, reopenMs)
  }

  /** An `EventSource` does not tell what it was answered. */
  async function statusOf(asked) {
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
