import { createEventSource } from 'headwater/client'

/**
 * Follows an answer to its end: from its beginning, and after a cut from where it was.
 *
 * @param url - Where it is served. With a question, that is asked when there is no such answer.
 * @param show - What to call, by name, for what comes.
 */
export function followAnswer(url, show) {
  let source
  let isBegun = false
  let hasStartedOver = false

  function open() {
    source = createEventSource(url)
    source.onopen = show.answering
    source.onerror = failed
    source.onreset = reset
    source.onend = ({ state }) => show.ended(state)
    source.addEventListener('question', ({ json }) => {
      isBegun = true
      show.question(json)
    })
    source.onmessage = ({ json }) => {
      isBegun = true
      show.text(json)
    }
  }

  /**
   * What comes next is not what follows this position: a server that died may have shown more than others
   * know. From its beginning the answer is whole, unless that is what they no longer have.
   */
  function reset({ reason }) {
    if (!isBegun || hasStartedOver) {
      show.missing(reason)
      return
    }
    hasStartedOver = true
    source.close()
    isBegun = false
    show.startOver()
    open()
  }

  function failed({ error, retryInMs }) {
    if (!error.isFinal) show.away(retryInMs)
    else if (error.status >= 400 && error.status < 500) show.unknown()
    else show.broken(error.message)
  }

  open()
  return {
    /** Does not wait for the next try. */
    reconnect() {
      source.close()
      source.reopen()
    },
    /** The answer goes on. */
    leave: () => source.close(),
  }
}
