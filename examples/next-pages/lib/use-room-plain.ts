import { useEffect, useReducer } from 'react'
import { maxMessages, type ReceivedMessage, type Room } from './room'

const reopenMs = 2000

type State = Pick<Room, 'state' | 'messages' | 'resetReason'>

type Action =
  | { readonly type: 'opened' }
  | { readonly type: 'lost' }
  | { readonly type: 'received'; readonly message: ReceivedMessage }
  | { readonly type: 'reset'; readonly reason: string }
  | { readonly type: 'noticed' }

const nothingYet: State = { state: 'connecting', messages: [], resetReason: undefined }

function reduce(room: State, action: Action): State {
  switch (action.type) {
    case 'opened':
      return { ...room, state: 'live' }
    case 'lost':
      return { ...room, state: 'away' }
    case 'received':
      return { ...room, messages: [...room.messages, action.message].slice(-maxMessages) }
    case 'reset':
      return { ...room, messages: [], resetReason: action.reason }
    case 'noticed':
      return { ...room, resetReason: undefined }
  }
}

/** What `useRoom` does, by an `EventSource` of the browser: for comparison. */
export function useRoomPlain(name: string): Room {
  const [room, dispatch] = useReducer(reduce, nothingYet)
  useEffect(() => followRoom(`/api/rooms/${name}`, dispatch), [name])
  return { ...room, noticeReset: () => dispatch({ type: 'noticed' }) }
}

/** @returns What ends it. */
function followRoom(url: string, dispatch: (action: Action) => void): () => void {
  let source: EventSource
  /** Where this page is in the room's channel. */
  let position = ''
  let reopening: ReturnType<typeof setTimeout>

  /** @param from - A position to go on from; empty to start with the history that the server gives. */
  function connect(from: string): void {
    position = from
    source = new EventSource(from === '' ? url : `${url}?lastEventId=${encodeURIComponent(from)}`)
    source.onopen = () => dispatch({ type: 'opened' })
    source.onerror = lost
    source.addEventListener('stream-open', ({ lastEventId }) => {
      position = lastEventId
    })
    source.addEventListener('message', ({ data, lastEventId }) => {
      position = lastEventId
      dispatch({ type: 'received', message: { ...JSON.parse(data), id: lastEventId } })
    })
    // The server cannot tell what this page missed, so nothing that it shows can be relied on: it
    // starts over with what the server has.
    source.addEventListener('stream-reset', ({ data }) => {
      dispatch({ type: 'reset', reason: JSON.parse(data).reason })
      source.close()
      connect('')
    })
  }

  function lost(): void {
    dispatch({ type: 'lost' })
    // A browser comes back by itself after a cut, but never after an answer that is no event stream.
    if (source.readyState === EventSource.CLOSED) {
      reopening = setTimeout(() => connect(position), reopenMs)
    }
  }

  connect('')
  return () => {
    clearTimeout(reopening)
    source.close()
  }
}
