const againMs = 2000

/**
 * Follows a job to its end. First it asks what came of it, which is all there is to do when it has ended while
 * nobody looked; otherwise it goes on from there, live.
 *
 * @param show - What to call, by name, for what comes.
 * @returns What leaves it; the job goes on.
 */
export function followJob(id, show) {
  const url = `/jobs/${encodeURIComponent(id)}`
  const leaving = new AbortController()
  const { signal } = leaving
  let source
  let position = ''
  let again

  async function recover() {
    const response = await fetch(withPosition(`${url}/recover`), { signal }).catch(() => undefined)
    if (signal.aborted) return
    // The page has been told of the end already.
    if (response?.status === 204) return
    if (response === undefined || response.status >= 500) {
      show.away()
      again = setTimeout(recover, againMs)
    } else if (!response.ok) show.refused(response.status)
    else goOn(await response.json())
  }

  function goOn({ status, startedAt, events, lastEventId, isComplete, result, reason }) {
    if (signal.aborted) return
    show.started(startedAt)
    // Each says how far the whole is, so that those between do not matter, nor whether some are no longer kept.
    for (const { event, data } of events) if (event === 'progress') show.progress(data)
    position = lastEventId
    if (!isComplete) void recover()
    else if (status === 'active') listen()
    else show.ended(status, { result, reason, isRecovered: true })
  }

  function listen() {
    // What the worker has sent last, with which the job has ended.
    let last
    source = new EventSource(withPosition(`${url}/events`))
    source.onopen = () => show.working()
    source.onerror = lost
    source.addEventListener('progress', ({ data, lastEventId }) => {
      position = lastEventId
      show.progress(JSON.parse(data))
    })
    for (const name of ['done', 'stopped']) {
      source.addEventListener(name, ({ data }) => {
        last = JSON.parse(data)
      })
    }
    source.addEventListener('stream-reset', startOver)
    source.addEventListener('stream-end', ({ data }) => {
      // It would come back, to be told that there is no more.
      source.close()
      const { state, reason, result = last } = JSON.parse(data)
      show.ended(state, { result, reason, isRecovered: false })
    })
  }

  /** The server does not know the position any more, and knows how the job stands. */
  function startOver() {
    source.close()
    position = ''
    void recover()
  }

  function lost() {
    show.away()
    // A browser comes back by itself after a cut, but never after an answer that is no event stream.
    if (source.readyState === EventSource.CLOSED) again = setTimeout(recover, againMs)
  }

  function withPosition(path) {
    return position === '' ? path : `${path}?lastEventId=${encodeURIComponent(position)}`
  }

  void recover()
  return () => {
    leaving.abort()
    clearTimeout(again)
    source?.close()
  }
}
