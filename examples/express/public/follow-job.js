import { createEventSource, recoverFrom } from 'headwater/client'

const againMs = 2000

/**
 * Follows a job to its end. First it asks what came of it, which is all there is to do when it has ended while
 * nobody looked; otherwise it goes on from there, live.
 *
 * A reset needs nothing: each event says how far the whole is, so that those between do not matter.
 *
 * @param show - What to call, by name, for what comes.
 */
export function followJob(id, show) {
  const url = `/jobs/${encodeURIComponent(id)}`
  const source = createEventSource(`${url}/events`, { recover: recoverFrom(`${url}/recover`) })
  let isRecovered = false
  let isRecovering = false
  let isLeft = false
  let again
  /** What the worker has sent last, with which the job has ended. */
  let last

  source.addEventListener('progress', ({ json }) => show.progress(json))
  for (const name of ['done', 'stopped']) {
    source.addEventListener(name, ({ json }) => {
      last = json
    })
  }
  source.onopen = () => {
    isRecovered = false
    show.working()
  }
  source.onend = ({ state, reason, result = last }) => {
    show.ended(state, { result, reason, isRecovered })
  }
  source.onerror = ({ error, retryInMs }) => {
    // Why the stream is refused, if it is for good, is known where it is recovered.
    if (error.isFinal) recoverLater()
    else show.away(retryInMs)
  }

  async function recover() {
    clearTimeout(again)
    isRecovered = true
    isRecovering = true
    const error = await source.recover().then(
      () => undefined,
      (cause) => cause,
    )
    isRecovering = false
    if (error === undefined || isLeft) return
    if (error.status >= 400 && error.status < 500) show.refused(error.status)
    else recoverLater()
  }

  function recoverLater() {
    show.away(againMs)
    again = setTimeout(recover, againMs)
  }

  void recover()
  return {
    /** Does not wait for the next try. */
    reconnect() {
      // What asks already cannot do it sooner.
      if (isRecovering) return
      if (source.readyState === source.CLOSED) void recover()
      else {
        source.close()
        source.reopen()
      }
    },
    /** The job goes on. */
    leave() {
      isLeft = true
      clearTimeout(again)
      source.close()
    },
  }
}
