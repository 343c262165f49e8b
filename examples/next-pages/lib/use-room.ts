import { useEffect, useReducer } from 'react'
import type { Message } from './message'

const maxMessages = 200
const reopenMs = 2000

export interface ReceivedMessage extends Message {
  /** The id of the event that brought it. */
  readonly id: string
}

/** What a page knows of a room. */
export interface Room {
  readonly state: 'connecting' | 'live' | 'away'
  /** Milliseconds without a connection, the last time that it was lost. */
  readonly awayMs: number | undefined
  /** The newest ones, oldest first. */
  readonly messages: readonly ReceivedMessage[]
  /** Why the server could not send what this page had missed. */
  readonly resetReason: string | undefined
}

type Action =
  | { readonly type: 'opened'; readonly awayMs: number | undefined }
  | { readonly type: 'lost' }
  | { readonly type: 'received'; readonly message: ReceivedMessage }
  | { readonly type: 'reset'; readonly reason: string }
  | { readonly type: 'noticed' }

const nothingYet: Room = {
  state: 'connecting',
  awayMs: undefined,
  messages: [],
  resetReason: undefined,
}

function reduce(room: Room, action: Action): Room {
  switch (action.type) {
    case 'opened':
      return { ...room, state: 'live', awayMs: action.awayMs ?? room.awayMs }
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

/**
 * Follows a room for as long as the component is mounted. For another room, mount another one.
 *
 * @returns The room, and what to call when the visitor has noticed the reset.
 */
export function useRoom(name: string): readonly [Room, () => void] {
  const [room, dispatch] = useReducer(reduce, nothingYet)
  useEffect(() => followRoom(`/api/rooms/${name}`, dispatch), [name])
  return [room, () => dispatch({ type: 'noticed' })]
}

/** @returns What ends it. */
function followRoom(url: string, dispatch: (action: Action) => void): () => void {
  let source: EventSource
  /** Where this page is in the room's channel. */
  let position = ''
  let lostAt: number | undefined
  let reopening: ReturnType<typeof setTimeout>

  /** @param from - A position to go on from; empty to start with the history that the server gives. */
  function connect(from: string): void {
    position = from
    source = new EventSource(from === '' ? url : `${url}?lastEventId=${encodeURIComponent(from)}`)
    source.onopen = opened
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

  function opened(): void {
    const awayMs = lostAt === undefined ? undefined : performance.now() - lostAt
    lostAt = undefined
    dispatch({ type: 'opened', awayMs })
  }

  function lost(): void {
    lostAt ??= performance.now()
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
