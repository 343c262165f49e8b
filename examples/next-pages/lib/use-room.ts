import { type StreamStatus, useEventStream } from 'headwater/react'
import { useState } from 'react'
import type { Message } from './message'
import { maxMessages, type Room } from './room'

const states: Readonly<Record<StreamStatus, Room['state']>> = {
  idle: 'connecting',
  connecting: 'connecting',
  open: 'live',
  waiting: 'away',
  ended: 'ended',
  failed: 'failed',
}

/** Follows a room for as long as the component is mounted. For another room, mount another one. */
export function useRoom(name: string): Room {
  const [resetReason, setResetReason] = useState<string>()
  const stream = useEventStream<{ message: Message }>(`/api/rooms/${name}`, {
    keep: maxMessages,
    // What this page missed cannot be had, so nothing that it shows can be relied on: it starts over
    // with what the server has.
    onReset({ reason }) {
      setResetReason(reason)
      stream.restart()
    },
  })
  return {
    state: states[stream.status],
    error: stream.error,
    retryInMs: stream.retryInMs,
    messages: stream.events.map(({ json, lastEventId }) => ({ ...json, id: lastEventId })),
    resetReason,
    noticeReset: () => setResetReason(undefined),
  }
}
