const streamEvents = ['stream-open', 'stream-error']
const eventNames = [...streamEvents, 'load', 'message', 'proof', 'served']
const reopenMs = 2000

/**
 * Does what `followRoom` does by the browser's own `EventSource`, to compare. It does not tell when it comes back,
 * nor why it does not, and waits though the network is there again.
 */
export function followRoomPlainly(url, show) {
  let source
  let reopening
  /** Where this page is in all of its channels. */
  let position = ''

  function open() {
    clearTimeout(reopening)
    source?.close()
    // Only a source that comes back by itself sends its position along.
    const query = position === '' ? '' : `?lastEventId=${encodeURIComponent(position)}`
    source = new EventSource(`${url}${query}`)
    source.onopen = show.opened
    source.onerror = lost
    // It has to be told all names.
    for (const name of eventNames) source.addEventListener(name, receive)
    source.addEventListener('stream-reset', reset)
  }

  function receive({ type, data, lastEventId }) {
    position = lastEventId
    show.event({ type, data, lastEventId, json: JSON.parse(data) })
  }

  function reset({ data, lastEventId }) {
    position = lastEventId
    show.reset(JSON.parse(data), lastEventId)
  }

  function lost() {
    show.lost()
    // It comes back by itself after a cut, but never after an answer that is no event stream.
    if (source.readyState === EventSource.CLOSED) reopening = setTimeout(open, reopenMs)
  }

  open()
  return {
    reconnect: open,
    startOver() {
      position = ''
      open()
    },
  }
}
