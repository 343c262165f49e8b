import { createEventSource } from 'headwater/client'

/**
 * Follows all that a page shows, in one stream. `follow-room-plain.js` does it without a library.
 *
 * The position is not kept for a reload: the page is empty then, and begins with the history that the server gives,
 * which has each message once.
 *
 * @param show - What to call, by name, for what comes.
 * @param mayReturn - Is awaited before each request.
 */
export function followRoom(url, show, mayReturn) {
  let source

  function open() {
    source = createEventSource(url, {
      async headers() {
        await mayReturn()
        return {}
      },
    })
    source.onopen = show.opened
    source.onerror = ({ error, retryInMs }) => {
      if (error.isFinal) show.ended(error.message)
      else if (retryInMs !== undefined) show.lost(retryInMs)
    }
    source.onreset = ({ channels, reason }) => show.reset({ channels, reason }, source.lastEventId)
    source.onend = () => show.ended('The server has no more to send.')
    source.addEventListener('*', show.event)
  }

  open()
  return {
    /** Does not wait for the next try. */
    reconnect() {
      source.close()
      source.reopen()
    },
    /** Begins with the history that the server gives. */
    startOver() {
      source.close()
      open()
    },
  }
}
